"""The flusher's thread outlives what deliveries, logging and other threads raise; its end loses nothing."""

import ctypes
import itertools
import logging
import random
import threading
import time
from unittest import mock

import pytest

from signal_gateway.audit import AuditStoreConfig, BufferedAuditStore, DataStorageClient
from signal_gateway.audit.delivery.flusher import Flusher
from signal_gateway.audit.wal.ownership import StoreLock
from signal_gateway.errors import AuditError

DEADLINE = 60.0
RAISED = [
    SystemExit("over"),
    KeyboardInterrupt(),
    pytest.fail.Exception("no calls, please"),
    MemoryError(),
    GeneratorExit(),
]


def raise_in_flusher(store, kind=SystemExit):
    """Raise an exception in the flusher's thread as soon as it executes Python code; return whether there is one."""
    name = f"audit-flusher-{store.service}"
    threads = [thread for thread in threading.enumerate() if thread.name == name and thread.is_alive()]
    for thread in threads:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(kind))
    return bool(threads)


class RaisingHandler(logging.Handler):
    def __init__(self, exc):
        super().__init__()
        self.exc = exc
        self.calls = 0

    def emit(self, _record):
        self.calls += 1
        raise self.exc


@pytest.fixture
def raising_handler():
    logger = logging.getLogger("signal_gateway.audit")
    handler = RaisingHandler(SystemExit("from logging"))
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@pytest.fixture
def silent_flusher(monkeypatch):
    """No log of the audit room: an asynchronous exception between a handler's acquire and release loses its lock."""
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("signal_gateway.audit"):
            monkeypatch.setattr(logging.getLogger(name), "disabled", True)


def assert_adds_up(stats):
    assert stats.recorded == stats.delivered + stats.rejected + stats.pending


@pytest.mark.parametrize("exc", RAISED, ids=lambda exc: type(exc).__name__)
def test_flusher_survives_whatever_a_delivery_raises(fault_server, make_store, make_event, monkeypatch, exc):
    client = DataStorageClient(fault_server.url)
    deliver, calls = client.deliver, itertools.count()

    def raise_twice(batch, count):
        if next(calls) < 2:
            raise exc
        return deliver(batch, count)

    monkeypatch.setattr(client, "deliver", raise_twice)
    store = make_store(client=client)
    store.record(make_event())

    result = store.flush(DEADLINE)

    assert (result.ok, result.delivered) == (True, 1)
    assert (store.stats.interruptions, store.stats.flusher_down) == (2, None)
    assert type(exc).__name__ in store.stats.last_error


def test_flusher_survives_a_logging_handler_that_exits(fault_server, store, make_event, raising_handler):
    fault_server.script(fault_server.status(503), fault_server.problem(400))
    events = [make_event(number) for number in range(3)]
    for event in events[:1]:
        store.record(event)
    store.flush(DEADLINE)
    for event in events[1:]:
        store.record(event)

    assert store.flush(DEADLINE).ok
    assert raising_handler.calls
    assert store.stats.interruptions >= 1
    assert sorted(fault_server.stored) == sorted(event.event_id for event in events[1:])


@pytest.mark.usefixtures("silent_flusher")
@pytest.mark.slow
@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, RuntimeError])
def test_asynchronous_exceptions_lose_no_event_and_free_no_segment(fault_server, open_store, make_event, kind):
    """A second store on the directory must not take segments that the first one still writes to."""
    store = open_store(max_batch_events=20)
    ids = []
    choices = random.Random(1)
    for number in range(3000):
        event = make_event(number)
        store.record(event)
        ids.append(event.event_id)
        if choices.random() < 0.05:
            raise_in_flusher(store, kind)
        if number == 1500:
            other = open_store()
    other.close(DEADLINE)
    result = store.flush(3 * DEADLINE)
    store.close(DEADLINE)

    assert result.pending == 0
    assert list(dict.fromkeys(fault_server.stored)) == ids
    assert (store.stats.recorded, store.stats.delivered, store.stats.pending) == (3000, 3000, 0)
    assert store.stats.interruptions > 0
    with open_store() as later:
        assert later.flush(DEADLINE).ok
        assert later.stats.recovered.pending == 0


@pytest.fixture
def ending_once(monkeypatch):
    """Let the first thread of each flusher end at once."""
    run, seen = Flusher.run, set()

    def run_or_exit(self):
        if self not in seen:
            seen.add(self)
            raise SystemExit("killed")
        run(self)

    monkeypatch.setattr(Flusher, "run", run_or_exit)


@pytest.mark.usefixtures("ending_once")
def test_thread_that_ended_is_a_state_and_the_next_event_starts_another(fault_server, open_store, make_event):
    store = open_store()
    for thread in threading.enumerate():
        if thread.name == "audit-flusher-shop":
            thread.join(DEADLINE)

    down = store.stats.flusher_down
    event = make_event()
    store.record(event)

    assert down == "the audit flusher's thread ended: SystemExit: killed"
    assert store.flush(DEADLINE).ok
    assert (store.stats.flusher_down, store.accepting) == (None, True)
    assert list(fault_server.stored) == [event.event_id]


@pytest.mark.usefixtures("ending_once")
def test_flush_starts_another_thread(fault_server, open_store, make_event):
    store = open_store()
    event = make_event()
    store.record(event)

    assert store.flush(DEADLINE).ok
    assert list(fault_server.stored) == [event.event_id]


@pytest.mark.usefixtures("ending_once")
def test_lock_stays_with_the_store_whose_thread_ended(open_store, spool_directory):
    store = open_store()
    for thread in threading.enumerate():
        if thread.name == "audit-flusher-shop":
            thread.join(DEADLINE)
    store_id = store._wal._segments.store_id

    assert store.stats.flusher_down is not None
    assert not StoreLock.is_free(spool_directory, store_id)
    assert StoreLock.take_over(spool_directory, store_id) is None


@pytest.mark.usefixtures("ending_once")
def test_close_delivers_for_a_thread_that_ended(fault_server, open_store, make_event):
    store = open_store()
    for thread in threading.enumerate():
        if thread.name == "audit-flusher-shop":
            thread.join(DEADLINE)
    store._wal.append(make_event().to_wire())  # no use of the store since the end of its thread

    assert store.close(DEADLINE).ok
    assert len(fault_server.stored) == 1


def refuse_to_start(*_args, **_kwargs):
    raise RuntimeError("can't start new thread")


def test_thread_that_cannot_start_is_a_state_until_it_can(fault_server, spool_directory, make_event, monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", refuse_to_start)
    config = AuditStoreConfig(spool_directory=spool_directory)
    with BufferedAuditStore(DataStorageClient(fault_server.url), service="shop", config=config) as store:
        store.record(make_event())
        before = (store.accepting, store.stats.flusher_down, store.flush(DEADLINE))
        monkeypatch.undo()

        assert before[0] is False
        assert "can't start new thread" in before[1]
        assert (before[2].ok, before[2].pending) == (False, 1)
        assert "can't start new thread" in before[2].error
        assert store.accepting
        assert store.flush(DEADLINE).ok
    assert len(fault_server.stored) == 1


def test_memory_store_whose_thread_cannot_start_refuses_events(fault_server, make_event, monkeypatch):
    config = AuditStoreConfig(durability="memory")
    with BufferedAuditStore(DataStorageClient(fault_server.url), service="shop", config=config) as store:
        monkeypatch.setattr(threading.Thread, "start", refuse_to_start)
        with pytest.raises(AuditError, match="can't start new thread"):
            store.record(make_event())
        assert not store.accepting
        monkeypatch.undo()

        assert store.accepting
        store.record(make_event())
        assert store.flush(DEADLINE).ok
    assert_adds_up(store.stats)


PATCHES = {
    "time.monotonic runs out": ("time.monotonic", {"side_effect": [10.0, 12.5]}),
    "time.monotonic stands still": ("time.monotonic", {"return_value": 10.0}),
    "time.monotonic is odd": ("time.monotonic", {"return_value": mock.sentinel.nothing}),
    "time.time runs out": ("time.time", {"side_effect": [1.0]}),
    "time.sleep fails": ("time.sleep", {"side_effect": AssertionError("slept")}),
    "random.uniform fails": ("random.uniform", {"side_effect": AssertionError("drawn")}),
    "random.random fails": ("random.random", {"side_effect": AssertionError("drawn")}),
    "threads cannot be made": ("threading.Thread", {"side_effect": AssertionError("made")}),
    "events cannot be made": ("threading.Event", {"side_effect": AssertionError("made")}),
    "os.getpid lies": ("os.getpid", {"return_value": 1}),
    "sockets are forbidden": ("socket.socket", {"side_effect": AssertionError("connected")}),
    "names are not resolved": ("socket.getaddrinfo", {"side_effect": AssertionError("resolved")}),
    "select is patched": ("select.select", {"side_effect": AssertionError("selected")}),
    "queues are patched": ("queue.SimpleQueue", {"side_effect": AssertionError("queued")}),
}


@pytest.mark.parametrize("patched", PATCHES)
def test_store_works_while_a_test_patches_the_standard_library(fault_server, store, make_event, patched):
    target, settings = PATCHES[patched]
    fault_server.script(fault_server.status(503))  # so that the thread pauses, too
    store.record(make_event(0))
    fault_server.wait_for_batch()

    with mock.patch(target, **settings):
        for number in range(1, 40):
            store.record(make_event(number))
        store._flusher.wake()
        assert store.accepting
        assert store.stats.oldest_pending_age >= 0

    assert store.flush(DEADLINE).ok
    assert (store.stats.recorded, store.stats.delivered) == (40, 40)
    assert store.stats.flusher_down is None


def test_clock_that_runs_out_does_not_stop_a_waiting_thread(fault_server, store, make_event):
    with mock.patch("time.monotonic", side_effect=[10.0, 12.5]), mock.patch("time.time", side_effect=[1.0]):
        for _ in range(3):
            store._flusher.wake()
        event = make_event()
        store.record(event)

        assert store.flush(DEADLINE).ok
        with pytest.raises(StopIteration):
            [time.monotonic() for _ in range(3)]
    assert list(fault_server.stored) == [event.event_id]

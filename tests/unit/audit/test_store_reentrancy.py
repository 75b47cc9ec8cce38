"""A store that is called in the midst of itself, by a signal, the garbage collector or its own logging."""

import logging
import threading

import pytest

from signal_gateway.audit import AuditStoreClosed, RecursiveAuditEvent
from signal_gateway.errors import AuditError

DEADLINE = 60.0
STORAGES = ["mapped", "written"]
SMALLEST = 64 * 1024


class RecordingHandler(logging.Handler):
    """Records whatever is logged, and keeps what became of it."""

    def __init__(self, make_event):
        super().__init__(logging.DEBUG)
        self._make_event = make_event
        self.store = None
        self.is_ready = threading.Event()
        self.taken = []
        self.refusals = []
        self.texts = []

    def record_into(self, store):
        self.store = store
        self.is_ready.set()

    def emit(self, record):
        assert self.is_ready.wait(DEADLINE)  # what is logged while the store is made
        self.texts.append(record.getMessage())
        event = self._make_event(99)
        try:
            self.store.record(event)
        except AuditError as exc:
            self.refusals.append(exc)
        else:
            self.taken.append(event.event_id)


@pytest.fixture
def handler(make_event):
    handler = RecordingHandler(make_event)
    logger = logging.getLogger("signal_gateway.audit")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def all_recursive(handler):
    return bool(handler.refusals) and {type(exc) for exc in handler.refusals} == {RecursiveAuditEvent}


@pytest.mark.parametrize("storage", STORAGES)
def test_signal_handlers_record_and_begin_segments_in_the_midst_of_record(
    fault_server, start_program, spool_directory, storage
):
    program = start_program(
        """
        store = open_store()
        ids, full, from_handler = [], [0], [0]

        def record_one():
            one = event()
            try:
                store.record(one)
            except AuditStoreFull:
                full[0] += 1
            else:
                ids.append(one.event_id)

        def on_signal(signum, frame):
            from_handler[0] += 1
            for _ in range(20):
                record_one()

        signal.signal(signal.SIGALRM, on_signal)
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        until = time.monotonic() + 20
        while (len(ids) < 6000 or from_handler[0] < 100) and time.monotonic() < until:
            record_one()
            if full[0]:
                full[0] = 0
                store.flush(timeout=60)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        say([store.close(timeout=60).ok, from_handler[0], store.stats.storage, store.stats.recorded])
        say(ids)
        """,
        storage=storage,
        max_spool_bytes=SMALLEST,
        linger=0.001,
    )

    (is_ok, from_handler, used, recorded), ids = program.end()

    assert (is_ok, used, recorded) == (True, storage, len(ids))
    assert from_handler >= 100
    assert len(ids) >= 6000
    assert fault_server.received == dict.fromkeys(ids, 1)
    assert fault_server.stored.keys() == set(ids)
    assert not list(spool_directory.iterdir())


@pytest.mark.parametrize("storage", STORAGES)
def test_garbage_collector_records_in_the_midst_of_record(fault_server, start_program, storage):
    program = start_program(
        """
        store = open_store()
        ids, from_collector, refused = [], [0], set()
        busy = threading.local()

        def record_one():
            one = event()
            try:
                store.record(one)
            except Exception as exc:
                refused.add(type(exc).__name__)
            else:
                ids.append(one.event_id)

        def record_too():
            if not getattr(busy, "is_set", False) and threading.current_thread() is threading.main_thread():
                busy.is_set = True
                from_collector[0] += 1
                record_one()
                busy.is_set = False

        class Dying:
            def __init__(self):
                self.itself = self

            def __del__(self):
                record_too()

        gc.callbacks.append(lambda phase, info: record_too())
        gc.set_threshold(20, 2, 2)
        for _ in range(3000):
            Dying()
            record_one()
            if "AuditStoreFull" in refused:
                refused.discard("AuditStoreFull")
                store.flush(timeout=60)
        gc.callbacks.clear()
        gc.disable()
        say([store.close(timeout=60).ok, from_collector[0], sorted(refused - {"AuditStoreFull"})])
        say(ids)
        os._exit(0)
        """,
        storage=storage,
        max_spool_bytes=SMALLEST,
        linger=0.001,
    )

    (is_ok, from_collector, refused), ids = program.end()

    assert (is_ok, refused) == (True, [])
    assert from_collector >= 100
    assert fault_server.received == dict.fromkeys(ids, 1)
    assert fault_server.stored.keys() == set(ids)


def test_log_of_a_recovery_of_damaged_files_is_not_recorded(
    fault_server, leave_behind, open_store, spool_directory, handler
):
    leave_behind(3)
    leave_behind(4)
    leave_behind(5)
    torn, corrupt, unreadable = sorted(spool_directory.glob("*.segment"))
    content = torn.read_bytes().rstrip(b"\0")
    torn.write_bytes(content[:-20])
    content = bytearray(corrupt.read_bytes())
    content[4096 + 100] ^= 0xFF
    corrupt.write_bytes(content)
    unreadable.write_bytes(b"not a segment")

    store = open_store()
    handler.record_into(store)
    result = store.close(timeout=DEADLINE)

    assert result.ok
    assert (store.stats.recovered.delivered, store.stats.recovered.torn, store.stats.recovered.corrupt) == (5, 1, 2)
    assert [word for word in ("dropped", "is damaged", "cannot be read") if any(word in t for t in handler.texts)] == [
        "dropped",
        "is damaged",
        "cannot be read",
    ]
    assert all_recursive(handler)
    assert (store.stats.recorded, store.stats.refused) == (0, len(handler.refusals))
    assert len(fault_server.stored) == 5


def test_log_of_an_alarm_and_of_a_recovery_is_not_recorded(fault_server, open_store, make_event, handler):
    fault_server.script(fault_server.status(503), fault_server.status(503))
    store = open_store()
    handler.record_into(store)
    event = make_event()

    store.record(event)
    result = store.flush(timeout=DEADLINE)

    assert result.ok
    assert any("wait for DataStorage" in text for text in handler.texts)
    assert any("DataStorage" in text for text in handler.texts)
    assert all_recursive(handler)
    assert list(fault_server.stored) == [event.event_id]


def test_log_of_a_rejection_is_not_recorded(fault_server, open_store, make_event, handler):
    fault_server.always(fault_server.refusing(lambda event: event.get("severity") == "bad", named=True))
    store = open_store()
    handler.record_into(store)

    store.record(make_event(severity="bad"))
    store.record(make_event())
    result = store.flush(timeout=DEADLINE)

    assert (result.rejected, result.delivered, result.pending) == (1, 1, 0)
    assert any("rejected audit event" in text for text in handler.texts)
    assert all_recursive(handler)
    assert (store.stats.recorded, len(fault_server.stored)) == (2, 1)


def test_log_of_a_store_that_gets_full_is_not_recorded(fault_server, open_store, make_event, handler):
    fault_server.always(fault_server.status(503))
    store = open_store(max_spool_bytes=SMALLEST)
    handler.record_into(store)
    recorded = 0
    while store.accepting:
        try:
            store.record(make_event())
        except AuditError:
            break
        recorded += 1

    fault_server.always(fault_server.store)
    result = store.flush(timeout=DEADLINE)

    assert result.ok
    assert all_recursive(handler)
    assert len(fault_server.stored) == recorded


def test_log_of_a_close_that_leaves_events_is_refused_as_closed(fault_server, open_store, make_event, handler):
    fault_server.always(fault_server.status(503))
    store = open_store(initial_backoff=3600, max_backoff=3600)
    handler.record_into(store)
    store.record(make_event())

    result = store.close(timeout=0.1)

    assert result.pending == 1
    assert any("undelivered" in text for text in handler.texts)
    assert not handler.taken
    assert isinstance(handler.refusals[-1], AuditStoreClosed)


def test_log_of_a_thread_that_can_not_start_is_not_recorded(fault_server, start_program):
    program = start_program("""
        import logging
        store = open_store()
        became_of_it = []

        class Recording(logging.Handler):
            def emit(self, record_of_log):
                try:
                    record()
                except BaseException as exc:
                    became_of_it.append(type(exc).__name__)
                else:
                    became_of_it.append("recorded")

        def no_thread(thread):
            raise RuntimeError("can't start new thread")

        logging.getLogger("signal_gateway.audit").addHandler(Recording())
        child = os.fork()
        if child == 0:
            threading.Thread.start = no_thread
            say(record(1))
            say(became_of_it)
            os._exit(0)
        assert status_of(child) == 0
        say(store.close(timeout=60).ok)
    """)

    ids, became_of_it, is_ok = program.end()

    assert became_of_it == ["RecursiveAuditEvent"]
    assert is_ok
    assert list(fault_server.stored) == ids  # its parent recovered it

"""What waits for 200 ms is written to the disk; what is delivered before costs no sync."""

import errno
import logging
import os
import threading
from datetime import UTC, datetime

import pytest

from signal_gateway.audit.wal.directory import InMemorySegments, SegmentDirectory
from signal_gateway.audit.wal.log import WriteAheadLog
from signal_gateway.clock import MovableClock

DEADLINE = 60.0
EIO = OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.fixture
def on_sync(monkeypatch):
    """Have a function called with the descriptor whenever a file is synced, by whatever call."""

    def install(called):
        def calling_first(sync):
            def instead(fd, *args):
                if sync is os_fdatasync or os.RWF_DSYNC in args:
                    called(fd)
                return sync(fd, *args)

            return instead

        os_fdatasync = os.fdatasync
        for name in ("fdatasync", "pwritev"):
            monkeypatch.setattr(os, name, calling_first(getattr(os, name)))

    return install


@pytest.fixture
def synced(on_sync):
    """The files that were synced, as they come."""
    synced = []
    on_sync(lambda fd: synced.append(os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))))
    return synced


@pytest.fixture
def clock():
    return MovableClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def spool(spool_directory, clock):
    segments = SegmentDirectory(spool_directory, service="shop")
    spool = WriteAheadLog(segments, max_bytes=256 * 1024, clock=clock, log=logging.getLogger("spool"))
    spool.open()
    yield spool
    spool.seal()
    spool.release()


def look(spool, clock):
    return spool.sync(now=clock.monotonic())


@pytest.mark.usefixtures("storage")
def test_event_that_waits_for_200_ms_is_synced_once(spool, clock, synced):
    spool.append(b"one")
    assert look(spool, clock)
    clock.advance(0.19)
    assert look(spool, clock)
    assert not synced

    clock.advance(0.02)
    assert not look(spool, clock)

    assert len(synced) == 1
    clock.advance(10)
    assert not look(spool, clock)
    assert len(synced) == 1


def test_later_events_are_synced_at_most_every_200_ms(spool, clock, synced):
    for number in range(100):
        spool.append(b"one %d" % number)
        look(spool, clock)
        clock.advance(0.02)

    assert 8 <= len(synced) <= 10


def test_delivered_event_costs_no_sync(spool, clock, synced):
    spool.append(b"one")
    spool.ack(1, rejected={})
    clock.advance(10)

    assert not look(spool, clock)
    assert not synced


def test_every_segment_that_has_something_new_is_synced_and_no_other(spool, clock, synced):
    for _ in range(300):
        spool.append(b"x" * 500)
    segments = len(spool._queue)
    clock.advance(1)
    look(spool, clock)
    assert len(set(synced)) == len(synced) == segments > 1
    synced.clear()

    spool.append(b"one")
    clock.advance(1)
    look(spool, clock)

    assert len(synced) == 1


def test_directory_is_synced_with_its_new_names(spool, clock, monkeypatch, spool_directory):
    names, sync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (sync(fd), names.append(os.readlink(f"/proc/self/fd/{fd}"))))
    for _ in range(2):
        spool.append(b"one")
        clock.advance(1)
        look(spool, clock)

    assert names == [str(spool_directory)]


def test_memory_is_not_synced(clock, synced):
    spool = WriteAheadLog(
        InMemorySegments(service="shop"), max_bytes=65536, clock=clock, log=logging.getLogger("spool")
    )
    spool.append(b"one")
    clock.advance(10)

    assert not look(spool, clock)
    assert not synced
    spool.seal()
    spool.release()


def test_sync_that_fails_is_tried_again(spool, clock, on_sync):
    calls = []

    def fail_once(fd):
        calls.append(fd)
        if len(calls) == 1:
            raise EIO

    on_sync(fail_once)
    spool.append(b"one")
    clock.advance(1)
    with pytest.raises(OSError, match="Input/output"):
        look(spool, clock)

    assert not look(spool, clock)
    assert len(calls) == 2


def test_closing_with_pending_events_syncs_them(fault_server, open_store, make_event, synced):
    fault_server.always(fault_server.hang)
    store = open_store(linger=0)
    store.record(make_event())
    fault_server.wait_for_batch()
    assert not synced

    fault_server.always(fault_server.status(503))
    fault_server.release()
    assert store.close(timeout=0.05).pending == 1
    assert store._flusher._finished.wait(DEADLINE)

    assert synced


def test_closing_with_nothing_pending_costs_no_sync(open_store, make_event, synced):
    store = open_store()
    store.record(make_event())

    assert store.close(timeout=DEADLINE).ok
    assert not synced


def test_events_that_wait_for_a_server_that_is_down_are_synced(fault_server, open_store, make_event, on_sync):
    synced = threading.Event()
    on_sync(lambda _: synced.set())
    fault_server.always(fault_server.status(503))
    store = open_store(initial_backoff=3600, max_backoff=3600)

    store.record(make_event())

    assert synced.wait(DEADLINE)


def test_failing_sync_is_said_and_does_not_end_the_flusher(fault_server, open_store, make_event, on_sync, caplog):
    tried = threading.Semaphore(0)
    broken = True

    def fail(_):
        tried.release()
        if broken:
            raise EIO

    on_sync(fail)
    fault_server.always(fault_server.status(503))
    store = open_store(initial_backoff=3600, max_backoff=3600)
    store.record(make_event())
    for _ in range(2):
        assert tried.acquire(timeout=DEADLINE)
    assert "cannot sync the audit spool to the disk: Input/output error" in store.stats.last_error

    broken = False
    fault_server.always(fault_server.store)
    assert store.flush(timeout=DEADLINE).ok
    assert caplog.records


def test_events_that_wait_for_their_batch_are_synced(open_store, make_event, on_sync):
    synced = threading.Event()
    on_sync(lambda _: synced.set())
    store = open_store(linger=3600)

    store.record(make_event())

    assert synced.wait(DEADLINE)
    assert store.stats.pending == 1

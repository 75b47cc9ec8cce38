"""What a store may hold: a warning before it is full, a refusal when it is, nothing dropped, room after delivery."""

import logging
import threading
import time
from types import SimpleNamespace

import pytest
from tests.support.waiting import wait_until

from signal_gateway.audit import AuditStoreFull

DEADLINE = 60.0
KIB = 1024
LIMIT = 256 * KIB


@pytest.fixture
def clock_ahead(monkeypatch):
    """Let the spool's monotonic clock stand still, ahead by as many seconds as are put in the list."""
    ahead, begin = [0.0], time.monotonic()
    monkeypatch.setattr("signal_gateway.audit.wal.log.machine", SimpleNamespace(monotonic=lambda: begin + ahead[0]))
    return ahead


class Warnings(logging.Handler):
    """Counts the warnings of a spool that is nearly full."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.texts = []
        self.came = threading.Semaphore(0)

    def emit(self, record):
        if "the audit spool is nearly full" in record.getMessage():
            self.texts.append(record.getMessage())
            self.came.release()

    def wait(self):
        assert self.came.acquire(timeout=DEADLINE), "nobody warned"


@pytest.fixture
def warned():
    handler = Warnings()
    logger = logging.getLogger("signal_gateway.audit")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def record_until_full(store, make_event, most=100_000, **fields):
    ids = []
    while len(ids) < most:
        event = make_event(len(ids), **fields)
        try:
            store.record(event)
        except AuditStoreFull:
            break
        ids.append(event.event_id)
    return ids


def wait_for_attempts(server, count):
    while server.arrivals.acquire(blocking=False):
        pass
    for _ in range(count):
        server.wait_for_batch()


def test_store_that_is_nearly_full_warns_once_a_minute(fault_server, make_store, make_event, warned, clock_ahead):
    fault_server.always(fault_server.status(503))
    store = make_store(max_spool_bytes=LIMIT)
    record_until_full(store, make_event)

    warned.wait()
    wait_for_attempts(fault_server, 10)
    in_the_first_minute = len(warned.texts)
    clock_ahead[0] = 59.0
    wait_for_attempts(fault_server, 10)
    before_the_minute_is_over = len(warned.texts)
    clock_ahead[0] = 62.0
    warned.wait()
    wait_for_attempts(fault_server, 10)

    assert (in_the_first_minute, before_the_minute_is_over, len(warned.texts)) == (1, 1, 2)
    assert f"of at most {LIMIT} bytes" in warned.texts[0]


def test_warning_comes_at_four_fifths_of_the_limit_and_not_before(fault_server, make_store, make_event, warned):
    fault_server.always(fault_server.status(503))
    store = make_store(max_spool_bytes=LIMIT)
    while store._wal.held_bytes + LIMIT // 4 < LIMIT * 8 // 10:  # the flusher makes a segment ahead of need
        store.record(make_event())
    wait_for_attempts(fault_server, 10)
    early = list(warned.texts)

    record_until_full(store, make_event)

    warned.wait()
    held = int(warned.texts[0].split("nearly full: ")[1].split(" ")[0])
    assert not early
    assert held >= LIMIT * 8 // 10


def test_full_store_refuses_what_comes_and_drops_nothing(fault_server, make_store, make_event):
    fault_server.always(fault_server.status(503))
    store = make_store(max_spool_bytes=LIMIT)
    taken = record_until_full(store, make_event)
    refused = []
    for number in range(20):
        event = make_event(number)
        with pytest.raises(AuditStoreFull, match=f"of at most {LIMIT} bytes"):
            store.record(event)
        refused.append(event.event_id)

    fault_server.always(fault_server.store)
    result = store.flush(timeout=DEADLINE)

    assert result.ok
    assert list(fault_server.stored) == taken
    assert (store.stats.recorded, store.stats.refused) == (len(taken), 21)
    assert not fault_server.stored.keys() & set(refused)


def test_store_that_was_full_takes_events_again_after_each_delivery(fault_server, make_store, make_event):
    store = make_store(max_spool_bytes=LIMIT)
    rounds = []
    for _ in range(4):
        fault_server.always(fault_server.status(503))
        rounds.append([])
        while store.accepting and (ids := record_until_full(store, make_event, most=1)):
            rounds[-1] += ids
        assert record_until_full(store, make_event) == []
        fault_server.always(fault_server.store)
        assert store.flush(timeout=DEADLINE).ok
        assert store.accepting

    assert list(fault_server.stored) == [event_id for ids in rounds for event_id in ids]
    assert min(len(ids) for ids in rounds) > len(rounds[0]) // 8  # the segment that was filled last may stay


def test_rejected_events_take_room_for_good(fault_server, make_store, make_event):
    fault_server.always(fault_server.problem(400))
    store = make_store(max_spool_bytes=LIMIT, max_batch_events=1)
    padding = "x" * 16 * KIB
    rejected = 0
    for _ in range(LIMIT // len(padding)):
        try:
            store.record(make_event(error_message=padding))
        except AuditStoreFull:
            break
        rejected += 1
        assert store.flush(timeout=DEADLINE).pending == 0

    fault_server.always(fault_server.store)
    with pytest.raises(AuditStoreFull):
        store.record(make_event(error_message=padding))

    assert rejected > 3
    assert (store.stats.rejected, store.stats.pending) == (rejected, 0)
    assert len(store.rejected_events()) == rejected


def test_rejected_events_of_an_earlier_store_take_room_too(fault_server, open_store, make_event):
    def capacity():
        fault_server.always(fault_server.status(503))
        store = open_store(max_spool_bytes=LIMIT)
        count = len(record_until_full(store, make_event))
        fault_server.always(fault_server.store)
        assert store.close(timeout=DEADLINE).ok
        return count

    fresh = capacity()
    fault_server.always(fault_server.problem(400))
    with open_store(max_spool_bytes=LIMIT) as store:
        store.record(make_event(error_message="x" * (LIMIT // 2)))

    assert 0 < capacity() < fresh * 3 // 4


def test_events_of_orphaned_stores_take_room_until_they_are_delivered(
    fault_server, open_store, leave_behind, make_event, tmp_path
):
    dead = leave_behind(400)
    fault_server.always(fault_server.status(503))
    alone = record_until_full(open_store(max_spool_bytes=LIMIT, spool_directory=tmp_path / "other"), make_event)
    store = open_store(max_spool_bytes=LIMIT)
    wait_until(lambda: store._wal._recovery.orphans)

    beside_recovered = record_until_full(store, make_event)
    fault_server.always(fault_server.store)
    wait_until(lambda: store.stats.recovered.pending == store.stats.pending == 0)
    fault_server.always(fault_server.status(503))
    afterwards = record_until_full(store, make_event)
    fault_server.always(fault_server.store)

    assert store.flush(timeout=DEADLINE).ok
    assert len(beside_recovered) < len(alone) * 3 // 4
    assert len(afterwards) > len(beside_recovered)
    assert fault_server.stored.keys() >= {*dead, *beside_recovered, *afterwards}

"""flush is an honest barrier, and the counters add up."""

import itertools
import logging
import threading
import time
from datetime import UTC, datetime

import pytest
from tests.support.waiting import wait_until

from signal_gateway.audit import (
    AuditStoreConfig,
    AuditStoreFull,
    BufferedAuditStore,
    DataStorageClient,
    InvalidAuditEvent,
    RecursiveAuditEvent,
)
from signal_gateway.clock import MovableClock

DEADLINE = 60.0


def assert_adds_up(stats):
    assert stats.recorded == stats.delivered + stats.rejected + stats.pending


def record_forever(store, make_event):
    for number in itertools.count():
        store.record(make_event(number))


@pytest.fixture
def recording_handler(make_event):
    """A logging handler that audits whatever is logged, and keeps the refusals."""

    class RecordingHandler(logging.Handler):
        store = None
        refusals = ()

        def emit(self, _record):
            try:
                self.store.record(make_event(99))
            except RecursiveAuditEvent as exc:
                self.refusals += (exc,)

    return RecordingHandler()


def test_flush_of_an_unused_store_is_ok_and_starts_no_thread(store):
    threads = threading.active_count()

    assert store.flush().ok
    assert threading.active_count() == threads


@pytest.mark.parametrize("durability", ["memory"], indirect=True)
def test_thread_starts_with_the_first_record_and_there_is_one(store, make_event):
    names = [thread.name for thread in threading.enumerate()]
    assert "audit-flusher-shop" not in names

    for number in range(3):
        store.record(make_event(number))
        store.flush()

    flushers = [thread for thread in threading.enumerate() if thread.name == "audit-flusher-shop"]
    assert len(flushers) == 1
    assert flushers[0].daemon


def test_flush_counts_what_left_since_the_previous_one(store, make_event):
    store.record(make_event(0))
    assert store.flush().delivered == 1
    assert store.flush().delivered == 0

    store.record(make_event(1))
    store.record(make_event(2))

    assert store.flush().delivered == 2
    assert store.stats.delivered == 3


def test_flush_says_what_is_pending_and_why(fault_server, make_store, make_event):
    store = make_store()
    fault_server.always(fault_server.status(503))
    for number in range(4):
        store.record(make_event(number))
    wait_until(lambda: store.stats.last_error)

    result = store.flush(timeout=0.05)

    assert not result.ok
    assert (result.delivered, result.rejected, result.pending) == (0, 0, 4)
    assert "503" in result.error
    assert fault_server.url in result.error
    assert_adds_up(store.stats)
    fault_server.always(fault_server.store)
    assert store.flush().ok


def test_flush_says_so_when_no_answer_came_at_all(fault_server, make_store, make_event):
    store = make_store()
    fault_server.script(fault_server.hang)
    store.record(make_event())

    result = store.flush(timeout=0.05)

    assert result.pending == 1
    assert "no response" in result.error
    fault_server.release()


def test_later_events_do_not_delay_a_flush(fault_server, make_store, make_event):
    store = make_store(linger=0)
    late_answer = threading.Event()

    def answer_late(handler, events):
        assert late_answer.wait(DEADLINE)
        fault_server.store(handler, events)

    fault_server.script(fault_server.store, answer_late)
    store.record(make_event(0))
    fault_server.wait_for_batch()
    store.record(make_event(1))
    barrier_is_set = threading.Event()
    results = []

    def flush_behind_the_first():
        barrier_is_set.set()
        results.append(store.flush(timeout=DEADLINE))

    fault_server.wait_for_batch()
    # the second event hangs at the server; a barrier over the first alone is reached
    store._flusher.wait(1, timeout=DEADLINE)
    assert store.stats.delivered == 1
    flusher = threading.Thread(target=flush_behind_the_first)
    flusher.start()
    assert barrier_is_set.wait(DEADLINE)
    late_answer.set()
    flusher.join(DEADLINE)
    assert results[0].ok


def test_flush_under_constant_load_returns(fault_server, make_store, make_event):
    store = make_store(max_batch_events=10)
    loaded = threading.Event()
    loaded.set()

    def store_and_record_as_many_again(handler, events):
        if loaded.is_set():
            for event in events:
                store.record(make_event(event["event_data"]["number"]))
        fault_server.store(handler, events)

    fault_server.always(store_and_record_as_many_again)
    for number in range(50):
        store.record(make_event(number))
    fault_server.wait_for_batch()
    begin = time.monotonic()

    result = store.flush(timeout=2 * DEADLINE)

    assert result.ok
    assert time.monotonic() - begin < DEADLINE  # it was told, and did not wait its timeout out
    assert store.stats.pending
    loaded.clear()
    assert store.flush(timeout=DEADLINE).ok


def test_rejected_event_is_reported_by_one_flush_and_not_by_later_ones(fault_server, make_store, make_event):
    store = make_store()
    fault_server.script(fault_server.problem(400, detail="severity is bad"))
    store.record(make_event(0))
    first = store.flush()
    store.record(make_event(1))

    second, third = store.flush(), store.close()

    assert (first.ok, first.delivered, first.rejected, first.pending) == (False, 0, 1, 0)
    assert "severity is bad" in first.error
    assert (second.ok, second.delivered, second.rejected, second.pending, second.error) == (True, 1, 0, 0, None)
    assert third.ok
    assert [rejection.ordinal for rejection in second.rejections] == [1]
    assert_adds_up(store.stats)


def test_flush_that_timed_out_leaves_the_rejection_to_the_next_one(fault_server, make_store, make_event):
    store = make_store()
    fault_server.script(fault_server.hang, fault_server.problem(400, detail="severity is bad"))
    store.record(make_event(0))
    fault_server.wait_for_batch()
    first = store.flush(timeout=0.01)
    fault_server.release()

    second = store.flush(timeout=DEADLINE)

    assert (first.ok, first.rejected, first.pending) == (False, 0, 1)
    assert (second.ok, second.rejected, second.pending) == (False, 1, 0)


def test_barrier_before_a_rejected_event_is_ok(fault_server, make_store, make_event):
    store = make_store()
    store.record(make_event(0))
    assert store.flush().ok
    fault_server.script(fault_server.problem(400))

    store.record(make_event(1))
    store._flusher.wait(2, DEADLINE)

    earlier, later = store._report(1, 0), store._report(2, 0)
    assert (earlier.ok, earlier.rejected, earlier.rejections) == (True, 0, ())
    assert (later.ok, later.rejected, len(later.rejections)) == (False, 1, 1)


def test_many_flushes_at_once_count_each_event_once(store, make_event):
    together = threading.Barrier(8, timeout=DEADLINE)
    results = []

    def record_and_flush(number):
        together.wait()
        for _ in range(50):
            store.record(make_event(number))
        results.append(store.flush(timeout=DEADLINE))

    threads = [threading.Thread(target=record_and_flush, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)

    assert all(result.ok for result in results)
    assert sum(result.delivered for result in results) == store.stats.delivered == 400


def test_stats_add_up_at_every_read(fault_server, make_store, make_event):
    store = make_store(max_batch_events=3)
    refusing = fault_server.refusing(lambda event: event["event_data"]["number"] % 10 == 7, named=False)
    snapshots = []

    def read_and_answer(handler, events):
        snapshots.append(store.stats)
        refusing(handler, events)

    fault_server.always(read_and_answer)
    for number in range(500):
        store.record(make_event(number))
        snapshots.append(store.stats)
    store.flush(timeout=DEADLINE)

    for stats in snapshots:
        assert_adds_up(stats)
    assert (store.stats.delivered, store.stats.rejected) == (450, 50)


def test_refused_records_are_counted_apart(fault_server, make_store, make_event):
    store = make_store(max_spool_bytes=65536)
    fault_server.script(fault_server.hang)
    store.record(make_event(0))
    with pytest.raises(AuditStoreFull, match="max_spool_bytes"):
        record_forever(store, make_event)
    with pytest.raises(InvalidAuditEvent):
        store.record({"event_type": "order.placed"})

    stats = store.stats

    assert stats.refused == 2
    assert stats.recorded == stats.pending > 0
    fault_server.release()
    assert store.flush().ok


def test_full_store_accepts_nothing_until_there_is_room(fault_server, make_store, make_event):
    store = make_store(max_spool_bytes=65536)
    fault_server.script(fault_server.hang)
    with pytest.raises(AuditStoreFull):
        record_forever(store, make_event)

    assert not store.accepting

    fault_server.release()
    assert store.flush().ok
    assert store.accepting
    store.record(make_event())


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda data: data.update(more="x" * 300_000), "bytes"),
        (lambda data: data.update(more=object()), "JSON"),
        (lambda data: data.update(more=data), "JSON"),
    ],
)
def test_event_data_changed_into_something_unfit_is_refused(store, make_event, change, what):
    event = make_event()
    change(event.event_data)

    with pytest.raises(InvalidAuditEvent, match=what):
        store.record(event)

    assert store.stats.recorded == 0


def test_event_data_changed_after_record_changes_nothing(fault_server, store, make_event):
    event = make_event(1)
    store.record(event)
    event.event_data["number"] = 2

    store.flush()

    assert fault_server.stored[event.event_id]["event_data"]["number"] == 1


def test_event_that_no_batch_can_hold_is_refused(make_store, make_event):
    store = make_store(max_batch_bytes=1024)

    with pytest.raises(InvalidAuditEvent, match="max_batch_bytes"):
        store.record(make_event(error_message="x" * 1024))


def test_age_of_the_oldest_pending_event_is_told(fault_server, make_event):
    clock = MovableClock(datetime(2026, 1, 1, tzinfo=UTC))
    client = DataStorageClient(fault_server.url)
    with BufferedAuditStore(client, service="shop", config=AuditStoreConfig(durability="memory"), clock=clock) as store:
        fault_server.script(fault_server.hang)
        store.record(make_event())
        clock.advance(42)

        assert store.stats.oldest_pending_age == 42.0

        fault_server.release()
        store.flush()
        assert store.stats.oldest_pending_age == 0.0


def test_events_from_the_stores_own_logging_are_refused_and_delivery_goes_on(
    fault_server, store, make_event, recording_handler
):
    recording_handler.store = store
    logger = logging.getLogger("signal_gateway.audit.delivery.flusher")
    logger.addHandler(recording_handler)
    try:
        fault_server.script(fault_server.status(500))
        store.record(make_event(0))
        assert store.flush().ok
    finally:
        logger.removeHandler(recording_handler)

    assert recording_handler.refusals
    assert store.stats.recorded == 1
    assert store.stats.refused == len(recording_handler.refusals)


def test_events_from_a_query_of_the_stores_own_client_are_refused(store, make_event):
    with store.client.inside(), pytest.raises(RecursiveAuditEvent):
        store.record(make_event(0))

    store.record(make_event(0))
    assert store.stats.recorded == 1


@pytest.mark.asyncio
async def test_aflush_and_aclose_do_the_same_on_a_loop(make_store, make_event):
    async with make_store() as store:
        store.record(make_event())

        assert (await store.aflush()).ok

        store.record(make_event())
    assert store.stats.delivered == 2
    assert (await store.aclose()).ok

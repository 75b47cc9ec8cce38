import logging
import threading
from datetime import UTC, datetime

import orjson
import pytest

from signal_gateway.audit import AuditStoreClosed, AuditStoreFull
from signal_gateway.audit.wal.directory import InMemorySegments, SegmentDirectory
from signal_gateway.audit.wal.log import WriteAheadLog
from signal_gateway.audit.wal.segment import FRAME_BYTES
from signal_gateway.clock import MovableClock


def payload(number: int, padding: int = 0) -> bytes:
    return orjson.dumps({"event_id": f"{number:04}", "padding": "x" * padding})


@pytest.fixture
def clock():
    return MovableClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture(params=["memory", "mapped", "written"])
def segments(request, tmp_path):
    if request.param == "memory":
        return InMemorySegments(service="shop")
    segments = SegmentDirectory(tmp_path / "spool", service="shop")
    segments.storage = request.param
    return segments


@pytest.fixture
def make_spool(segments, clock):
    spools = []

    def make(max_bytes=1024 * 1024):
        spool = WriteAheadLog(segments, max_bytes=max_bytes, clock=clock, log=logging.getLogger("spool"))
        spools.append(spool)
        return spool

    yield make
    for spool in spools:
        spool.seal()
        spool.release()


@pytest.fixture
def spool(make_spool):
    return make_spool()


def texts(records) -> list[bytes]:
    return [segment.buffer.read(begin, end) for segment, begin, end in records.places]


def fill(spool, count: int, begin: int = 0) -> list[bytes]:
    payloads = [payload(number) for number in range(begin, begin + count)]
    for one in payloads:
        spool.append(one)
    return payloads


def test_peek_gives_the_oldest_events_and_leaves_them(spool):
    payloads = fill(spool, 5)

    assert texts(spool.peek(3, 10_000)) == payloads[:3]
    assert texts(spool.peek(3, 10_000)) == payloads[:3]
    assert texts(spool.peek(99, 10_000)) == payloads


def test_peek_counts_the_brackets_and_commas(spool):
    payloads = fill(spool, 3)
    two = len(b"[" + b",".join(payloads[:2]) + b"]")

    assert len(spool.peek(99, two)) == 2
    assert len(spool.peek(99, two - 1)) == 1


def test_peek_gives_one_event_however_large(spool):
    fill(spool, 2)

    assert len(spool.peek(99, 1)) == 1


def test_peek_of_an_empty_spool_is_empty(spool):
    assert texts(spool.peek(10, 10)) == []


def test_counts_follow_what_is_acknowledged(spool):
    payloads = fill(spool, 5)

    rejected = spool.ack(3, rejected={1: "too odd"})

    counts = spool.counts()
    assert (counts.recorded, counts.delivered, counts.rejected, counts.pending) == (5, 2, 1, 2)
    assert [(rejection.ordinal, rejection.reason) for rejection in spool.rejections(5)] == [(2, "too odd")]
    assert [(event.event_id, event.payload, event.reason) for event in rejected] == [("0001", payloads[1], "too odd")]
    assert spool.rejected_events() == rejected
    assert texts(spool.peek(99, 10_000)) == payloads[3:]


def test_rejections_have_ordinals_and_are_found_by_them(spool):
    fill(spool, 6)
    spool.ack(2, rejected={})
    spool.ack(2, rejected={1: "a", 0: "b"})
    spool.ack(2, rejected={0: "c"})

    assert [rejection.ordinal for rejection in spool.rejections(6)] == [3, 4, 5]
    assert [rejection.ordinal for rejection in spool.rejections(3)] == [3]
    assert [spool.rejected_through(ordinal) for ordinal in (2, 3, 4, 6)] == [0, 1, 2, 3]
    assert [event.reason for event in spool.rejected_events()] == ["b", "a", "c"]


def test_appends_go_on_behind_acknowledged_events(spool):
    fill(spool, 3)
    spool.ack(2, rejected={})

    more = fill(spool, 3, begin=3)

    assert spool.counts().recorded == 6
    assert texts(spool.peek(99, 10_000))[-3:] == more


def test_sealed_spool_refuses_appends_and_gives_out_what_it_has(spool):
    payloads = fill(spool, 4)
    spool.seal()
    spool.seal()

    with pytest.raises(AuditStoreClosed):
        spool.append(payload(9))

    assert spool.sealed
    assert texts(spool.peek(2, 10_000)) == payloads[:2]
    spool.ack(2, rejected={})
    assert texts(spool.peek(2, 10_000)) == payloads[2:]
    spool.ack(2, rejected={})
    assert spool.counts().pending == 0
    assert spool.oldest_recorded_at() is None


def test_limit_is_reached_and_left_again(make_spool):
    spool = make_spool(65536)
    with pytest.raises(AuditStoreFull, match="65536"):
        fill(spool, 10_000)
    held = spool.counts().recorded
    assert spool.full

    spool.ack(held, rejected={})

    assert not spool.full
    fill(spool, 10)
    assert spool.counts().recorded == held + 10


def test_segments_take_the_whole_limit_and_no_more(make_spool):
    spool = make_spool(65536)
    with pytest.raises(AuditStoreFull):
        fill(spool, 10_000)

    assert spool.held_bytes == 65536


def test_room_shrinks_with_each_event_and_grows_with_what_is_settled(make_spool):
    spool = make_spool(65536)
    at_first = spool.free_bytes
    fill(spool, 10)
    with_ten = spool.free_bytes
    with pytest.raises(AuditStoreFull):
        fill(spool, 10_000)
    when_full = spool.free_bytes

    spool.ack(spool.counts().recorded, rejected={})

    assert 65536 >= at_first > with_ten > when_full >= 0
    assert when_full < len(payload(0)) + FRAME_BYTES
    assert spool.free_bytes > with_ten // 2


def test_sealed_spool_has_no_room(make_spool):
    spool = make_spool(65536)

    spool.seal()

    assert spool.free_bytes == 0


def test_event_larger_than_a_segment_gets_one_of_its_own_size(make_spool):
    spool = make_spool(1024 * 1024)
    large = payload(0, padding=500_000)

    spool.append(large)

    assert texts(spool.peek(1, 1)) == [large]


def test_event_larger_than_the_limit_is_refused(make_spool):
    spool = make_spool(65536)

    with pytest.raises(AuditStoreFull, match="no space for an event of 100"):
        spool.append(payload(0, padding=100_000))
    fill(spool, 3)

    assert spool.counts().recorded == 3


def test_rejected_events_count_towards_the_limit(make_spool):
    spool = make_spool(65536)
    fill(spool, 1)
    before = spool.held_bytes

    spool.ack(1, rejected={0: "no"})

    assert spool.held_bytes > before


def test_closed_is_said_before_full(make_spool):
    spool = make_spool(65536)
    spool.seal()

    with pytest.raises(AuditStoreClosed):
        spool.append(payload(0, padding=100_000))


def test_events_keep_their_order_across_segments(make_spool):
    spool = make_spool(65536 * 4)

    payloads = fill(spool, 2000)

    assert texts(spool.peek(10_000, 10**9)) == payloads
    spool.ack(1500, rejected={1000: "no"})
    assert texts(spool.peek(10_000, 10**9)) == payloads[1500:]
    counts = spool.counts()
    assert (counts.recorded, counts.delivered, counts.rejected) == (2000, 1499, 1)
    assert [rejection.ordinal for rejection in spool.rejections(2000)] == [1001]


def test_age_is_that_of_the_oldest_pending_event(spool, clock):
    assert spool.oldest_recorded_at() is None
    fill(spool, 1)
    clock.advance(5)
    fill(spool, 1)

    assert spool.oldest_recorded_at() == 0.0
    spool.ack(1, rejected={})
    assert spool.oldest_recorded_at() == 5.0


def test_seal_among_appending_threads_decides_each_append_one_way(spool):
    taken: list[bytes] = []
    start = threading.Barrier(5, timeout=60)

    def append_until_refused(lane: int) -> None:
        start.wait()
        for number in range(10_000):
            one = payload(lane * 10_000 + number)
            try:
                spool.append(one)
            except (AuditStoreClosed, AuditStoreFull):
                return
            taken.append(one)

    threads = [threading.Thread(target=append_until_refused, args=(lane,)) for lane in range(4)]
    for thread in threads:
        thread.start()
    start.wait()
    spool.seal()
    for thread in threads:
        thread.join()

    assert sorted(texts(spool.peek(100_000, 10**9))) == sorted(taken)
    assert spool.counts().recorded == len(taken)

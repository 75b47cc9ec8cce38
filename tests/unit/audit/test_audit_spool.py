import threading

import orjson
import pytest

from signal_gateway.audit import AuditStoreClosed, AuditStoreFull
from signal_gateway.audit.spool import MemorySpool
from signal_gateway.clock import ManualClock


def payload(number: int, padding: int = 0) -> bytes:
    return orjson.dumps({"event_id": f"{number:04}", "padding": "x" * padding})


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def spool(clock):
    return MemorySpool(max_bytes=100_000, clock=clock)


def fill(spool, count: int, begin: int = 0) -> list[bytes]:
    payloads = [payload(number) for number in range(begin, begin + count)]
    for one in payloads:
        spool.append(one)
    return payloads


def test_head_gives_the_oldest_events_and_leaves_them(spool):
    payloads = fill(spool, 5)

    assert spool.head(3, 10_000) == payloads[:3]
    assert spool.head(3, 10_000) == payloads[:3]
    assert spool.head(99, 10_000) == payloads


def test_head_counts_the_brackets_and_commas(spool):
    payloads = fill(spool, 3)
    two = len(b"[" + b",".join(payloads[:2]) + b"]")

    assert len(spool.head(99, two)) == 2
    assert len(spool.head(99, two - 1)) == 1


def test_head_gives_one_event_however_large(spool):
    fill(spool, 2)

    assert len(spool.head(99, 1)) == 1


def test_head_of_an_empty_spool_is_empty(spool):
    assert spool.head(10, 10) == []


def test_counts_follow_what_is_acknowledged(spool):
    payloads = fill(spool, 5)

    rejected = spool.acknowledge(3, rejected={1: "too odd"})

    counts = spool.counts()
    assert (counts.recorded, counts.delivered, counts.rejected, counts.pending) == (5, 2, 1, 2)
    assert counts.first_rejected == 2
    assert [(event.event_id, event.payload, event.reason) for event in rejected] == [("0001", payloads[1], "too odd")]
    assert spool.rejected_events() == rejected
    assert spool.head(99, 10_000) == payloads[3:]


def test_first_rejected_stays_the_first(spool):
    fill(spool, 6)
    spool.acknowledge(2, rejected={})
    spool.acknowledge(2, rejected={1: "a", 0: "b"})
    spool.acknowledge(2, rejected={0: "c"})

    assert spool.counts().first_rejected == 3
    assert [event.reason for event in spool.rejected_events()] == ["b", "a", "c"]


def test_appends_go_on_behind_acknowledged_events(spool):
    fill(spool, 3)
    spool.acknowledge(2, rejected={})

    more = fill(spool, 3, begin=3)

    assert spool.counts().recorded == 6
    assert spool.head(99, 10_000)[-3:] == more


def test_sealed_spool_refuses_appends_and_gives_out_what_it_has(spool):
    payloads = fill(spool, 4)
    spool.seal()
    spool.seal()

    with pytest.raises(AuditStoreClosed):
        spool.append(payload(9))

    assert spool.sealed
    assert spool.head(2, 10_000) == payloads[:2]
    spool.acknowledge(2, rejected={})
    assert spool.head(2, 10_000) == payloads[2:]
    spool.acknowledge(2, rejected={})
    assert spool.counts().pending == 0
    assert spool.oldest_recorded_at() is None


def test_limit_is_reached_and_left_again(clock):
    spool = MemorySpool(max_bytes=1000, clock=clock)
    with pytest.raises(AuditStoreFull, match="1000"):
        fill(spool, 1000)
    held = spool.counts().recorded

    spool.acknowledge(1, rejected={})
    fill(spool, 1)

    assert spool.counts().recorded == held + 1
    assert sum(len(one) for one in spool.head(1000, 10_000)) <= 1000


def test_rejected_events_count_towards_the_limit(clock):
    spool = MemorySpool(max_bytes=500, clock=clock)
    spool.append(payload(0, padding=400))
    spool.acknowledge(1, rejected={0: "no"})

    with pytest.raises(AuditStoreFull):
        spool.append(payload(1, padding=100))


def test_closed_is_said_before_full(clock):
    spool = MemorySpool(max_bytes=10, clock=clock)
    spool.seal()

    with pytest.raises(AuditStoreClosed):
        spool.append(payload(0))


def test_age_is_that_of_the_oldest_pending_event(spool, clock):
    assert spool.oldest_recorded_at() is None
    fill(spool, 1)
    clock.advance(5)
    fill(spool, 1)

    assert spool.oldest_recorded_at() == 0.0
    spool.acknowledge(1, rejected={})
    assert spool.oldest_recorded_at() == 5.0


def test_seal_among_appending_threads_decides_each_append_one_way(spool):
    taken: list[bytes] = []
    start = threading.Barrier(5, timeout=10)

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

    assert sorted(spool.head(100_000, 10**9)) == sorted(taken)
    assert spool.counts().recorded == len(taken)

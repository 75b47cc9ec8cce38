from hypothesis import given
from hypothesis import strategies as st

from signal_gateway.audit.delivery.batch import Batch, BatchLimit

SIZE = 1
LIMIT = BatchLimit(events=1000, body_bytes=10**6)


def deliver(batch: Batch, *, bad: set[int], most: int, named: bool) -> tuple[list[int], dict[int, str], int]:
    """Play a server that refuses bad events and large batches; return what it stored, what was rejected, and calls."""
    stored: list[int] = []
    rejected: dict[int, str] = {}
    acknowledged = calls = 0
    while run := batch.next_run():
        calls += 1
        assert 1 + len(run) * (SIZE + 1) <= batch.limit.body_bytes or len(run) == 1
        at_fault = {item: "is bad" for item, index in enumerate(run.indices) if index in bad}
        if len(run) > most:
            batch.too_large(run, "too large")
        elif at_fault:
            batch.reject(run, "bad batch", at_fault if named else {})
        else:
            stored += run.indices
            batch.accept(run)
        count, newly_rejected = batch.take_settled()
        rejected |= {acknowledged + index: reason for index, reason in newly_rejected.items()}
        acknowledged += count
    return stored, rejected, calls


@given(count=st.integers(1, 60), most=st.integers(1, 60), named=st.booleans(), data=st.data())
def test_every_event_is_stored_in_order_or_rejected_and_acknowledged_once(count, most, named, data):
    bad = data.draw(st.sets(st.integers(0, count - 1)))
    batch = Batch([SIZE] * count, limit=LIMIT)

    stored, rejected, calls = deliver(batch, bad=bad, most=most, named=named)

    assert stored == [index for index in range(count) if index not in bad]
    assert set(rejected) == bad
    assert calls <= 4 * count
    assert batch.next_run() is None
    assert batch.take_settled() == (0, {})


def test_limit_is_kept_from_the_first_run():
    batch = Batch([5] * 10, limit=BatchLimit(events=4, body_bytes=len("[12345,12345]")))

    assert list(batch.next_run().indices) == [0, 1]


def test_one_bad_event_does_not_change_the_limit():
    batch = Batch([SIZE] * 64, limit=LIMIT)

    deliver(batch, bad={17}, most=1000, named=False)

    assert batch.limit == LIMIT


def test_what_passed_after_413_is_the_limit_in_bytes():
    batch = Batch([SIZE] * 64, limit=LIMIT)

    deliver(batch, bad=set(), most=20, named=False)

    assert batch.limit == BatchLimit(events=1000, body_bytes=2 * 16 + 1)


def test_unsettled_run_comes_again():
    batch = Batch([1, 1], limit=LIMIT)

    assert batch.next_run() == batch.next_run()
    assert batch.take_settled() == (0, {})


def test_batch_of_nothing_has_nothing_to_do():
    batch = Batch([], limit=LIMIT)

    assert batch.next_run() is None
    assert batch.take_settled() == (0, {})

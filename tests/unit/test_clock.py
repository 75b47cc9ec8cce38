import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from signal_gateway.clock import ManualClock, MovableClock, SystemClock


def test_manual_clock_stands_still_until_it_is_advanced():
    clock = ManualClock(datetime(2026, 5, 1, tzinfo=UTC))

    clock.advance(90)

    assert clock.now() == datetime(2026, 5, 1, 0, 1, 30, tzinfo=UTC)
    assert clock.monotonic() == 90


def test_manual_clock_does_not_run_backwards():
    with pytest.raises(ValueError, match="zero or more"):
        ManualClock().advance(-1)


def test_manual_clock_wants_an_aware_start():
    with pytest.raises(ValueError, match=r"tzinfo=datetime\.UTC"):
        ManualClock(datetime(2026, 5, 1))


def test_system_clock_is_in_utc():
    assert SystemClock().now().utcoffset() == timedelta(0)


@pytest.mark.parametrize("make_clock", [ManualClock, MovableClock])
def test_sleeper_wakes_when_the_clock_has_been_moved_far_enough(make_clock):
    clock = make_clock()

    async def sleep_while_it_is_moved():
        sleeper = asyncio.create_task(clock.sleep(3600))
        await asyncio.sleep(0)
        await asyncio.to_thread(clock.advance, 3000)
        await asyncio.sleep(0)
        was_asleep = not sleeper.done()
        await asyncio.to_thread(clock.advance, 600)
        await asyncio.wait_for(sleeper, timeout=10)
        return was_asleep

    assert asyncio.run(sleep_while_it_is_moved())


def test_movable_clock_runs_by_itself():
    clock = MovableClock()
    begin = clock.monotonic()

    asyncio.run(clock.sleep(0.001))

    assert clock.monotonic() - begin >= 0.001


def test_movable_clock_is_ahead_by_what_it_was_advanced_by():
    clock = MovableClock()

    clock.advance(7200)

    assert clock.now() - datetime.now(UTC) > timedelta(seconds=7199)


def test_movable_clock_does_not_run_backwards():
    with pytest.raises(ValueError, match="zero or more"):
        MovableClock().advance(-1)

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from signal_gateway.clock import MovableClock, SystemClock

STARTS = [pytest.param(datetime(2026, 1, 1, tzinfo=UTC), id="stands still"), pytest.param(None, id="runs")]


def test_clock_with_a_start_stands_still_until_it_is_advanced():
    clock = MovableClock(datetime(2026, 5, 1, tzinfo=UTC))

    clock.advance(90)

    assert clock.now() == datetime(2026, 5, 1, 0, 1, 30, tzinfo=UTC)
    assert clock.monotonic() == 90


def test_start_must_be_aware():
    with pytest.raises(ValueError, match=r"tzinfo=datetime\.UTC"):
        MovableClock(datetime(2026, 5, 1))


def test_system_clock_is_in_utc():
    assert SystemClock().now().utcoffset() == timedelta(0)


@pytest.mark.parametrize("start", STARTS)
def test_sleeper_wakes_when_the_clock_has_been_moved_far_enough(start):
    clock = MovableClock(start)

    async def sleep_while_it_is_moved():
        sleeper = asyncio.create_task(clock.sleep(3600))
        await asyncio.sleep(0)
        await asyncio.to_thread(clock.advance, 3000)
        await asyncio.sleep(0)
        was_asleep = not sleeper.done()
        await asyncio.to_thread(clock.advance, 600)
        await asyncio.wait_for(sleeper, timeout=60)
        return was_asleep

    assert asyncio.run(sleep_while_it_is_moved())


def test_clock_without_a_start_runs_by_itself():
    clock = MovableClock()
    begin = clock.monotonic()

    asyncio.run(clock.sleep(0.001))

    assert clock.monotonic() - begin >= 0.001


def test_clock_without_a_start_is_ahead_by_the_advanced_seconds():
    clock = MovableClock()

    clock.advance(7200)

    assert clock.now() - datetime.now(UTC) > timedelta(seconds=7199)


@pytest.mark.parametrize("start", STARTS)
def test_clock_does_not_run_backwards(start):
    with pytest.raises(ValueError, match="zero or more"):
        MovableClock(start).advance(-1)

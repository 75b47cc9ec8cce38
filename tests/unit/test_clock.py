from datetime import UTC, datetime, timedelta

import pytest

from signal_gateway.clock import ManualClock, SystemClock


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

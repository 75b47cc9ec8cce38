"""time_filter: the times of --since and --until, in the zone of the reader."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from signal_gateway.commands.times import duration, time_filter

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 29, 7, 15, tzinfo=UTC)


def since(text, *, zone=BERLIN, now=NOW):
    return time_filter(text, edge="since", now=now, zone=zone)


def until(text, *, zone=BERLIN, now=NOW):
    return time_filter(text, edge="until", now=now, zone=zone)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-28 20:00", "2026-11-28T19:00:00Z"),
        ("2026-11-28T20:00", "2026-11-28T19:00:00Z"),
        ("  2026-11-28   20:00 ", "2026-11-28T19:00:00Z"),
        ("2026-07-28 20:00:15.25", "2026-07-28T18:00:15.25Z"),
        ("2026-11-28", "2026-11-27T23:00:00Z"),
        ("yesterday", "2026-11-27T23:00:00Z"),
        ("yesterday 22:00", "2026-11-28T21:00:00Z"),
        ("Yesterday 22:00:05", "2026-11-28T21:00:05Z"),
        ("today", "2026-11-28T23:00:00Z"),
        ("today 06:30", "2026-11-29T05:30:00Z"),
        ("2026-11-28T20:00:00Z", "2026-11-28T20:00:00Z"),
        ("2026-11-28t20:00:00.5z", "2026-11-28T20:00:00.5Z"),
        ("2026-11-28 20:00-05:00", "2026-11-29T01:00:00Z"),
        ("2026-11-28T20:00:00+05:30", "2026-11-28T14:30:00Z"),
    ],
)
def test_time_without_a_zone_is_in_the_zone_of_the_reader(text, moment):
    assert since(text) == until(text) == datetime.fromisoformat(moment)


@pytest.mark.parametrize("text", ["2026-11-28 20:00", "yesterday 20:00"])
def test_time_is_in_utc_if_the_reader_wants_utc(text):
    assert since(text, zone=UTC) == datetime(2026, 11, 28, 20, tzinfo=UTC)


def test_yesterday_is_the_day_before_in_the_zone_of_the_reader():
    after_midnight_in_berlin = datetime(2026, 11, 28, 23, 30, tzinfo=UTC)

    assert since("yesterday", now=after_midnight_in_berlin) == datetime(2026, 11, 27, 23, tzinfo=UTC)
    assert since("yesterday", now=after_midnight_in_berlin, zone=UTC) == datetime(2026, 11, 27, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("2h", timedelta(hours=2)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("3d", timedelta(days=3)),
        ("1.5h", timedelta(hours=1, minutes=30)),
        ("1d2h3m4s5ms", timedelta(days=1, hours=2, minutes=3, seconds=4, milliseconds=5)),
    ],
)
def test_duration_stays_a_duration(text, length):
    assert since(text) == until(text) == duration(text) == length


@pytest.mark.parametrize(
    ("zone", "skipped", "change"),
    [
        ("Europe/Berlin", "2026-03-29 02:30", "2026-03-29T01:00:00Z"),
        ("America/New_York", "2026-03-08 02:00", "2026-03-08T07:00:00Z"),
        ("Africa/Cairo", "2026-04-24", "2026-04-23T22:00:00Z"),
        ("Australia/Lord_Howe", "2026-10-04 02:15", "2026-10-03T15:30:00Z"),
        ("Pacific/Apia", "2011-12-30 12:00", "2011-12-30T10:00:00Z"),
    ],
)
def test_time_that_clocks_skip_is_the_moment_of_the_change(zone, skipped, change):
    moment = datetime.fromisoformat(change)

    assert since(skipped, zone=ZoneInfo(zone)) == until(skipped, zone=ZoneInfo(zone)) == moment


@pytest.mark.parametrize(
    ("zone", "repeated", "first", "second"),
    [
        ("Europe/Berlin", "2026-10-25 02:30", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"),
        ("America/New_York", "2026-11-01 01:00", "2026-11-01T05:00:00Z", "2026-11-01T06:00:00Z"),
        ("Australia/Lord_Howe", "2026-04-05 01:45", "2026-04-04T14:45:00Z", "2026-04-04T15:15:00Z"),
    ],
)
def test_time_that_clocks_show_twice_gives_the_wider_window(zone, repeated, first, second):
    assert since(repeated, zone=ZoneInfo(zone)) == datetime.fromisoformat(first)
    assert until(repeated, zone=ZoneInfo(zone)) == datetime.fromisoformat(second)


@pytest.mark.parametrize("year", range(2024, 2030))
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"])
def test_window_from_a_wall_time_has_all_moments_with_that_wall_time_or_a_later_one(zone, year):
    reader = ZoneInfo(zone)
    start = datetime(year, 1, 1, tzinfo=UTC)

    for number in range(0, 365 * 24 * 4, 5):
        moment = start + number * timedelta(minutes=15)
        wall = f"{moment.astimezone(reader):%Y-%m-%d %H:%M:%S}"

        assert since(wall, zone=reader) <= moment <= until(wall, zone=reader)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "last week",
        "tomorrow",
        "20:00",
        "yesterday 25:00",
        "yesterday 2h",
        "2026-13-01",
        "2026-02-30 10:00",
        "2026-11-28 20",
        "28.11.2026",
        "1763000000",
        "2h ago",
        "-2h",
        "2 h",
        "1w",
        "٢h",
        "2026-11-28 20:00 Europe/Berlin",
        "0001-01-01",
        "9999-12-31T23:59:59-14:00",
        "999999999999d",
        "x" * 5000,
    ],
)
def test_another_form_is_an_error_that_lists_the_forms(text):
    with pytest.raises(ValueError, match="is not valid") as caught:
        since(text, zone=ZoneInfo("Asia/Tokyo"))

    message = str(caught.value)
    assert len(message) <= 280
    for form in ('"2026-11-28 20:00"', "2026-11-28T20:00:00Z", "yesterday", '"yesterday 22:00"', "2h", "1h30m", "3d"):
        assert form in message


def test_zone_of_the_machine_is_the_default():
    code = (
        "from datetime import *; from signal_gateway.commands.times import time_filter as t;"
        "n = datetime(2026, 11, 29, 7, tzinfo=UTC);"
        "print(*(t(x, edge=e, now=n, zone=None).isoformat() for e in ('since', 'until')"
        " for x in ('2026-07-01 20:00', 'yesterday 22:00', '2026-03-29 02:30', '2026-10-25 02:30')))"
    )

    environment = os.environ | {"TZ": "Europe/Berlin"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    printed = run.stdout.split()

    assert printed == [
        "2026-07-01T18:00:00+00:00",
        "2026-11-28T21:00:00+00:00",
        "2026-03-29T01:00:00+00:00",
        "2026-10-25T00:30:00+00:00",
        "2026-07-01T18:00:00+00:00",
        "2026-11-28T21:00:00+00:00",
        "2026-03-29T01:00:00+00:00",
        "2026-10-25T01:30:00+00:00",
    ]

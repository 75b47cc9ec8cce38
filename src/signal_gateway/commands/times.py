"""time_filter: a time as people write it, such as `yesterday 22:00` or `1h30m`, as a moment or a duration."""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, Literal

__all__ = ["TIME_FORMS", "Edge", "duration", "time_filter"]

Edge = Literal["since", "until"]

TIME_FORMS: Final = (
    'a time such as "2026-11-28 20:00" or 2026-11-28T20:00:00Z, a day such as 2026-11-28, today or yesterday,'
    ' also with a time as in "yesterday 22:00", or a length of time before now such as 2h, 1h30m or 3d'
)

_DURATION: Final = re.compile(r"(?:\d{1,9}(?:\.\d{1,9})?(?:ms|[smhd]))+", re.ASCII)
_PART: Final = re.compile(r"([\d.]+)([a-z]+)")
_UNITS: Final = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_MOMENT: Final = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d|today|yesterday)"
    r"(?:[ t](?P<time>\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(?P<zone>z|[+-]\d\d:\d\d)?)?",
    re.ASCII,
)
_SHOWN: Final = 30  # characters of a text in an error


def duration(text: str) -> timedelta | None:
    """Return the length of a text such as `2h`, `1h30m` or `3d`; None for a text of another form.

    Raises:
        OverflowError: The length is beyond the range of a `timedelta`.
    """
    if not _DURATION.fullmatch(text):
        return None
    parts = (timedelta(**{_UNITS[unit]: float(number)}) for number, unit in _PART.findall(text))
    return sum(parts, timedelta())


def time_filter(text: str, *, edge: Edge, now: datetime, zone: tzinfo | None) -> datetime | timedelta:
    """Return the edge of a window of event times.

    A day is its 00:00. A time that the clocks of the zone show twice is the first one for `since` and the second one
    for `until`: the window is the wider one. A time that the clocks skip is the moment of the change, because the first
    moment with this time or a later one is that moment.

    Args:
        text: One of `TIME_FORMS`.
        edge: Edge of the window.
        now: Reference of `today` and `yesterday`, aware.
        zone: Zone of a time without one; None for the zone of the machine.

    Returns:
        An aware datetime in UTC; a length of time before now for a duration.

    Raises:
        ValueError: The text has another form, or is beyond the calendar; the message lists the forms.
    """
    written = " ".join(text.split()).lower()
    try:
        length = duration(written)
        if length is not None:
            return length
        found = _MOMENT.fullmatch(written)
        if found is not None:
            return _moment(found, edge, now, zone)
    except (ValueError, OverflowError, OSError) as exc:  # the C library raises OSError for some years
        raise _invalid(text) from exc
    raise _invalid(text)


def _moment(found: re.Match[str], edge: Edge, now: datetime, zone: tzinfo | None) -> datetime:
    day, time, own_zone = found["day"], found["time"] or "00:00", found["zone"]
    if day in ("today", "yesterday"):
        date = now.astimezone(zone).date() - timedelta(days=day == "yesterday")
        day = date.isoformat()
    if own_zone is not None:
        return datetime.fromisoformat(f"{day}T{time}{own_zone.upper()}").astimezone(UTC)
    return _at_wall_time(datetime.fromisoformat(f"{day}T{time}"), edge, zone)


def _at_wall_time(wall: datetime, edge: Edge, zone: tzinfo | None) -> datetime:
    """Return the moment at which the clocks of a zone show a time (PEP 495 has the terms)."""
    # by `timestamp`, as `astimezone` of a time without a zone ignores `fold` for a time that the clocks skip
    seconds = [wall.replace(tzinfo=zone, microsecond=0, fold=fold).timestamp() for fold in (0, 1)]
    first, second = (datetime.fromtimestamp(one, UTC).replace(microsecond=wall.microsecond) for one in seconds)
    if first <= second:
        return first if edge == "since" else second
    # the clocks skip this time: `second` is before the change, and `first` is after it
    before, after = second, first
    while after - before > timedelta(microseconds=1):
        middle = before + (after - before) / 2
        if middle.astimezone(zone).replace(tzinfo=None) < wall:
            before = middle
        else:
            after = middle
    return after


def _invalid(text: str) -> ValueError:
    shown = repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
    return ValueError(f"{shown} is not valid: use {TIME_FORMS}")

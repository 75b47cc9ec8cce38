"""Chart: how many events a search finds over time, as the numbers that an SVG is drawn from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from signal_gateway.datastorage.backend import Backend, Bar
from signal_gateway.datastorage.query import EventQuery, Order
from signal_gateway.datastorage.record import MAX_CLOCK_LEAD, microseconds
from signal_gateway.datastorage.viewer.search import Search
from signal_gateway.datastorage.viewer.times import moment, rfc_3339, span_text, stamp

__all__ = ["BAR_HEIGHT", "MAX_CHARTED_EVENTS", "OUTCOMES", "BarSegment", "Chart", "Column", "read_chart"]

MAX_CHARTED_EVENTS = 500_000
"""A chart of more events would keep others waiting for the database."""

OUTCOMES = ("failure", "pending", "success")
"""From the ground up, so that failures can be compared from bar to bar."""

BAR_HEIGHT = 96
_LEAST_HEIGHT = 2  # of a part, or one failure among thousands of events could not be seen
_MOST_COLUMNS = 60

_SECOND = 1_000_000
_DAY = 86_400 * _SECOND
_WIDTHS = (
    *(_SECOND // n for n in (1000, 200, 100, 50, 20, 10, 5, 2)),
    *(_SECOND * n for n in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800)),
    *(3600 * _SECOND * n for n in (1, 2, 3, 6, 12)),
    *(_DAY * n for n in (1, 2, 5, 10, 30, 90, 365)),
)


class BarSegment(NamedTuple):
    """The part of a column for one outcome, in the SVG's units, from the top."""

    outcome: str
    y: int
    height: int


@dataclass(frozen=True, slots=True)
class Column:
    """A bar, and where it leads.

    Attributes:
        place: Its number from the left.
        segments: From the ground up.
        outcomes: The number of events by outcome.
        since: Its first moment, as it is shown.
        until: Its last moment, as it is shown.
        url: The search within its time.
    """

    place: int
    segments: Sequence[BarSegment]
    outcomes: Mapping[str, int]
    since: str
    until: str
    url: str

    @property
    def total(self) -> int:
        """How many events."""
        return sum(self.outcomes.values())


@dataclass(frozen=True, slots=True)
class Chart:
    """The columns with events in them, and what is said about all.

    Attributes:
        columns: Oldest first.
        places: How many columns there is room for.
        width: The time that a column stands for, as it is shown.
        since: The first moment, as it is shown.
        until: The last moment, as it is shown.
        outside: How many events are later than the last moment.
    """

    columns: Sequence[Column]
    places: int
    width: str
    since: str
    until: str
    outside: int

    @property
    def highest(self) -> Column:
        """The first of the highest columns."""
        return max(self.columns, key=lambda column: column.total)

    @property
    def outcomes(self) -> dict[str, int]:
        """The number of events by outcome, those that occur."""
        counts = {outcome: sum(column.outcomes.get(outcome, 0) for column in self.columns) for outcome in OUTCOMES}
        return {outcome: count for outcome, count in counts.items() if count}


async def read_chart(backend: Backend, query: EventQuery, search: Search, *, total: int, now: datetime) -> Chart | None:
    """Count what a query finds, from its first event or `since` to now or its `until`.

    Args:
        backend: Keeps the events.
        query: Its paging is left aside.
        search: What the query was read from, for the columns' links.
        total: How many events it finds.
        now: The end of a chart without `until`, unless the newest event is a little later.

    Returns:
        None if there is nothing in that time to draw.
    """
    low = microseconds(query.since) if query.since else await _outermost(backend, query, "asc")
    if query.until:
        high = microseconds(query.until)
    else:
        newest = await _outermost(backend, query, "desc")
        latest = microseconds(now + MAX_CLOCK_LEAD)
        high = max(low, microseconds(now), newest if newest <= latest else 0)
    width = _width(high - low)
    bars = await backend.histogram(replace(query, since=moment(low), until=moment(high)), width=width)
    return _chart(bars, search, low=low, high=high, width=width, total=total) if bars else None


def _chart(bars: Sequence[Bar], search: Search, *, low: int, high: int, width: int, total: int) -> Chart:
    peak = max(sum(bar.outcomes.values()) for bar in bars)
    columns = [
        _column(bar, search, place=bar.start // width - low // width, low=low, high=high, width=width, peak=peak)
        for bar in bars
    ]
    return Chart(
        columns,
        places=high // width - low // width + 1,
        width=span_text(width),
        since=stamp(low),
        until=stamp(high),
        outside=max(0, total - sum(column.total for column in columns)),
    )


def _column(bar: Bar, search: Search, *, place: int, low: int, high: int, width: int, peak: int) -> Column:
    since, until = max(bar.start, low), min(bar.start + width - 1, high)
    segments, top = [], 100
    for outcome in OUTCOMES:
        if count := bar.outcomes.get(outcome, 0):
            height = max(_LEAST_HEIGHT, round(BAR_HEIGHT * count / peak))
            top -= height
            segments.append(BarSegment(outcome, top, height))
    url = search.with_values(since=rfc_3339(since), until=rfc_3339(until)).url
    return Column(place, segments, bar.outcomes, stamp(since), stamp(until), url)


async def _outermost(backend: Backend, query: EventQuery, order: Order) -> int:
    page = await backend.query(replace(query, order=order, after=None, offset=0, limit=1))
    return page.events[0].event_timestamp if page.events else 0


def _width(span: int) -> int:
    """Return the least round width that makes no more columns than are drawn."""
    for width in _WIDTHS:
        if span <= width * (_MOST_COLUMNS - 1):
            return width
    width = _WIDTHS[-1]
    while span > width * (_MOST_COLUMNS - 1):
        width *= 2
    return width

"""Chart: the number of events over time, as the coordinates of an SVG."""

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
"""Counting more events for a chart would delay other queries too long."""

OUTCOMES = ("failure", "pending", "success")
"""From the bottom to the top, so that failures of different bars are comparable."""

BAR_HEIGHT = 96
_LEAST_HEIGHT = 2  # of a segment, so that one failure among thousands of events is visible
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
    """The segment of a column for one outcome, in units of the SVG, from the top."""

    outcome: str
    y: int
    height: int


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the chart, with the link to its events.

    Attributes:
        slot: The position from the left, from zero.
        segments: From the bottom to the top.
        outcomes: The number of events by outcome.
        since: The start of its interval, as text.
        until: The end of its interval, as text.
        url: The search for the events of its interval.
    """

    slot: int
    segments: Sequence[BarSegment]
    outcomes: Mapping[str, int]
    since: str
    until: str
    url: str

    @property
    def total(self) -> int:
        """The number of events."""
        return sum(self.outcomes.values())


@dataclass(frozen=True, slots=True)
class Chart:
    """The columns with events, and the texts around them.

    Attributes:
        columns: Oldest first.
        slots: The number of columns, including empty ones.
        width: The length of an interval, as text.
        since: The start of the chart, as text.
        until: The end of the chart, as text.
        outside: The number of events after the end.
    """

    columns: Sequence[Column]
    slots: int
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
        """The number of events by outcome, without zeros."""
        counts = {outcome: sum(column.outcomes.get(outcome, 0) for column in self.columns) for outcome in OUTCOMES}
        return {outcome: count for outcome, count in counts.items() if count}


async def read_chart(backend: Backend, query: EventQuery, search: Search, *, total: int, now: datetime) -> Chart | None:
    """Count the events that match, from `since` or the first event to `until` or now.

    Args:
        backend: The database.
        query: The query; its paging does not apply.
        search: The search of the query, for the links of the columns.
        total: The number of events that match.
        now: The end of a chart without `until`. A newer event moves the end, up to `MAX_CLOCK_LEAD`.

    Returns:
        None if no event is in that time.
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
        _column(bar, search, slot=bar.start // width - low // width, low=low, high=high, width=width, peak=peak)
        for bar in bars
    ]
    return Chart(
        columns,
        slots=high // width - low // width + 1,
        width=span_text(width),
        since=stamp(low),
        until=stamp(high),
        outside=max(0, total - sum(column.total for column in columns)),
    )


def _column(bar: Bar, search: Search, *, slot: int, low: int, high: int, width: int, peak: int) -> Column:
    since, until = max(bar.start, low), min(bar.start + width - 1, high)
    segments, top = [], 100
    for outcome in OUTCOMES:
        if count := bar.outcomes.get(outcome, 0):
            height = max(_LEAST_HEIGHT, round(BAR_HEIGHT * count / peak))
            top -= height
            segments.append(BarSegment(outcome, top, height))
    url = search.with_values(since=rfc_3339(since), until=rfc_3339(until)).url
    return Column(slot, segments, bar.outcomes, stamp(since), stamp(until), url)


async def _outermost(backend: Backend, query: EventQuery, order: Order) -> int:
    page = await backend.query(replace(query, order=order, after=None, offset=0, limit=1))
    return page.events[0].event_timestamp if page.events else 0


def _width(span: int) -> int:
    """Return the smallest round width that needs at most `_MOST_COLUMNS` columns."""
    for width in _WIDTHS:
        if span <= width * (_MOST_COLUMNS - 1):
            return width
    width = _WIDTHS[-1]
    while span > width * (_MOST_COLUMNS - 1):
        width *= 2
    return width

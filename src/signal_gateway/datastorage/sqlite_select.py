"""The SELECTs behind an EventQuery, in SQLite's dialect."""

import orjson

from signal_gateway.datastorage.backend import StoredEvent
from signal_gateway.datastorage.query import EventQuery, Position
from signal_gateway.datastorage.record import microseconds

__all__ = ["Statement", "count_statement", "histogram_statement", "page_statement", "slice_statement"]

Value = str | int | float
Statement = tuple[str, list[Value]]

# The rarest values first. The first filter that is given uses its index; a unary plus keeps the planner from using
# the index of another one, which it would choose as readily: it knows nothing of how often a value occurs.
_BY_SELECTIVITY = ("correlation_id", "event_type", "severity", "event_category", "event_outcome")


def count_statement(query: EventQuery) -> Statement:
    """Count what the query's filters match, its paging left aside."""
    conditions, values = _filters(query)
    return f"SELECT count(*) FROM audit_events{_where(conditions)}", values


def page_statement(query: EventQuery) -> Statement:
    """Select a page of `StoredEvent`s and one event more, which tells whether there are others."""
    conditions, values = _filters(query)
    _follow(query, query.after, conditions, values)
    return f"{_select(query, conditions)} LIMIT ? OFFSET ?", [*values, query.limit + 1, query.offset]


def slice_statement(query: EventQuery, *, after: Position | None, newest: int, limit: int) -> Statement:
    """Select the `StoredEvent`s of a slice of an export.

    Args:
        query: Its paging is left aside.
        after: Where the last slice ended.
        newest: The sequence of the last event that belongs to the export.
        limit: The most events.
    """
    conditions, values = _filters(query)
    _follow(query, after, conditions, values)
    conditions.append("+sequence <= ?")
    return f"{_select(query, conditions)} LIMIT ?", [*values, newest, limit]


def histogram_statement(query: EventQuery, *, width: int) -> Statement:
    """Count what the query's filters match: the start of a bar, an outcome, the number of events; oldest first."""
    conditions, values = _filters(query)
    return (
        # the remainder has the sign of the time, which is negative before 1970
        "SELECT event_timestamp - (event_timestamp % ?1 + ?1) % ?1 AS start, event_outcome, count(*)"
        f" FROM audit_events{_where(conditions)} GROUP BY start, event_outcome ORDER BY start, event_outcome",
        [width, *values],
    )


def _select(query: EventQuery, conditions: list[str]) -> str:
    return (
        f"SELECT {', '.join(StoredEvent._fields)} FROM audit_events{_where(conditions)}"
        f" ORDER BY event_timestamp {query.order}, sequence {query.order}"
    )


def _follow(query: EventQuery, after: Position | None, conditions: list[str], values: list[Value]) -> None:
    if after is not None:
        conditions.append(f"(event_timestamp, sequence) {'>' if query.order == 'asc' else '<'} (?, ?)")
        values.extend(after)


def _where(conditions: list[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _filters(query: EventQuery) -> tuple[list[str], list[Value]]:
    conditions: list[str] = []
    values: list[Value] = []
    for column in _BY_SELECTIVITY:
        value: str | None = getattr(query, column)
        if value is not None:
            conditions.append(f"{'+' if conditions else ''}{column} = ?")
            values.append(value)

    if query.since is not None:
        conditions.append("event_timestamp >= ?")
        values.append(microseconds(query.since))
    if query.until is not None:
        conditions.append("event_timestamp <= ?")
        values.append(microseconds(query.until))
    if query.detail is not None:
        condition, detail_values = _detail(*query.detail)
        conditions.append(condition)
        values.extend(detail_values)
    return conditions, values


def _detail(key: str, text: str) -> tuple[str, list[Value]]:
    """Match a top-level member of `event_data`; the key is compared as a value and never part of a JSON path."""
    alternatives = ["member.type = 'text' AND member.value = ?"]
    values: list[Value] = [key, text]
    try:
        scalar = orjson.loads(text)
    except orjson.JSONDecodeError:
        scalar = text

    if scalar is None or isinstance(scalar, bool):
        alternatives.append("member.type = ?")
        values.append(text)
    elif isinstance(scalar, (int, float)):
        alternatives.append("member.type IN ('integer', 'real') AND member.value = ?")
        values.append(scalar if abs(scalar) < 2**63 else float(scalar))
    return (
        "EXISTS (SELECT 1 FROM json_each(event_data) AS member"
        f" WHERE member.key = ? AND ({' OR '.join(alternatives)}))",
        values,
    )

"""The SELECTs behind an EventQuery, in whichever dialect of SQL."""

from collections.abc import Callable
from dataclasses import dataclass

import orjson

from signal_gateway.datastorage.backend import StoredRecord
from signal_gateway.datastorage.query import EventQuery, Position
from signal_gateway.datastorage.record import microseconds

__all__ = [
    "Dialect",
    "Statement",
    "Value",
    "count_statement",
    "histogram_statement",
    "page_statement",
    "slice_statement",
]

Value = str | int | float | None
Statement = tuple[str, list[Value]]

# the rarest values first
_BY_SELECTIVITY = ("correlation_id", "event_type", "severity", "event_category", "event_outcome")

# more than the microseconds from the year 1 to 1970
_BEFORE_ALL_TIME = 2**60


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs from one database to the other.

    Attributes:
        placeholder: Stands for a value.
        further_column: How a filter's column is written when a rarer one is given as well; `{}` is its name.
        detail: The condition, and its values, that a top-level member of `event_data` has a name and a value: as text,
            and as the number, boolean or None that the text is in JSON; if it is nothing of these, the text again.
    """

    placeholder: str
    further_column: str
    detail: Callable[[str, str, Value], Statement]


def count_statement(query: EventQuery, dialect: Dialect) -> Statement:
    """Count what the query's filters match, its paging left aside."""
    conditions, values = _filters(query, dialect)
    return f"SELECT count(*) FROM audit_events{_where(conditions)}", values


def page_statement(query: EventQuery, dialect: Dialect) -> Statement:
    """Select a page of `StoredRecord`s and one event more, which tells whether there are others."""
    statement, values = _events(query, query.after, dialect)
    p = dialect.placeholder
    return f"{statement} LIMIT {p} OFFSET {p}", [*values, query.limit + 1, query.offset]


def slice_statement(
    query: EventQuery, dialect: Dialect, *, after: Position | None, newest: int, limit: int
) -> Statement:
    """Select the `StoredRecord`s of a slice of an export.

    Args:
        query: Its paging is left aside.
        dialect: Of the database.
        after: Where the last slice ended.
        newest: The sequence of the last event that belongs to the export.
        limit: The most events.
    """
    p = dialect.placeholder
    # with the plus it is a condition only, and no range for an index to find in another order
    statement, values = _events(query, after, dialect, f"+sequence <= {p}", newest)
    return f"{statement} LIMIT {p}", [*values, limit]


def histogram_statement(query: EventQuery, dialect: Dialect, *, width: int) -> Statement:
    """Count what the query's filters match: the start of a bar, an outcome, the number of events; oldest first."""
    p = dialect.placeholder
    # division rounds towards zero, so it is done where no time is negative
    shift = -(-_BEFORE_ALL_TIME // width) * width
    conditions, values = _filters(query, dialect)
    if all(getattr(query, column) is None for column in _BY_SELECTIVITY):
        # it is true of every event, and has the index of outcomes and times answer without a look at the events
        conditions.append("event_outcome IN ('success', 'failure', 'pending')")
    return (
        f"SELECT (event_timestamp + {p}) / {p} * {p} - {p}, event_outcome, count(*)"
        f" FROM audit_events{_where(conditions)} GROUP BY 1, 2 ORDER BY 1, 2",
        [shift, width, width, shift, *values],
    )


def _events(
    query: EventQuery, after: Position | None, dialect: Dialect, condition: str | None = None, value: Value = None
) -> Statement:
    conditions, values = _filters(query, dialect)
    if after is not None:
        side, p = ">" if query.order == "asc" else "<", dialect.placeholder
        conditions.append(f"(event_timestamp, sequence) {side} ({p}, {p})")
        values.extend(after)
    if condition is not None:
        conditions.append(condition)
        values.append(value)
    return (
        f"SELECT {', '.join(StoredRecord._fields)} FROM audit_events{_where(conditions)}"
        f" ORDER BY event_timestamp {query.order}, sequence {query.order}",
        values,
    )


def _where(conditions: list[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _filters(query: EventQuery, dialect: Dialect) -> tuple[list[str], list[Value]]:
    conditions: list[str] = []
    values: list[Value] = []
    p = dialect.placeholder
    for column in _BY_SELECTIVITY:
        value: str | None = getattr(query, column)
        if value is not None:
            name = dialect.further_column.format(column) if conditions else column
            conditions.append(f"{name} = {p}")
            values.append(value)

    if query.since is not None:
        conditions.append(f"event_timestamp >= {p}")
        values.append(microseconds(query.since))
    if query.until is not None:
        conditions.append(f"event_timestamp <= {p}")
        values.append(microseconds(query.until))
    if query.detail is not None:
        key, text = query.detail
        condition, detail_values = dialect.detail(key, text, _scalar(text))
        conditions.append(condition)
        values.extend(detail_values)

    if any(isinstance(value, str) and "\0" in value for value in values):
        return ["1 = 0"], []  # no event has a NUL character, and not every database takes one in a question
    return conditions, values


def _scalar(text: str) -> Value:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    return value if value is None or isinstance(value, (bool, int, float)) else text

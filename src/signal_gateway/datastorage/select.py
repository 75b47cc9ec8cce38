"""SELECT statements of an EventQuery, in the SQL dialect of each database."""

import re
from typing import Protocol

import orjson

from signal_gateway.datastorage.backend import StoredRecord
from signal_gateway.datastorage.query import INDEXED, EventQuery, Position
from signal_gateway.datastorage.record import microseconds

__all__ = [
    "MOST_OCCURRENCES",
    "Dialect",
    "Statement",
    "Value",
    "count_statement",
    "exact_filters",
    "filters",
    "histogram_statement",
    "occurrence_statement",
    "page_statement",
    "position_condition",
    "slice_statement",
]

Value = str | int | float | None
Statement = tuple[str, list[Value]]

MOST_OCCURRENCES = 10_000
"""Index entries that are read to compare two filters, about a millisecond of work. Filters with more are equal."""

# members of the envelope without a column: they have no index, as one would cost each insert more than a tenth
_MEMBERS = ("resource_id", "actor_type", "actor_id")
_NAMES = ("resource_id", "actor_id")
_DATA_NAMES = ("signal_name", "resource_name")

# the members of `event_data` with the workload, by their filter: gateways of older releases name it nowhere else
_WORKLOAD_DATA = {"resource_type": "resource_kind", "resource_name": "resource_name", "namespace": "namespace"}

# as both databases do it: SQLite's lower() knows no other letters, nor does PostgreSQL's in the collation "C"
_LOWER = {ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}

# with the order of an index, PostgreSQL reads that index and not the table
_NEWEST = " ORDER BY event_timestamp DESC, sequence DESC"

_AS_IN_JSON = re.compile(r"[A-Za-z0-9 ._:@=-]+")

# longer than the microseconds from the year 1 to 1970
_LONGEST_TIME_BEFORE_EPOCH = 2**60


class Dialect(Protocol):
    """The SQL that differs between databases.

    Attributes:
        placeholder: Marks the place of a value.
        further_column: The form of a column in a filter after the most selective one; `{}` is the column's name.
        position: The function that finds a text in another; 0 if it is not there.
    """

    placeholder: str
    further_column: str
    position: str

    def member(self, name: str) -> str:
        """Return the expression of a member of the envelope as text.

        Args:
            name: A name without quotes.
        """
        ...

    def ends_with(self, expression: str, suffix: str) -> Statement:
        """Return the condition that a text ends with another, exactly."""
        ...

    def contains(self, expression: str, part: str) -> Statement:
        """Return the condition that a text contains another in lower case; only A to Z have a lower case."""
        ...

    def data_member(self, name: str) -> str:
        """Return the expression of a top-level member of `event_data` as text.

        Args:
            name: A name without quotes.
        """
        ...

    def detail(self, key: str, text: str, scalar: Value) -> Statement:
        """Return the condition that a top-level member of `event_data` has a value.

        Args:
            key: The name of the member.
            text: The value as text.
            scalar: The number, boolean or None that the text is in JSON; otherwise the text itself.
        """
        ...


def exact_filters(query: EventQuery) -> list[str]:
    """Return the columns with an exact filter, in the usual order of their selectivity."""
    return [column for column in INDEXED if getattr(query, column) is not None]


def occurrence_statement(query: EventQuery, dialect: Dialect, *, column: str, limit: int) -> Statement:
    """Count the events that match one exact filter within the times of a query, from its index alone.

    Args:
        query: The query.
        dialect: The dialect of the database.
        column: One of `exact_filters`.
        limit: Where the count ends.
    """
    alone = EventQuery(since=query.since, until=query.until, **{column: getattr(query, column)})
    indexed, values = _indexed(alone, dialect, None)
    if _has_nul(values):
        return "SELECT 0", []
    statement = f"SELECT 1 FROM audit_events{_where(indexed)}{_NEWEST} LIMIT {dialect.placeholder}"
    return f"SELECT count(*) FROM ({statement}) AS found", [*values, limit]


def count_statement(
    query: EventQuery,
    dialect: Dialect,
    *,
    leading: str | None = None,
    counted: str = "1",
    aggregate: str = "count(matches)",
    limit: int | None = None,
) -> Statement:
    """Count events for the total of a query. Paging does not apply.

    The result has two numbers: the examined events and, of these, the matches. Examined are the events that match one
    exact filter and the times of the query, but at most one more than `examined_limit` of the query.

    Args:
        query: The query.
        dialect: The dialect of the database.
        leading: The exact filter to find the events by, one of `exact_filters`; None for the usual order. The other
            statements have the same argument.
        counted: The expression that `aggregate` gets of each match as `matches`.
        aggregate: The second number.
        limit: Replaces the `examined_limit` of the query, if it has one.
    """
    indexed, values = _indexed(query, dialect, leading)
    others, other_values = _others(query, dialect, leading)
    if _has_nul([*values, *other_values]):
        return "SELECT 0, 0", []
    matches = f"CASE WHEN {' AND '.join(others)} THEN {counted} END" if others else counted
    limit = query.examined_limit if limit is None or query.count_limit is None else limit
    end = "" if limit is None else f"{_NEWEST} LIMIT {dialect.placeholder}"
    limits: list[Value] = [] if limit is None else [limit + 1]
    return (
        f"SELECT count(*), {aggregate} FROM"
        f" (SELECT {matches} AS matches FROM audit_events{_where(indexed)}{end}) AS examined",
        [*other_values, *values, *limits],
    )


def page_statement(query: EventQuery, dialect: Dialect, *, leading: str | None = None) -> Statement:
    """Select one page of `StoredRecord`s, and one event more to find out whether there is a next page."""
    statement, values = _events(query, query.after, dialect, leading)
    p = dialect.placeholder
    return f"{statement} LIMIT {p} OFFSET {p}", [*values, query.limit + 1, query.offset]


def slice_statement(
    query: EventQuery,
    dialect: Dialect,
    *,
    after: Position | None,
    newest: int,
    limit: int,
    leading: str | None = None,
) -> Statement:
    """Select the `StoredRecord`s of one slice of an export.

    Args:
        query: The query; its paging does not apply.
        dialect: The dialect of the database.
        after: The position of the last event of the slice before.
        newest: The highest sequence of the export.
        limit: The most events of the slice.
        leading: As in `count_statement`.
    """
    p = dialect.placeholder
    # the unary plus keeps the planner from an index on sequence, which has another order
    statement, values = _events(query, after, dialect, leading, f"+sequence <= {p}", newest)
    return f"{statement} LIMIT {p}", [*values, limit]


def histogram_statement(query: EventQuery, dialect: Dialect, *, width: int, leading: str | None = None) -> Statement:
    """Count the events that match the filters, by the start of the bar and by outcome, oldest first."""
    p = dialect.placeholder
    # integer division rounds towards zero, so times are shifted to be positive
    shift = -(-_LONGEST_TIME_BEFORE_EPOCH // width) * width
    conditions, values = filters(query, dialect, leading)
    if not exact_filters(query):
        # true for every event; it makes the index on outcome and time a covering one
        conditions.append("event_outcome IN ('success', 'failure', 'pending')")
    return (
        f"SELECT (event_timestamp + {p}) / {p} * {p} - {p}, event_outcome, count(*)"
        f" FROM audit_events{_where(conditions)} GROUP BY 1, 2 ORDER BY 1, 2",
        [shift, width, width, shift, *values],
    )


def _events(
    query: EventQuery,
    after: Position | None,
    dialect: Dialect,
    leading: str | None,
    condition: str | None = None,
    value: Value = None,
) -> Statement:
    conditions, values = filters(query, dialect, leading)
    if after is not None:
        conditions.append(position_condition(query, dialect))
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


def position_condition(query: EventQuery, dialect: Dialect) -> str:
    """Return the condition that an event comes after a position, with placeholders for its two numbers."""
    side, p = ">" if query.order == "asc" else "<", dialect.placeholder
    return f"(event_timestamp, sequence) {side} ({p}, {p})"


def filters(
    query: EventQuery, dialect: Dialect, leading: str | None = None, *, has_index: bool = False
) -> tuple[list[str], list[Value]]:
    """Return the conditions of all filters and times, and their values.

    Args:
        query: The query.
        dialect: The dialect of the database.
        leading: As in `count_statement`.
        has_index: Whether the statement has an index already, so that no filter needs one.
    """
    indexed, values = _indexed(query, dialect, leading, has_index=has_index)
    others, other_values = _others(query, dialect, leading)
    if _has_nul([*values, *other_values]):
        return ["1 = 0"], []  # no event has a NUL character, and PostgreSQL rejects one in a parameter
    return [*indexed, *others], [*values, *other_values]


def _has_nul(values: list[Value]) -> bool:
    return any(isinstance(value, str) and "\0" in value for value in values)


def _by_rank(query: EventQuery, leading: str | None) -> list[str]:
    return sorted(exact_filters(query), key=lambda column: column != leading)  # stable: the others keep their order


def _indexed(
    query: EventQuery, dialect: Dialect, leading: str | None, *, has_index: bool = False
) -> tuple[list[str], list[Value]]:
    """Return the conditions that one index has: the first exact filter and the times."""
    p = dialect.placeholder
    first = _by_rank(query, leading)[:1]
    form = dialect.further_column if has_index else "{}"
    conditions = [f"{form.format(column)} = {p}" for column in first]
    values: list[Value] = [getattr(query, column) for column in first]
    for side, moment in ((">=", query.since), ("<=", query.until)):
        if moment is not None:
            conditions.append(f"event_timestamp {side} {p}")
            values.append(microseconds(moment))
    return conditions, values


def _others(query: EventQuery, dialect: Dialect, leading: str | None) -> tuple[list[str], list[Value]]:
    """Return the conditions that need the event."""
    p = dialect.placeholder
    further = _by_rank(query, leading)[1:]
    conditions = [f"{dialect.further_column.format(column)} = {p}" for column in further]
    values: list[Value] = [getattr(query, column) for column in further]
    for name in _MEMBERS:
        if (value := getattr(query, name)) is not None:
            condition, found = _if_found("envelope", value, f"{dialect.member(name)} = {p}", [value], dialect)
            conditions.append(condition)
            values.extend(found)
    for name in _WORKLOAD_DATA:
        if (value := getattr(query, name)) is not None:
            condition, found = _names_workload(name, value, dialect)
            conditions.append(condition)
            values.extend(found)
    if query.text is not None:
        condition, found = _contains_text(query.text, dialect)
        conditions.append(condition)
        values.extend(found)
    if query.detail is not None:
        key, text = query.detail
        condition, detail_values = dialect.detail(key, text, _scalar(text))
        conditions.append(condition)
        values.extend(detail_values)
    return conditions, values


def _names_workload(name: str, value: str, dialect: Dialect) -> Statement:
    """Return the condition that an event has a part of the workload, in its envelope or in its `event_data`."""
    envelope = _if_found("envelope", value, *_in_envelope(name, value, dialect), dialect)
    data = _if_found("event_data", value, *dialect.detail(_WORKLOAD_DATA[name], value, value), dialect)
    return f"({envelope[0]} OR {data[0]})", [*envelope[1], *data[1]]


def _in_envelope(name: str, value: str, dialect: Dialect) -> Statement:
    p, identifier = dialect.placeholder, dialect.member("resource_id")
    if name == "resource_name":
        end, ends = dialect.ends_with(identifier, f"/{value}")
        return f"({identifier} = {p} OR {end})", [value, *ends]
    member = dialect.member(name)
    if name == "resource_type" or "/" in value:
        return f"{member} = {p}", [value]
    # without the member, a resource_id with one slash is namespace/name, as in `workload_of`
    rest = f"substr({identifier}, {p})"
    head = f"{dialect.position}({identifier}, {p}) = 1 AND {dialect.position}({rest}, '/') = 0"
    return f"({member} = {p} OR {member} IS NULL AND {head})", [value, f"{value}/", len(value) + 2]


def _contains_text(text: str, dialect: Dialect) -> Statement:
    part = text.translate(_LOWER)
    found = [dialect.contains("correlation_id", part)]
    for column, names in (
        ("envelope", [dialect.member(name) for name in _NAMES]),
        ("event_data", [dialect.data_member(name) for name in _DATA_NAMES]),
    ):
        parts = [dialect.contains(name, part) for name in names]
        condition = f"({' OR '.join(each for each, _ in parts)})"
        values = [value for _, each in parts for value in each]
        found.append(_if_found(f"lower({column})", part, condition, values, dialect))
    return f"({' OR '.join(condition for condition, _ in found)})", [value for _, values in found for value in values]


def _if_found(document: str, text: str, condition: str, values: list[Value], dialect: Dialect) -> Statement:
    """Return a condition that parses a JSON document only if its characters contain those of a text.

    The longest part of the text is looked for that JSON writes as it is. Parsing takes several times as long.
    """
    part = max(_AS_IN_JSON.findall(text), key=len, default="")
    if not part:
        return condition, values
    found = f"{dialect.position}({document}, {dialect.placeholder}) > 0"
    return f"CASE WHEN {found} THEN {condition} END", [part, *values]


def _scalar(text: str) -> Value:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    return value if value is None or isinstance(value, (bool, int, float)) else text

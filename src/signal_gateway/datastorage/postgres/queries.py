"""Queries of PostgreSQL: the dialect of their statements, and functions that run them on a connection."""

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from signal_gateway.datastorage.backend import Bar, CasePage, Page, StoredRecord
from signal_gateway.datastorage.cases import (
    CasePosition,
    case_count_statement,
    case_page,
    case_page_statement,
    case_summary_statement,
    cases_of,
    naming_events_statement,
)
from signal_gateway.datastorage.query import EventQuery, Position
from signal_gateway.datastorage.select import (
    Statement,
    Value,
    count_statement,
    exact_filters,
    histogram_statement,
    occurrence_statement,
    page_statement,
    slice_statement,
)

__all__ = [
    "POSTGRES",
    "all_rows",
    "read_postgres_cases",
    "read_postgres_histogram",
    "read_postgres_page",
    "read_postgres_slice",
]

Connection = psycopg.AsyncConnection[TupleRow]

# A slice of an export ends at the first of these limits. Each slice is a statement of its own: a transaction that stays
# open until the client has read everything would keep VACUUM from removing deleted rows.
_EVENTS_PER_SLICE = 1000
_BYTES_PER_SLICE = 1024 * 1024


class PostgresDialect:
    """PostgreSQL's dialect of the SELECT statements. Its planner knows how often a value occurs and needs no hint."""

    placeholder = "%s"
    further_column = "{}"
    position = "strpos"

    def member(self, name: str) -> str:
        """Return the expression of a member of the envelope."""
        return f"(envelope::json ->> '{name}')"

    def ends_with(self, expression: str, suffix: str) -> Statement:
        """Compare the end of a text."""
        return f"right({expression}, %s) = %s", [len(suffix), suffix]

    def contains(self, expression: str, part: str) -> Statement:
        """Search a part of a text."""
        return f'strpos(lower({expression} COLLATE "C"), %s) > 0', [part]

    def data_member(self, name: str) -> str:
        """Return the expression of a member of `event_data`."""
        return f"(event_data::json ->> '{name}')"

    def detail(self, key: str, text: str, scalar: Value) -> Statement:
        """Match a top-level member of `event_data`."""
        alternatives = ["json_typeof(member.value) = 'string' AND member.value #>> '{}' = %s"]
        values: list[Value] = [key, text]
        if scalar is None or isinstance(scalar, bool):
            alternatives.append("member.value::text = %s")
            values.append(text)
        elif isinstance(scalar, (int, float)):
            # Floats compare with floats and integers with integers, as neither type holds all values of the other.
            # CASE keeps the order of the tests: casting a text that is not a number would be an error.
            alternatives.append(
                "CASE WHEN json_typeof(member.value) <> 'number' THEN false"
                " WHEN member.value::text ~ '[.eE]' THEN member.value::text::float8 = %s::float8"
                " ELSE member.value::text::numeric = %s::numeric END"
            )
            values.append(float(scalar) if float(scalar) == scalar else None)
            values.append(int(scalar) if isinstance(scalar, int) or scalar.is_integer() else None)
        return (
            "EXISTS (SELECT 1 FROM json_each(event_data::json) AS member"
            f" WHERE member.key = %s AND ({' OR '.join(alternatives)}))",
            values,
        )


POSTGRES = PostgresDialect()


async def read_postgres_page(connection: Connection, query: EventQuery) -> Page:
    """Read a page inside a transaction: one snapshot for the count and the page."""
    leading = await _rarest_filter(connection, query)
    ((examined, matches),) = await all_rows(connection, *count_statement(query, POSTGRES, leading=leading))
    found = [StoredRecord(*row) for row in await all_rows(connection, *page_statement(query, POSTGRES))]
    return Page.of(query, found, examined=examined, matches=matches)


async def read_postgres_cases(connection: Connection, query: EventQuery) -> CasePage:
    """Read a page of cases inside a transaction; see `Backend.cases`."""
    leading = await _rarest_filter(connection, query)
    ((events, total),) = await all_rows(connection, *case_count_statement(query, POSTGRES, leading=leading))
    rows = await all_rows(connection, *case_page_statement(query, POSTGRES))
    found = [CasePosition(correlation_id, Position(*position)) for correlation_id, *position in rows]
    ids = [case.correlation_id for case in found[: query.limit]]
    summaries = await all_rows(connection, *case_summary_statement(ids, POSTGRES)) if ids else []
    named_by = [row[-1] for row in summaries]
    naming = await all_rows(connection, *naming_events_statement(named_by, POSTGRES)) if ids else []
    return case_page(query, found, cases_of(found, summaries, naming), events=events, total=total)


async def _rarest_filter(connection: Connection, query: EventQuery) -> str | None:
    """Return the exact filter that the fewest events match, for the count; the planner chooses for the page."""
    columns = exact_filters(query)
    limit = query.examined_limit
    if len(columns) < 2 or limit is None:
        return None
    rarest, fewest = columns[0], limit + 1
    for column in columns:
        statement = occurrence_statement(query, POSTGRES, column=column, limit=fewest)
        ((occurrences,),) = await all_rows(connection, *statement)
        if occurrences < fewest:
            rarest, fewest = column, occurrences
    return rarest


async def read_postgres_slice(
    connection: Connection, query: EventQuery, *, after: Position | None, newest: int
) -> list[StoredRecord]:
    """Read one slice of an export.

    Args:
        connection: The connection.
        query: The query; its paging does not apply.
        after: The position of the last event of the slice before.
        newest: The highest sequence of the export.
    """
    statement = _bounded_slice_statement(
        query, after=after, newest=newest, limit=_EVENTS_PER_SLICE, max_bytes=_BYTES_PER_SLICE
    )
    return [StoredRecord(*row) for row in await all_rows(connection, *statement)]


async def read_postgres_histogram(connection: Connection, query: EventQuery, *, width: int) -> list[Bar]:
    """Count events by time; see `Backend.histogram`."""
    outcomes: dict[int, dict[str, int]] = {}
    for start, outcome, count in await all_rows(connection, *histogram_statement(query, POSTGRES, width=width)):
        outcomes.setdefault(start, {})[outcome] = count
    return [Bar(start, counts) for start, counts in outcomes.items()]


async def all_rows(connection: Connection, statement: str, values: Sequence[Any] = ()) -> list[TupleRow]:
    """Execute a statement and return its rows."""
    return await (await connection.execute(statement.encode(), values)).fetchall()


def _bounded_slice_statement(
    query: EventQuery, *, after: Position | None, newest: int, limit: int, max_bytes: int
) -> Statement:
    """Select a slice as `slice_statement` does; it ends with the event that reaches `max_bytes` of `event_data`."""
    columns = ", ".join(StoredRecord._fields)
    order = f"event_timestamp {query.order}, sequence {query.order}"
    statement, values = slice_statement(query, POSTGRES, after=after, newest=newest, limit=limit)
    return (
        # octet_length reads the header of a long text and does not fetch the text
        f"SELECT {columns} FROM (SELECT {columns}, sum(octet_length(event_data))"
        f" OVER (ORDER BY {order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before"
        f" FROM ({statement}) AS slice) AS summed WHERE coalesce(bytes_before, 0) < %s ORDER BY {order}",
        [*values, max_bytes],
    )

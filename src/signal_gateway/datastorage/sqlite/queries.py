"""Queries of an SQLite file: the dialect of their statements, and functions that run them on a connection."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from signal_gateway.clock import SystemClock
from signal_gateway.datastorage.backend import Bar, CasePage, Page, QueryTooSlow, StoredRecord
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
    MOST_OCCURRENCES,
    Statement,
    Value,
    count_statement,
    exact_filters,
    histogram_statement,
    occurrence_statement,
    page_statement,
)
from signal_gateway.datastorage.sqlite.connection import transaction

__all__ = [
    "EVENTS_PER_SLICE",
    "SELECT_NEWEST",
    "SQLITE",
    "newest_sequence",
    "rarest_filter",
    "read_sqlite_cases",
    "read_sqlite_histogram",
    "read_sqlite_page",
    "read_sqlite_slice",
]

_CLOCK = SystemClock()

# A slice of an export ends at the first of these limits. Each slice is a transaction of its own: an open transaction
# prevents the reset of the write-ahead log, which would grow until the client has read everything.
EVENTS_PER_SLICE = 1000
_BYTES_PER_SLICE = 1024 * 1024

# a few milliseconds of work between two checks of a query's deadline
_STEPS_PER_CHECK = 100_000


class SqliteDialect:
    """SQLite's dialect of the SELECT statements.

    The first filter of a query uses its index. The unary plus keeps the planner from the index of another filter: the
    planner does not know how often a value occurs, and the backend counts it.
    """

    placeholder = "?"
    further_column = "+{}"
    position = "instr"

    def member(self, name: str) -> str:
        """Return the expression of a member of the envelope."""
        return f"envelope ->> '$.{name}'"

    def ends_with(self, expression: str, suffix: str) -> Statement:
        """Compare the end of a text."""
        return f"substr({expression}, ?) = ?", [-len(suffix), suffix]

    def contains(self, expression: str, part: str) -> Statement:
        """Search a part of a text."""
        return f"instr(lower({expression}), ?) > 0", [part]

    def data_member(self, name: str) -> str:
        """Return the expression of a member of `event_data`."""
        return f"event_data ->> '$.{name}'"

    def detail(self, key: str, text: str, scalar: Value) -> Statement:
        """Match a top-level member of `event_data`. The key is a parameter, never part of a JSON path."""
        alternatives = ["member.type = 'text' AND member.value = ?"]
        values: list[Value] = [key, text]
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


SQLITE = SqliteDialect()


SELECT_NEWEST = "SELECT coalesce(max(sequence), 0) FROM audit_events"
"""Reads the highest sequence, 0 without events."""


def newest_sequence(connection: sqlite3.Connection) -> int:
    """Return the highest sequence, 0 without events."""
    newest: int = connection.execute(SELECT_NEWEST).fetchone()[0]
    return newest


@contextmanager
def _deadline(connection: sqlite3.Connection, timeout: float) -> Iterator[None]:
    deadline = _CLOCK.monotonic() + timeout
    connection.set_progress_handler(lambda: _CLOCK.monotonic() > deadline, _STEPS_PER_CHECK)
    try:
        yield
    except sqlite3.OperationalError as exc:
        if exc.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT and _CLOCK.monotonic() > deadline:
            raise QueryTooSlow(f"a query took longer than {timeout} s and was stopped") from exc
        raise
    finally:
        connection.set_progress_handler(None, 0)


def rarest_filter(connection: sqlite3.Connection, query: EventQuery, timeout: float) -> str | None:
    """Return the exact filter of a query that the fewest events match; None if its index needs no choice."""
    columns = exact_filters(query)
    if len(columns) < 2:
        return None
    rarest, fewest = columns[0], MOST_OCCURRENCES
    with _deadline(connection, timeout):
        for column in columns:
            statement = occurrence_statement(query, SQLITE, column=column, limit=fewest)
            (occurrences,) = connection.execute(*statement).fetchone()
            if occurrences < fewest:
                rarest, fewest = column, occurrences
    return rarest


def read_sqlite_page(connection: sqlite3.Connection, query: EventQuery, timeout: float) -> Page:
    """Read a page; see `Backend.query`."""
    leading = rarest_filter(connection, query, timeout)
    with _deadline(connection, timeout), transaction(connection, "BEGIN"):  # one snapshot for the count and the page
        examined, matches = connection.execute(*count_statement(query, SQLITE, leading=leading)).fetchone()
        found = [StoredRecord(*row) for row in connection.execute(*page_statement(query, SQLITE, leading=leading))]
    return Page.of(query, found, examined=examined, matches=matches)


def read_sqlite_cases(connection: sqlite3.Connection, query: EventQuery, timeout: float) -> CasePage:
    """Read a page of cases; see `Backend.cases`."""
    leading = rarest_filter(connection, query, timeout)
    with _deadline(connection, timeout), transaction(connection, "BEGIN"):  # one snapshot
        events, total = connection.execute(*case_count_statement(query, SQLITE, leading=leading)).fetchone()
        rows = connection.execute(*case_page_statement(query, SQLITE, leading=leading))
        found = [CasePosition(correlation_id, Position(*position)) for correlation_id, *position in rows]
        ids = [case.correlation_id for case in found[: query.limit]]
        summaries = connection.execute(*case_summary_statement(ids, SQLITE)).fetchall() if ids else []
        named_by = [row[-1] for row in summaries]
        naming = connection.execute(*naming_events_statement(named_by, SQLITE)).fetchall() if ids else []
    return case_page(query, found, cases_of(found, summaries, naming), events=events, total=total)


def read_sqlite_slice(connection: sqlite3.Connection, statement: Statement, timeout: float) -> list[StoredRecord]:
    """Read one slice of an export."""
    events: list[StoredRecord] = []
    bytes_left = _BYTES_PER_SLICE
    with _deadline(connection, timeout), closing(connection.execute(*statement)) as rows:
        for row in rows:
            events.append(event := StoredRecord(*row))
            bytes_left -= len(event.event_data)
            if bytes_left <= 0:
                break
    return events


def read_sqlite_histogram(connection: sqlite3.Connection, query: EventQuery, width: int, timeout: float) -> list[Bar]:
    """Count events by time; see `Backend.histogram`."""
    outcomes: dict[int, dict[str, int]] = {}
    leading = rarest_filter(connection, query, timeout)
    with _deadline(connection, timeout):
        statement = histogram_statement(query, SQLITE, width=width, leading=leading)
        for start, outcome, count in connection.execute(*statement):
            outcomes.setdefault(start, {})[outcome] = count
    return [Bar(start, counts) for start, counts in outcomes.items()]

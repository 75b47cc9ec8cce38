"""Rows that a verification accepts, and plain SQL on a database of either kind, past DataStorage."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from signal_gateway.audit.event import AuditEvent
from signal_gateway.datastorage.backend import EventRow
from signal_gateway.datastorage.record import microseconds, row_of

__all__ = ["ARRIVAL", "DAY", "sealed_row", "sql", "sql_with_values"]

ARRIVAL = datetime(2026, 1, 31, 12, tzinfo=UTC)
DAY = 24 * 3600 * 1_000_000


def sealed_row(number: int, **members: Any) -> EventRow:
    """The row of a valid event, as DataStorage makes it; one with a greater number arrives a second later."""
    event_type = members.pop("event_type", "t.x")
    event = AuditEvent(
        event_id=str(UUID(int=number)),
        event_type=event_type,
        event_timestamp=ARRIVAL + timedelta(seconds=number),
        event_category="t",
        event_action="a",
        event_outcome=members.pop("event_outcome", "success"),
        correlation_id=members.pop("correlation_id", f"c-{number % 3}"),
        event_data={"event_type": event_type, "number": number},
        **members,
    )
    return row_of(event, received_at=microseconds(ARRIVAL) + number * 1_000_000)


def sql(database: str, *statements: str) -> list[Sequence[Any]]:
    """Run SQL on a database, as its owner may; return the rows of the last statement."""
    if database.startswith("sqlite:///"):
        with closing(sqlite3.connect(database.removeprefix("sqlite:///"), isolation_level=None)) as file:
            for statement in statements:
                rows = file.execute(statement).fetchall()
        return rows
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
            rows = cursor.fetchall() if cursor.description else []
    return rows


def sql_with_values(database: str, statements: Sequence[tuple[str, Sequence[Sequence[Any]]]]) -> None:
    """Run statements with `?` as placeholders, each for each of its rows of values, in one transaction."""
    if database.startswith("sqlite:///"):
        with closing(sqlite3.connect(database.removeprefix("sqlite:///"))) as file, file:
            for statement, rows in statements:
                file.executemany(statement, rows)
        return
    with psycopg.connect(database) as connection, connection.cursor() as cursor:
        for statement, rows in statements:
            cursor.executemany(statement.replace("?", "%s").encode(), rows)

"""SqliteBackend: audit events in one SQLite file."""

import sqlite3
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from itertools import chain
from pathlib import Path

from signal_gateway.datastorage.backend import Bar, Duplicate, EventRow, Page, QueryTooSlow, StoredRecord
from signal_gateway.datastorage.duplicates import duplicates, first_of_each_id
from signal_gateway.datastorage.query import EventQuery, Position
from signal_gateway.datastorage.select import (
    Statement,
    count_statement,
    histogram_statement,
    page_statement,
    slice_statement,
)
from signal_gateway.datastorage.sqlite.schema import connect, prepare
from signal_gateway.datastorage.sqlite.select import SQLITE
from signal_gateway.datastorage.sqlite.thread import ConnectionThread
from signal_gateway.errors import DataStorageError

__all__ = ["SqliteBackend"]

# One statement for many rows: between two statements another thread may take the GIL and keep it for 5 ms, so a
# statement for each row makes a batch take seconds when the process is busy. Powers of two keep the prepared
# statements few.
_ROWS_PER_STATEMENT = 256

# A slice of an export ends at the first of these bounds. No transaction lasts longer than a slice: an open one would
# keep the write-ahead log from starting anew, and it would grow for as long as a client reads.
_EVENTS_PER_SLICE = 1000
_BYTES_PER_SLICE = 1024 * 1024

# a few milliseconds' work between two looks at a query's deadline
_STEPS_PER_LOOK = 100_000


class SqliteBackend:
    """Keeps events in an SQLite file: WAL, `synchronous=FULL`, one thread that writes and one that reads.

    An insert is on the disk before it returns. Readers never wait for the writer, and each read sees all that
    was committed before it began.

    Args:
        path: The file; its directory must exist.
        busy_timeout: How long to wait for another process that holds the write lock, in seconds.
        query_timeout: How long a query may run, in seconds; others wait for it.
    """

    def __init__(self, path: Path, *, busy_timeout: float = 5.0, query_timeout: float = 10.0) -> None:
        self._path = path
        self._query_timeout = query_timeout
        self._busy_timeout = busy_timeout
        self._writer = ConnectionThread(f"audit writer {path.name}", self._connect)
        self._reader = ConnectionThread(f"audit reader {path.name}", self._connect)

    async def open(self) -> None:
        """Open the file, create it if it isn't there.

        Raises:
            DataStorageError: It can't be written, or it holds something else, or this backend is open already;
                the message says which.
        """
        if self._writer.is_open:
            raise DataStorageError(f"{self._path} is open already: a DataStorage is entered or served once at a time")
        try:
            await self._writer.open()
            await self._writer.run(lambda connection: prepare(connection, self._path))
            await self._reader.open()
        except BaseException:
            await self.close()
            raise

    async def insert(self, rows: Sequence[EventRow]) -> Sequence[Duplicate]:
        """Commit all rows or none; see `Backend.insert`."""
        return await self._writer.run(lambda connection: _insert(connection, rows))

    async def query(self, query: EventQuery) -> Page:
        """Read a page; see `Backend.query`."""
        return await self._reader.run(lambda connection: _query(connection, query, self._query_timeout))

    async def export(self, query: EventQuery) -> AsyncIterator[Sequence[StoredRecord]]:
        """Read all that a query matches; see `Backend.export`."""
        newest = await self._reader.run(_newest_sequence)
        after = query.after
        while True:
            statement = slice_statement(query, SQLITE, after=after, newest=newest, limit=_EVENTS_PER_SLICE)
            events = await self._reader.run(partial(_slice, statement=statement, timeout=self._query_timeout))
            if not events:
                return
            yield events
            after = Position(events[-1].event_timestamp, events[-1].sequence)

    async def histogram(self, query: EventQuery, *, width: int) -> Sequence[Bar]:
        """Count events by time; see `Backend.histogram`."""
        return await self._reader.run(lambda connection: _histogram(connection, query, width, self._query_timeout))

    async def purge(self, *, now: int, limit: int) -> int:
        """Delete expired events; see `Backend.purge`. The file keeps its size, new events take their place."""
        return await self._writer.run(lambda connection: _purge(connection, now, limit))

    async def ping(self) -> None:
        """Return if the write lock can be had; see `Backend.ping`."""
        await self._writer.run(_take_the_write_lock)

    async def close(self) -> None:
        """Stop the running query, finish the running insert and close the file."""
        await self._reader.close(interrupt=True)
        await self._writer.close()

    def _connect(self) -> sqlite3.Connection:
        return connect(self._path, busy_timeout=self._busy_timeout)


@contextmanager
def _transaction(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite may have rolled back by itself
            connection.execute("ROLLBACK")
        raise


def _insert(connection: sqlite3.Connection, rows: Sequence[EventRow]) -> list[Duplicate]:
    first = first_of_each_id(rows)
    with _transaction(connection, "BEGIN IMMEDIATE"):
        newest = _newest_sequence(connection)
        stored: dict[str, StoredRecord] = {}
        if _insert_new(connection, list(first.values())) < len(first):
            stored = _stored_before(connection, list(first), newest)

    return duplicates(rows, first, stored)


def _insert_new(connection: sqlite3.Connection, rows: Sequence[EventRow]) -> int:
    """Insert the rows whose id is new and return how many they were."""
    inserted = start = 0
    while start < len(rows):
        size = min(_ROWS_PER_STATEMENT, 1 << (len(rows) - start).bit_length() - 1)
        chunk = rows[start : start + size]
        cursor = connection.execute(_insert_statement(size), list(chain.from_iterable(chunk)))
        inserted += cursor.rowcount
        start += size
    return inserted


def _insert_statement(rows: int) -> str:
    placeholders = ", ".join("?" * len(EventRow._fields))
    values = ", ".join([f"({placeholders})"] * rows)
    # OR FAIL keeps what the statement did before an error, and the transaction undoes it: ABORT, the default, would
    # copy every page aside before it is changed
    return f"INSERT OR FAIL INTO audit_events ({', '.join(EventRow._fields)}) VALUES {values} ON CONFLICT DO NOTHING"


def _stored_before(connection: sqlite3.Connection, ids: Sequence[str], newest: int) -> dict[str, StoredRecord]:
    """Return the events with these ids that were stored up to the sequence `newest`."""
    stored = {}
    for start in range(0, len(ids), _ROWS_PER_STATEMENT):
        chunk = ids[start : start + _ROWS_PER_STATEMENT]
        found = connection.execute(
            f"SELECT event_id, {', '.join(StoredRecord._fields)} FROM audit_events"
            f" WHERE event_id IN ({', '.join('?' * len(chunk))}) AND sequence <= ?",
            [*chunk, newest],
        )
        stored.update({event_id: StoredRecord(*event) for event_id, *event in found})
    return stored


def _newest_sequence(connection: sqlite3.Connection) -> int:
    newest: int = connection.execute("SELECT coalesce(max(sequence), 0) FROM audit_events").fetchone()[0]
    return newest


@contextmanager
def _deadline(connection: sqlite3.Connection, timeout: float) -> Iterator[None]:
    deadline = time.monotonic() + timeout
    connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_PER_LOOK)
    try:
        yield
    except sqlite3.OperationalError as exc:
        if exc.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT and time.monotonic() > deadline:
            raise QueryTooSlow(f"a query took longer than {timeout} s and was given up") from exc
        raise
    finally:
        connection.set_progress_handler(None, 0)


def _query(connection: sqlite3.Connection, query: EventQuery, timeout: float) -> Page:
    with _deadline(connection, timeout), _transaction(connection, "BEGIN"):  # the count and the page are of one moment
        (total,) = connection.execute(*count_statement(query, SQLITE)).fetchone()
        events = [StoredRecord(*row) for row in connection.execute(*page_statement(query, SQLITE))]
    return Page(events[: query.limit], total, has_more=len(events) > query.limit)


def _slice(connection: sqlite3.Connection, statement: Statement, timeout: float) -> list[StoredRecord]:
    events: list[StoredRecord] = []
    room = _BYTES_PER_SLICE
    with _deadline(connection, timeout), closing(connection.execute(*statement)) as rows:
        for row in rows:
            events.append(event := StoredRecord(*row))
            room -= len(event.event_data)
            if room <= 0:
                break
    return events


def _histogram(connection: sqlite3.Connection, query: EventQuery, width: int, timeout: float) -> list[Bar]:
    outcomes: dict[int, dict[str, int]] = {}
    with _deadline(connection, timeout):
        for start, outcome, count in connection.execute(*histogram_statement(query, SQLITE, width=width)):
            outcomes.setdefault(start, {})[outcome] = count
    return [Bar(start, counts) for start, counts in outcomes.items()]


def _purge(connection: sqlite3.Connection, now: int, limit: int) -> int:
    with _transaction(connection, "BEGIN IMMEDIATE"):
        return connection.execute(
            "DELETE FROM audit_events WHERE sequence IN"
            " (SELECT sequence FROM audit_events WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)",
            (now, limit),
        ).rowcount


def _take_the_write_lock(connection: sqlite3.Connection) -> None:
    with _transaction(connection, "BEGIN IMMEDIATE"):
        pass

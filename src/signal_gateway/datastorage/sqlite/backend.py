"""SqliteBackend: audit events in one SQLite file."""

import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import astuple
from functools import partial
from itertools import chain
from pathlib import Path

from signal_gateway.datastorage.backend import (
    MISSING_HEAD,
    BackendUnavailable,
    Bar,
    CasePage,
    Duplicate,
    EventRow,
    LegalHold,
    Page,
    PlacedHold,
    StoredRecord,
)
from signal_gateway.datastorage.integrity.link import ChainHead, Link, Seal, event_hashes
from signal_gateway.datastorage.integrity.verification import ChainChunk, Window
from signal_gateway.datastorage.query import EventQuery, Position
from signal_gateway.datastorage.record import find_duplicates, first_of_each_id
from signal_gateway.datastorage.select import slice_statement
from signal_gateway.datastorage.sqlite.chain import (
    INSERT_LINK,
    SELECT_HEAD,
    delete_events,
    expired_events,
    read_sqlite_chunk,
    sqlite_chain_head,
)
from signal_gateway.datastorage.sqlite.connection import ConnectionThread, DatabaseIdentity, free_bytes, transaction
from signal_gateway.datastorage.sqlite.queries import (
    EVENTS_PER_SLICE,
    SELECT_NEWEST,
    SQLITE,
    newest_sequence,
    rarest_filter,
    read_sqlite_cases,
    read_sqlite_histogram,
    read_sqlite_page,
    read_sqlite_slice,
)
from signal_gateway.datastorage.sqlite.readers import Readers
from signal_gateway.datastorage.sqlite.schema import prepare
from signal_gateway.errors import DataStorageError

__all__ = ["SqliteBackend"]

# One statement inserts many rows: between two statements another thread may hold the GIL for 5 ms, so one statement for
# each row takes seconds for a batch in a busy process. Sizes that are powers of two need few prepared statements.
_ROWS_PER_STATEMENT = 256

# SQLite inserts without the GIL, and meanwhile another thread hashes. Fewer events are hashed faster than handed over.
_LEAST_HASHED_ON_THREAD = 64

# the events of earlier holds do not make a case known
_INSERT_HOLD = """
INSERT INTO audit_holds SELECT ?, ?, ?, ? WHERE ? OR EXISTS (
    SELECT 1 FROM audit_events
    WHERE correlation_id = ? AND event_type NOT IN ('datastorage.hold.placed', 'datastorage.hold.released')
) ON CONFLICT DO NOTHING
"""
_SELECT_HOLD = f"SELECT {', '.join(LegalHold._fields)} FROM audit_holds WHERE correlation_id = ?"


class SqliteBackend:
    """Stores events in an SQLite file with WAL and `synchronous=FULL`.

    One thread writes, one hashes, and several read.

    An insert is on the disk before it returns. Readers do not wait for the writer, and each read sees everything that
    was committed before it began.

    Args:
        path: The file. Its directory must exist.
        busy_timeout: How long to wait for another process with the write lock, in seconds.
        query_timeout: How long a query may run, in seconds.
        readers: The number of queries that run at the same time; half of them may be scans.
    """

    def __init__(self, path: Path, *, busy_timeout: float = 5.0, query_timeout: float = 10.0, readers: int = 4) -> None:
        self._path = path
        self._query_timeout = query_timeout
        self._writer = ConnectionThread(f"audit writer {path.name}", path, busy_timeout=busy_timeout)
        self._readers = Readers(path, size=readers, busy_timeout=busy_timeout)
        self._hasher = ThreadPoolExecutor(1)
        self._identity = DatabaseIdentity(path)
        self._free_when_full: int | None = None  # bytes, at the last insert that failed for lack of space

    async def open(self) -> None:
        """Open the file, create a missing file, and bring its schema up to date.

        Raises:
            DataStorageError: The file is not writable, belongs to another application or has a newer schema, or this
                backend is open already.
        """
        if self._writer.is_open:
            raise DataStorageError(f"{self._path} is open already: enter or serve a DataStorage only once at a time")
        self._hasher = ThreadPoolExecutor(1, thread_name_prefix=f"audit hasher {self._path.name}")
        try:
            await self._writer.open()
            self._identity = DatabaseIdentity(self._path)
            await self._writer.run(self._prepare)
            await self._readers.open()
        except BaseException:
            await self.close()
            raise

    async def insert(self, rows: Sequence[EventRow]) -> Sequence[Duplicate]:
        """Commit all rows or none; see `Backend.insert`."""
        return await self._writer.run(partial(self._insert, rows=rows))

    async def query(self, query: EventQuery) -> Page:
        """Read a page; see `Backend.query`."""
        read = partial(read_sqlite_page, query=query, timeout=self._query_timeout)
        return await self._readers.run(read, is_scan=query.is_scan)

    async def cases(self, query: EventQuery) -> CasePage:
        """Read a page of cases; see `Backend.cases`."""
        read = partial(read_sqlite_cases, query=query, timeout=self._query_timeout)
        return await self._readers.run(read, is_scan=query.is_scan)

    async def export(self, query: EventQuery) -> AsyncIterator[Sequence[StoredRecord]]:
        """Read all events that match; see `Backend.export`."""
        newest = await self._readers.run(newest_sequence)
        leading = await self._readers.run(partial(rarest_filter, query=query, timeout=self._query_timeout))
        after = query.after
        while True:
            statement = slice_statement(
                query, SQLITE, after=after, newest=newest, limit=EVENTS_PER_SLICE, leading=leading
            )
            read = partial(read_sqlite_slice, statement=statement, timeout=self._query_timeout)
            events = await self._readers.run(read, is_scan=query.is_scan)
            if not events:
                return
            yield events
            after = Position(events[-1].event_timestamp, events[-1].sequence)

    async def histogram(self, query: EventQuery, *, width: int) -> Sequence[Bar]:
        """Count events by time; see `Backend.histogram`."""
        read = partial(read_sqlite_histogram, query=query, width=width, timeout=self._query_timeout)
        return await self._readers.run(read, is_scan=True)

    async def purge(self, *, now: int, limit: int) -> int:
        """Delete expired events; see `Backend.purge`. New events reuse their space; the file does not shrink."""
        return await self._writer.run(partial(self._purge, now=now, limit=limit))

    async def place_hold(self, hold: LegalHold, event: EventRow, *, allow_unknown: bool = False) -> PlacedHold | None:
        """Keep a case from purges; see `Backend.place_hold`."""
        return await self._writer.run(partial(self._place_hold, hold=hold, event=event, allow_unknown=allow_unknown))

    async def release_hold(self, correlation_id: str, event: EventRow) -> bool:
        """End a hold; see `Backend.release_hold`."""
        return await self._writer.run(partial(self._release_hold, correlation_id=correlation_id, event=event))

    async def holds(self) -> Sequence[LegalHold]:
        """Read all holds; see `Backend.holds`."""
        return await self._readers.run(_holds)

    async def chain_head(self) -> ChainHead | None:
        """Read the head of the chain; see `Backend.chain_head`."""
        return await self._readers.run(sqlite_chain_head)

    async def read_chain(self, *, after: ChainHead, window: Window) -> ChainChunk:
        """Read the next links; see `Backend.read_chain`."""
        return await self._readers.run(partial(read_sqlite_chunk, after=after, window=window), is_scan=True)

    async def ping(self) -> None:
        """Commit a change that changes nothing; see `Backend.ping`."""
        await self._writer.run(self._try_to_write)

    async def close(self) -> None:
        """Interrupt the running queries, finish the running insert and close the file."""
        await self._readers.close()
        await self._writer.close()
        self._hasher.shutdown()

    def _prepare(self, connection: sqlite3.Connection) -> None:
        prepare(connection, self._path)
        self._identity.check()

    def _insert(self, connection: sqlite3.Connection, *, rows: Sequence[EventRow]) -> list[Duplicate]:
        with self._writing(connection):
            return _insert_rows(connection, rows, self._hasher)

    def _place_hold(
        self, connection: sqlite3.Connection, *, hold: LegalHold, event: EventRow, allow_unknown: bool
    ) -> PlacedHold | None:
        with self._writing(connection):
            values = (*hold, allow_unknown, hold.correlation_id)
            is_new = connection.execute(_INSERT_HOLD, values).rowcount > 0
            if is_new:
                _insert_rows(connection, [event], self._hasher)
            stored = connection.execute(_SELECT_HOLD, (hold.correlation_id,)).fetchone()
        return None if stored is None else PlacedHold(LegalHold(*stored), is_new)

    def _release_hold(self, connection: sqlite3.Connection, *, correlation_id: str, event: EventRow) -> bool:
        with self._writing(connection):
            statement = "DELETE FROM audit_holds WHERE correlation_id = ?"
            released = connection.execute(statement, (correlation_id,)).rowcount > 0
            if released:
                _insert_rows(connection, [event], self._hasher)
        return released

    def _purge(self, connection: sqlite3.Connection, *, now: int, limit: int) -> int:
        with transaction(connection, "BEGIN IMMEDIATE"):
            events, sequences = expired_events(connection, now=now, limit=limit)
            if events:
                link = _append(connection, Seal.of_batch(events, event_hashes(events), sequences).as_purge(now=now))
                delete_events(connection, sequences, purge_link=link.number)
        return len(events)

    @contextmanager
    def _writing(self, connection: sqlite3.Connection) -> Iterator[None]:
        """Enter a transaction that stores events in the file at the path, or raises."""
        self._identity.check()
        try:
            with transaction(connection, "BEGIN IMMEDIATE"):
                yield
        except sqlite3.Error as exc:
            if exc.sqlite_errorcode == sqlite3.SQLITE_FULL:
                self._free_when_full = free_bytes(self._path)
            raise
        self._free_when_full = None
        self._identity.check()  # the commit is in the file at the path only if the file was there all the time

    def _try_to_write(self, connection: sqlite3.Connection) -> None:
        self._identity.check()
        if self._free_when_full is not None and free_bytes(self._path) <= self._free_when_full:
            # a change smaller than the insert that failed may fit
            raise BackendUnavailable(f"the disk of {self._path} is full: free some space")
        with transaction(connection, "BEGIN IMMEDIATE"):
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            connection.execute(f"PRAGMA user_version = {version}")


def _insert_rows(
    connection: sqlite3.Connection, rows: Sequence[EventRow], hasher: ThreadPoolExecutor
) -> list[Duplicate]:
    """Insert the rows with a new id and their link, inside the transaction of the caller."""
    first = first_of_each_id(rows)
    new = list(first.values())
    hashing = hasher.submit(event_hashes, new) if len(new) >= _LEAST_HASHED_ON_THREAD else None
    (newest,) = connection.execute(SELECT_NEWEST).fetchone()
    stored: dict[str, StoredRecord] = {}
    inserted = _insert_new(connection, new)
    hashes = event_hashes(new) if hashing is None else hashing.result()
    if inserted < len(new):
        stored = _stored_before(connection, list(first), newest)
        hashes = [value for row, value in zip(new, hashes, strict=True) if row.event_id not in stored]
        new = [row for row in new if row.event_id not in stored]
    if new:
        _append(connection, Seal.of_batch(new, hashes, _sequences(connection, newest, len(new))))
    return find_duplicates(rows, first, stored)


def _insert_new(connection: sqlite3.Connection, rows: Sequence[EventRow]) -> int:
    """Insert the rows with a new id and return their number."""
    columns, placeholders = ", ".join(EventRow._fields), ", ".join("?" * len(EventRow._fields))
    inserted = start = 0
    while start < len(rows):
        size = min(_ROWS_PER_STATEMENT, 1 << (len(rows) - start).bit_length() - 1)
        values = ", ".join([f"({placeholders})"] * size)
        # OR FAIL keeps the changes of a statement that fails, and the transaction rolls them back. ABORT, the default,
        # would copy every page before changing it.
        statement = f"INSERT OR FAIL INTO audit_events ({columns}) VALUES {values} ON CONFLICT DO NOTHING"
        cursor = connection.execute(statement, list(chain.from_iterable(rows[start : start + size])))
        inserted += cursor.rowcount
        start += size
    return inserted


def _stored_before(connection: sqlite3.Connection, ids: Sequence[str], newest: int) -> dict[str, StoredRecord]:
    """Return the events with these ids and a sequence up to `newest`."""
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


def _sequences(connection: sqlite3.Connection, after: int, count: int) -> Sequence[int]:
    """Return the sequences of all events after one."""
    oldest, newest = connection.execute(
        "SELECT (SELECT min(sequence) FROM audit_events WHERE sequence > ?), (SELECT max(sequence) FROM audit_events)",
        (after,),
    ).fetchone()
    if newest - oldest + 1 == count:  # there are `count` different ones
        return range(oldest, newest + 1)
    found = connection.execute("SELECT sequence FROM audit_events WHERE sequence > ? ORDER BY 1", (after,))
    return [sequence for (sequence,) in found]


def _append(connection: sqlite3.Connection, seal: Seal) -> Link:
    """Add a link to the chain, inside the transaction of the caller."""
    head = connection.execute(SELECT_HEAD).fetchone()
    if head is None:
        raise BackendUnavailable(MISSING_HEAD)
    link = seal.link(ChainHead(*head))
    connection.execute(INSERT_LINK, (*astuple(link), seal.manifest if seal.kind == "batch" else None))
    connection.execute(
        "UPDATE audit_chain SET number = ?, total = ?, purged = ?, hash = ?",
        (link.number, link.total, link.purged, link.hash),
    )
    return link


def _holds(connection: sqlite3.Connection) -> list[LegalHold]:
    rows = connection.execute(f"SELECT {', '.join(LegalHold._fields)} FROM audit_holds ORDER BY placed_at, 1")
    return [LegalHold(*row) for row in rows]

"""PostgresBackend: audit events in one PostgreSQL table, for many replicas."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from signal_gateway.datastorage.backend import (
    BackendNotOpen,
    BackendUnavailable,
    Bar,
    Duplicate,
    EventRow,
    Page,
    QueryTooSlow,
    StoredRecord,
)
from signal_gateway.datastorage.duplicates import duplicates, first_of_each_id
from signal_gateway.datastorage.postgres.schema import migrate
from signal_gateway.datastorage.postgres.select import POSTGRES, bounded_slice_statement
from signal_gateway.datastorage.postgres.url import connection_parameters, described
from signal_gateway.datastorage.query import EventQuery, Position
from signal_gateway.datastorage.select import count_statement, histogram_statement, page_statement
from signal_gateway.errors import DataStorageError

__all__ = ["PostgresBackend"]

Connection = psycopg.AsyncConnection[TupleRow]
Pool = AsyncConnectionPool[Connection]

# A slice of an export ends at the first of these bounds. It is a statement of its own: a transaction that lasted as
# long as a client reads would keep VACUUM from removing what is deleted meanwhile.
_EVENTS_PER_SLICE = 1000
_BYTES_PER_SLICE = 1024 * 1024

_COLUMN_TYPES = {
    "event_id": "uuid",
    "event_timestamp": "bigint",
    "received_at": "bigint",
    "expires_at": "bigint",
}
_COLUMNS = ", ".join(EventRow._fields)
_ARRAYS = ", ".join(f"%b::{_COLUMN_TYPES.get(column, 'text')}[]" for column in EventRow._fields)

# The inner SELECT numbers the events in the order of the batch: nextval is volatile and never moved out of it.
# They are inserted in the order of their ids: two batches with the same ids wait for each other in one direction only,
# so there is no deadlock. The ids come back only if some of them were there before.
_INSERT = f"""
WITH inserted AS (
    INSERT INTO audit_events (sequence, {_COLUMNS})
    SELECT * FROM (
        SELECT nextval('audit_events_sequence'), batch.* FROM unnest({_ARRAYS}) AS batch ({_COLUMNS})
    ) AS numbered
    ORDER BY event_id
    ON CONFLICT (event_id) DO NOTHING
    RETURNING event_id
)
SELECT CASE WHEN count(*) < %b THEN coalesce(array_agg(event_id::text), '{{}}') END FROM inserted
"""

_PURGE = """
DELETE FROM audit_events WHERE event_id = ANY (ARRAY(
    SELECT event_id FROM audit_events WHERE expires_at <= %s ORDER BY expires_at LIMIT %s FOR UPDATE SKIP LOCKED
))
"""

# An asynchronous commit would be acknowledged before it is on the disk. `remote_apply` waits for more than `on`.
_SESSION = """
SELECT set_config(
    'synchronous_commit',
    CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END,
    false
), set_config('statement_timeout', %s, false), set_config('idle_in_transaction_session_timeout', %s, false)
"""

_READERS_SESSION = """
SELECT set_config('default_transaction_read_only', 'on', false),
    set_config('default_transaction_isolation', 'repeatable read', false)
"""


class PostgresBackend:
    """Keeps events in a PostgreSQL database; any number of processes may use it at once.

    A batch is one statement that commits by itself: if the connection or the server dies, it is stored or it is not,
    and the same batch may be sent again either way. Writers and readers have connections of their own, so that slow
    queries keep nobody from writing; a broken connection is replaced at its next use.

    Args:
        url: `postgresql://user:password@host:port/database`.
        writers: The most connections that write at once.
        readers: The most connections that read at once.
        connection_timeout: How long a call waits for a connection, in seconds.
        insert_timeout: How long an insert or a purge may run, in seconds.
        query_timeout: How long a query may run, in seconds.
        migration_timeout: How long `open` waits for another process that migrates, in seconds.

    Raises:
        ConfigurationError: The URL can't be read; nothing of it is repeated.
    """

    def __init__(
        self,
        url: str,
        *,
        writers: int = 4,
        readers: int = 4,
        connection_timeout: float = 2.0,
        insert_timeout: float = 10.0,
        query_timeout: float = 10.0,
        migration_timeout: float = 60.0,
    ) -> None:
        self._parameters = connection_parameters(url)
        self._name = described(self._parameters)
        self._writers, self._readers = writers, readers
        self._connection_timeout = connection_timeout
        self._insert_timeout = insert_timeout
        self._query_timeout = query_timeout
        self._migration_timeout = migration_timeout
        self._pools: tuple[Pool, Pool] | None = None
        self._calls = 0
        self._reading: set[Connection] = set()
        self._idle = asyncio.Event()

    async def open(self) -> None:
        """Connect, and bring the schema up to this release.

        Raises:
            DataStorageError: The database can't be reached or used, belongs to something else or to a newer release,
                or this backend is open already; the message says which.
        """
        if self._pools is not None:
            raise DataStorageError(f"{self._name} is open already: a DataStorage is entered or served once at a time")
        await asyncio.to_thread(migrate, self._parameters, lock_timeout=self._migration_timeout)
        self._pools = (
            self._pool("audit writers", self._writers, self._insert_timeout, read_only=False),
            self._pool("audit readers", self._readers, self._query_timeout, read_only=True),
        )
        try:
            for pool in self._pools:
                await pool.open(wait=True, timeout=self._connection_timeout)
        except BaseException as exc:
            await self.close()
            if isinstance(exc, psycopg.Error):
                raise DataStorageError(f"can't connect to {self._name}: {exc}") from exc
            raise

    async def insert(self, rows: Sequence[EventRow]) -> Sequence[Duplicate]:
        """Commit all rows or none; see `Backend.insert`."""
        first = first_of_each_id(rows)
        columns = [list(column) for column in zip(*first.values(), strict=True)]
        stored: dict[str, StoredRecord] = {}
        async with self._connection(writes=True) as connection:
            cursor = await connection.execute(_INSERT, [*columns, len(first)])
            ((inserted,),) = await cursor.fetchall()
            if inserted is not None:
                stored = await _stored(connection, list(first.keys() - set(inserted)))
        return duplicates(rows, first, stored)

    async def query(self, query: EventQuery) -> Page:
        """Read a page; see `Backend.query`."""
        # the count and the page are of one moment: the readers' transactions are REPEATABLE READ
        async with self._connection(writes=False) as connection, connection.transaction():
            ((total,),) = await _all(connection, *count_statement(query, POSTGRES))
            events = [StoredRecord(*row) for row in await _all(connection, *page_statement(query, POSTGRES))]
        return Page(events[: query.limit], total, has_more=len(events) > query.limit)

    async def export(self, query: EventQuery) -> AsyncIterator[Sequence[StoredRecord]]:
        """Read all that a query matches; see `Backend.export`."""
        async with self._connection(writes=False) as connection:
            ((newest,),) = await _all(connection, "SELECT last_value FROM audit_events_sequence")
        after = query.after
        while True:
            statement = bounded_slice_statement(
                query, after=after, newest=newest, limit=_EVENTS_PER_SLICE, max_bytes=_BYTES_PER_SLICE
            )
            async with self._connection(writes=False) as connection:
                events = [StoredRecord(*row) for row in await _all(connection, *statement)]
            if not events:
                return
            yield events
            after = Position(events[-1].event_timestamp, events[-1].sequence)

    async def histogram(self, query: EventQuery, *, width: int) -> Sequence[Bar]:
        """Count events by time; see `Backend.histogram`."""
        outcomes: dict[int, dict[str, int]] = {}
        async with self._connection(writes=False) as connection:
            for start, outcome, count in await _all(connection, *histogram_statement(query, POSTGRES, width=width)):
                outcomes.setdefault(start, {})[outcome] = count
        return [Bar(start, counts) for start, counts in outcomes.items()]

    async def purge(self, *, now: int, limit: int) -> int:
        """Delete expired events; see `Backend.purge`. Those that another replica is deleting are left to it."""
        async with self._connection(writes=True) as connection:
            return (await connection.execute(_PURGE, [now, limit])).rowcount

    async def ping(self) -> None:
        """Return if a connection can write; see `Backend.ping`."""
        async with self._connection(writes=True) as connection:
            ((read_only,),) = await _all(connection, "SELECT current_setting('transaction_read_only')::boolean")
        if read_only:
            raise BackendUnavailable(f"{self._name} can only be read: is it a standby?")

    async def close(self) -> None:
        """Stop the running queries, finish the running inserts and disconnect."""
        pools, self._pools = self._pools, None
        if pools is None:
            return
        await asyncio.gather(*(connection.cancel_safe() for connection in self._reading))
        while self._calls:
            self._idle.clear()
            await self._idle.wait()
        for pool in pools:
            await pool.close()

    def _pool(self, name: str, size: int, statement_timeout: float, *, read_only: bool) -> Pool:
        milliseconds = f"{statement_timeout * 1000:.0f}"

        async def configure(connection: Connection) -> None:
            await connection.execute(_SESSION, [milliseconds, milliseconds])
            if read_only:
                await connection.execute(_READERS_SESSION)

        return AsyncConnectionPool(
            # a plan of a prepared statement may be made for any value: good for inserting, not for finding
            kwargs={**self._parameters, "autocommit": True, "prepare_threshold": None if read_only else 1},
            min_size=1,
            max_size=size,
            timeout=self._connection_timeout,
            # it gives up before its callers do, so that each call has it try at once and not after a pause
            reconnect_timeout=self._connection_timeout / 2,
            configure=configure,
            check=AsyncConnectionPool.check_connection,
            name=name,
            open=False,
        )

    @asynccontextmanager
    async def _connection(self, *, writes: bool) -> AsyncIterator[Connection]:
        """Lend a connection, and say in our own words what goes wrong with it."""
        if self._pools is None:
            raise BackendNotOpen(f"{self._name} is not open")
        pool = self._pools[0 if writes else 1]
        self._calls += 1
        try:
            async with pool.connection() as connection:
                if writes:
                    yield connection
                    return
                if self._pools is None:
                    raise BackendNotOpen(f"{self._name} is being closed")
                self._reading.add(connection)
                try:
                    yield connection
                finally:
                    self._reading.discard(connection)
        except psycopg.errors.QueryCanceled as exc:
            if writes:
                raise BackendUnavailable(f"{self._name}: {exc}") from exc
            raise QueryTooSlow(f"a query took longer than {self._query_timeout} s and was given up") from exc
        except psycopg.Error as exc:
            raise BackendUnavailable(f"{self._name}: {exc}") from exc
        finally:
            self._calls -= 1
            self._idle.set()


async def _stored(connection: Connection, ids: list[str]) -> dict[str, StoredRecord]:
    """Return the events with these ids. One that is purged in this moment is missing; nobody will ask for it."""
    columns = ", ".join(StoredRecord._fields)
    statement = f"SELECT event_id::text, {columns} FROM audit_events WHERE event_id = ANY (%b::uuid[])"
    return {event_id: StoredRecord(*event) for event_id, *event in await _all(connection, statement, [ids])}


async def _all(connection: Connection, statement: str, values: Sequence[Any] = ()) -> list[TupleRow]:
    return await (await connection.execute(statement, values)).fetchall()

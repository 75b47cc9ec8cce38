"""PostgresBackend: audit events in one PostgreSQL table, shared by any number of replicas."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from weakref import WeakSet

import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from signal_gateway.datastorage.backend import (
    BackendNotOpen,
    BackendUnavailable,
    Bar,
    CasePage,
    Duplicate,
    EventRow,
    LegalHold,
    Page,
    PlacedHold,
    QueryTooSlow,
    StoredRecord,
)
from signal_gateway.datastorage.integrity.link import ChainHead
from signal_gateway.datastorage.integrity.verification import ChainChunk, Window
from signal_gateway.datastorage.postgres.cancellation import cancelled_with_caller, request_cancellation
from signal_gateway.datastorage.postgres.chain import lock_head, postgres_chain_head, purge_events, read_postgres_chunk
from signal_gateway.datastorage.postgres.insert import HasDuplicates, insert_new, insert_with_duplicates
from signal_gateway.datastorage.postgres.queries import (
    all_rows,
    read_postgres_cases,
    read_postgres_histogram,
    read_postgres_page,
    read_postgres_slice,
)
from signal_gateway.datastorage.postgres.schema import migrate_schema
from signal_gateway.datastorage.postgres.url import connection_parameters, display_name
from signal_gateway.datastorage.query import EventQuery, Position
from signal_gateway.datastorage.record import find_duplicates, first_of_each_id
from signal_gateway.errors import DataStorageError

__all__ = ["PostgresBackend"]

Connection = psycopg.AsyncConnection[TupleRow]
Pool = AsyncConnectionPool[Connection]

# needs the table, its lock and the right to insert, whatever its columns are
_INSERT_NOTHING = "INSERT INTO audit_events SELECT * FROM audit_events WHERE false"

# the events of earlier holds do not make a case known
_INSERT_HOLD = """
INSERT INTO audit_holds SELECT %s, %s, %s, %s WHERE %s OR EXISTS (
    SELECT 1 FROM audit_events
    WHERE correlation_id = %s AND event_type NOT IN ('datastorage.hold.placed', 'datastorage.hold.released')
) ON CONFLICT DO NOTHING
"""
_SELECT_HOLD = f"SELECT {', '.join(LegalHold._fields)} FROM audit_holds WHERE correlation_id = %s"

_SECONDS_PER_CANCELLATION = 0.1

# An asynchronous commit would be acknowledged before it is on the disk. `remote_apply` is stricter than `on`.
# The flag makes the settings end with the transaction. A pooler gives a session's settings to its other clients.
_SETTINGS = """
SELECT set_config(
    'synchronous_commit',
    CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END,
    %s
), set_config('statement_timeout', %s, %s), set_config('idle_in_transaction_session_timeout', %s, %s)
"""

_READERS_TRANSACTION = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"

_READERS_SESSION = """
SELECT set_config('default_transaction_read_only', 'on', false),
    set_config('default_transaction_isolation', 'repeatable read', false)
"""


class PostgresBackend:
    """Stores events in a PostgreSQL database. Any number of processes may use the database at once.

    Behind a pooler, such as pgbouncer in transaction mode, each call is one transaction with settings of its own and
    without prepared statements: what a session keeps there, other clients of the pooler get.

    A batch is one statement that commits by itself, or one transaction if some of its events are stored already: if the
    connection or the server fails, all of it is stored or none, and the client may send it again in both cases.
    Writers and readers have separate connections, so slow queries do not block writes. A broken connection is replaced
    at its next use.

    Args:
        url: `postgresql://user:password@host:port/database`.
        writers: The most connections for writing.
        readers: The most connections for reading; half of them may run scans.
        connection_timeout: How long a call waits for a connection, in seconds.
        insert_timeout: How long an insert or a purge may run, in seconds.
        query_timeout: How long a query may run, in seconds.
        migration_timeout: How long `open` waits for another process that migrates, in seconds.

    Raises:
        ConfigurationError: The URL is not valid. The message repeats no part of it.
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
        self._name = display_name(self._parameters)
        self._writers, self._readers = writers, readers
        self._connection_timeout = connection_timeout
        self._insert_timeout = insert_timeout
        self._query_timeout = query_timeout
        self._migration_timeout = migration_timeout
        self._pools: tuple[Pool, Pool] | None = None
        self._calls = 0
        self._reading: set[Connection] = set()
        self._pooled: WeakSet[Connection] = WeakSet()
        self._idle = asyncio.Event()
        self._scans = asyncio.Semaphore()

    async def open(self) -> None:
        """Bring the schema up to date, and connect.

        Raises:
            DataStorageError: The database is not reachable or not usable, belongs to another application or has a
                newer schema, or this backend is open already.
        """
        if self._pools is not None:
            raise DataStorageError(f"{self._name} is open already: enter or serve a DataStorage only once at a time")
        self._scans = asyncio.Semaphore(max(1, self._readers // 2))
        await asyncio.to_thread(migrate_schema, self._parameters, lock_timeout=self._migration_timeout)
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
                raise DataStorageError(f"cannot connect to {self._name}: {exc}") from exc
            raise

    async def insert(self, rows: Sequence[EventRow]) -> Sequence[Duplicate]:
        """Commit all rows or none; see `Backend.insert`."""
        first = first_of_each_id(rows)
        try:
            async with self._connection(writes=True) as connection:
                await insert_new(connection, list(first.values()))
        except HasDuplicates:
            async with self._writing() as connection:
                return await insert_with_duplicates(connection, rows)
        return find_duplicates(rows, first, {})

    async def query(self, query: EventQuery) -> Page:
        """Read a page; see `Backend.query`."""
        # one snapshot for the count and the page: transactions of readers are REPEATABLE READ
        async with self._reader(is_scan=query.is_scan) as connection, connection.transaction():
            return await cancelled_with_caller(connection, read_postgres_page(connection, query))

    async def cases(self, query: EventQuery) -> CasePage:
        """Read a page of cases; see `Backend.cases`."""
        async with self._reader(is_scan=query.is_scan) as connection, connection.transaction():
            return await cancelled_with_caller(connection, read_postgres_cases(connection, query))

    async def export(self, query: EventQuery) -> AsyncIterator[Sequence[StoredRecord]]:
        """Read all events that match; see `Backend.export`."""
        async with self._connection(writes=False) as connection:
            ((newest,),) = await all_rows(connection, "SELECT last_value FROM audit_events_sequence")
        after = query.after
        while True:
            async with self._reader(is_scan=query.is_scan) as connection:
                reading = read_postgres_slice(connection, query, after=after, newest=newest)
                events = await cancelled_with_caller(connection, reading)
            if not events:
                return
            yield events
            after = Position(events[-1].event_timestamp, events[-1].sequence)

    async def histogram(self, query: EventQuery, *, width: int) -> Sequence[Bar]:
        """Count events by time; see `Backend.histogram`."""
        async with self._reader(is_scan=True) as connection:
            return await cancelled_with_caller(connection, read_postgres_histogram(connection, query, width=width))

    async def purge(self, *, now: int, limit: int) -> int:
        """Delete expired events; see `Backend.purge`. Skips events that another replica is deleting."""
        async with self._writing() as connection:
            return await purge_events(connection, now=now, limit=limit)

    async def place_hold(self, hold: LegalHold, event: EventRow, *, allow_unknown: bool = False) -> PlacedHold | None:
        """Keep a case from purges; see `Backend.place_hold`."""
        async with self._writing() as connection:
            await lock_head(connection)
            values = (*hold, allow_unknown, hold.correlation_id)
            is_new = (await connection.execute(_INSERT_HOLD, values)).rowcount > 0
            if is_new:
                await insert_with_duplicates(connection, [event])
            stored = await all_rows(connection, _SELECT_HOLD, [hold.correlation_id])
        return PlacedHold(LegalHold(*stored[0]), is_new) if stored else None

    async def release_hold(self, correlation_id: str, event: EventRow) -> bool:
        """End a hold; see `Backend.release_hold`."""
        async with self._writing() as connection:
            await lock_head(connection)
            released = await connection.execute("DELETE FROM audit_holds WHERE correlation_id = %s", [correlation_id])
            if released.rowcount:
                await insert_with_duplicates(connection, [event])
            return released.rowcount > 0

    async def holds(self) -> Sequence[LegalHold]:
        """Read all holds; see `Backend.holds`."""
        statement = f"SELECT {', '.join(LegalHold._fields)} FROM audit_holds ORDER BY placed_at, 1"
        async with self._connection(writes=False) as connection:
            return [LegalHold(*row) for row in await all_rows(connection, statement)]

    async def chain_head(self) -> ChainHead | None:
        """Read the head of the chain; see `Backend.chain_head`."""
        async with self._connection(writes=False) as connection:
            return await postgres_chain_head(connection)

    async def read_chain(self, *, after: ChainHead, window: Window) -> ChainChunk:
        """Read the next links; see `Backend.read_chain`."""
        # one snapshot, as for a query
        async with self._connection(writes=False) as connection, connection.transaction():
            chunk = read_postgres_chunk(connection, after=after, window=window)
            return await cancelled_with_caller(connection, chunk)

    async def ping(self) -> None:
        """Check that an insert would be allowed, and not wait for a lock; see `Backend.ping`."""
        async with self._connection(writes=True) as connection:
            ((read_only,),) = await all_rows(connection, "SELECT current_setting('transaction_read_only')::boolean")
            if not read_only:
                await connection.execute(_INSERT_NOTHING)
        if read_only:
            raise BackendUnavailable(f"{self._name} is read-only: is it a standby?")

    async def close(self) -> None:
        """Cancel the running queries, finish the running inserts and disconnect."""
        pools, self._pools = self._pools, None
        if pools is None:
            return
        while self._calls:
            # again and again: the server ignores a request that arrives before the statement
            await asyncio.gather(*map(request_cancellation, self._reading))
            self._idle.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), _SECONDS_PER_CANCELLATION)
        for pool in pools:
            await pool.close()

    def _pool(self, name: str, size: int, statement_timeout: float, *, read_only: bool) -> Pool:
        async def configure(connection: Connection) -> None:
            if await _is_pooled(connection):
                self._pooled.add(connection)
                return
            await connection.execute(_SETTINGS, _settings(statement_timeout, is_local=False))
            if read_only:
                await connection.execute(_READERS_SESSION)
            else:  # a prepared statement may get a plan for any value: good for inserts, bad for queries
                connection.prepare_threshold = 1

        return AsyncConnectionPool(
            kwargs={**self._parameters, "autocommit": True, "prepare_threshold": None},
            min_size=1,
            max_size=size,
            timeout=self._connection_timeout,
            # shorter than the timeout of a call, so each call begins a new attempt without a pause
            reconnect_timeout=self._connection_timeout / 2,
            configure=configure,
            check=AsyncConnectionPool.check_connection,
            name=name,
            open=False,
        )

    @asynccontextmanager
    async def _reader(self, *, is_scan: bool) -> AsyncIterator[Connection]:
        """Borrow a connection for a query. Scans wait for each other, so that other queries find a connection."""
        async with self._scans if is_scan else nullcontext(), self._connection(writes=False) as connection:
            yield connection

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[Connection]:
        async with self._connection(writes=True) as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def _transaction(self, connection: Connection, *, writes: bool) -> AsyncIterator[None]:
        """Enter a transaction with our settings on the connection of a pooler; do nothing on one of our own."""
        if connection not in self._pooled:
            yield
            return
        async with connection.transaction():
            if not writes:
                await connection.execute(_READERS_TRANSACTION)
            timeout = self._insert_timeout if writes else self._query_timeout
            await connection.execute(_SETTINGS, _settings(timeout, is_local=True))
            yield

    @asynccontextmanager
    async def _connection(self, *, writes: bool) -> AsyncIterator[Connection]:
        """Borrow a connection from a pool, and translate the errors of psycopg."""
        if self._pools is None:
            raise BackendNotOpen(f"{self._name} is not open")
        pool = self._pools[0 if writes else 1]
        self._calls += 1
        try:
            async with pool.connection() as connection, self._transaction(connection, writes=writes):
                if writes:
                    yield connection
                    return
                if self._pools is None:
                    raise BackendNotOpen(f"{self._name} is closing")
                self._reading.add(connection)
                try:
                    yield connection
                finally:
                    self._reading.discard(connection)
        except psycopg.errors.QueryCanceled as exc:
            if writes:
                raise BackendUnavailable(f"{self._name}: {exc}") from exc
            raise QueryTooSlow(f"a query took longer than {self._query_timeout} s and was stopped") from exc
        except psycopg.Error as exc:
            raise BackendUnavailable(f"{self._name}: {exc}") from exc
        finally:
            self._calls -= 1
            self._idle.set()


async def _is_pooled(connection: Connection) -> bool:
    """Return whether a pooler is in between: it tells its clients another process id than that of the server."""
    ((pid,),) = await all_rows(connection, "SELECT pg_backend_pid()")
    return bool(pid != connection.info.backend_pid)


def _settings(statement_timeout: float, *, is_local: bool) -> list[object]:
    milliseconds = f"{statement_timeout * 1000:.0f}"
    return [is_local, milliseconds, is_local, milliseconds, is_local]

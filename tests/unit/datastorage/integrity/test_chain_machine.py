"""Batches, purges, holds, crashes and checkpoints of two replicas in any order: verify agrees with a model."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar, TypeVar

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from psycopg.rows import TupleRow
from tests.support.sealed_events import ARRIVAL, DAY, sealed_row, sql, sql_with_values

from signal_gateway.datastorage.backend import CHAIN_COLUMNS, EventRow, LegalHold
from signal_gateway.datastorage.database import backend_for
from signal_gateway.datastorage.integrity.checkpoint import Checkpoint
from signal_gateway.datastorage.integrity.link import ChainHead
from signal_gateway.datastorage.integrity.verification import ChainVerdict
from signal_gateway.datastorage.postgres.insert import insert_with_duplicates
from signal_gateway.datastorage.record import microseconds
from signal_gateway.datastorage.sqlite import backend as sqlite_backend
from signal_gateway.datastorage.verify import verify_chain

pytestmark = pytest.mark.slow

T = TypeVar("T")

START = microseconds(ARRIVAL)
NOW = microseconds(ARRIVAL + timedelta(days=40))
RETENTION = (None, 1, 10)  # days, by number of the event
CASES = ("c-0", "c-1")
COLUMNS = {
    "audit_events": ", ".join(CHAIN_COLUMNS),
    "audit_links": "number, kind, sealed_at, count, total, purged, digest, hash, manifest",
    "audit_purged": "sequence, link",
    "audit_chain": "one, datastorage, number, total, purged, hash",
}

numbers = st.integers(0, 11)
batches = st.lists(numbers, min_size=1, max_size=6)
replicas = st.sampled_from((0, 1))


def event(number: int) -> EventRow:
    days = RETENTION[number % 3]
    return sealed_row(number, correlation_id=CASES[number % 2], **({} if days is None else {"retention_days": days}))


class SqliteTransaction:
    """What a backend does in the transaction of an insert, up to the commit."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def insert(self, rows: Sequence[EventRow]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(1) as hasher:
            sqlite_backend._insert_rows(self._connection, rows, hasher)

    async def wait_for_others(self, *, until: asyncio.Future[Any]) -> None:  # noqa: ARG002
        await asyncio.sleep(0)  # the other one begins, and waits for the write lock

    async def commit(self) -> None:
        self._connection.execute("COMMIT")


class PostgresTransaction:
    """As `SqliteTransaction`."""

    def __init__(self, connection: psycopg.AsyncConnection[TupleRow]) -> None:
        self._connection = connection

    async def insert(self, rows: Sequence[EventRow]) -> None:
        await insert_with_duplicates(self._connection, rows)

    async def wait_for_others(self, *, until: asyncio.Future[Any]) -> None:
        waiting = 0
        while not waiting and not until.done():
            locks = await self._connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            ((waiting,),) = await locks.fetchall()

    async def commit(self) -> None:
        await self._connection.commit()


class Replicas:
    """Two backends on one database, and the loop that they live in."""

    def __init__(self, database: str) -> None:
        self.database = database
        self._runner = asyncio.Runner()
        self.backends = (backend_for(database), backend_for(database))
        for backend in self.backends:
            self.run(backend.open())

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(coroutine)

    def close(self) -> None:
        for backend in self.backends:
            self.run(backend.close())
        self._runner.close()

    def empty(self) -> None:
        """Begin another chain in the empty database."""
        tables = ("audit_events", "audit_links", "audit_purged", "audit_holds")
        sql(self.database, *(f"DELETE FROM {table}" for table in tables), self._head_at_the_start())

    def copy(self) -> dict[str, list[Sequence[Any]]]:
        return {table: sql(self.database, f"SELECT {columns} FROM {table}") for table, columns in COLUMNS.items()}

    def restore(self, everything: dict[str, list[Sequence[Any]]]) -> None:
        statements: list[tuple[str, Sequence[Sequence[Any]]]] = []
        for table, rows in everything.items():
            marks = ", ".join("?" * (COLUMNS[table].count(",") + 1))
            statements.append((f"DELETE FROM {table}", [()]))
            statements.append((f"INSERT INTO {table} ({COLUMNS[table]}) VALUES ({marks})", rows))
        sql_with_values(self.database, statements)

    def _head_at_the_start(self) -> str:
        (found,) = sql(self.database, "SELECT datastorage FROM audit_chain")
        digest = ChainHead.start(found[0]).hash.hex()
        literal = f"X'{digest}'" if self.database.startswith("sqlite") else f"'\\x{digest}'"
        return f"UPDATE audit_chain SET number = 0, total = 0, purged = 0, hash = {literal}"

    def insert(self, backend: int, rows: Sequence[EventRow]) -> None:
        self.run(self.backends[backend].insert(rows))

    def insert_from_both(self, one: Sequence[EventRow], other: Sequence[EventRow]) -> None:
        """Insert twice at once: the second insert has begun when the first one commits."""

        async def insert() -> None:
            async with self._transaction() as transaction:
                await transaction.insert(one)
                second = asyncio.ensure_future(self.backends[1].insert(other))
                await transaction.wait_for_others(until=second)
                await transaction.commit()
            await second

        self.run(insert())

    def lose_connection_before_the_commit(self, rows: Sequence[EventRow]) -> None:
        """Insert rows and their link in a transaction whose connection ends."""

        async def insert() -> None:
            async with self._transaction() as transaction:
                await transaction.insert(rows)

        self.run(insert())

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator["SqliteTransaction | PostgresTransaction"]:
        """Enter a transaction on a connection of its own, which is killed at the end."""
        if self.database.startswith("sqlite"):
            with closing(sqlite3.connect(self.database.removeprefix("sqlite:///"), isolation_level=None)) as file:
                yield SqliteTransaction(file)
            return
        connection = await psycopg.AsyncConnection.connect(self.database)
        try:
            yield PostgresTransaction(connection)
            with pytest.raises(psycopg.errors.AdminShutdown):
                await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        finally:
            await connection.close()

    def verify(self, checkpoint: Checkpoint | None = None) -> ChainVerdict:
        return self.run(verify_chain(self.backends[1], now=NOW, checkpoint=checkpoint))


@dataclass
class Model:
    """What the chain must say: the stored events by number, and the counts of links and events."""

    stored: set[int] = field(default_factory=set)
    holds: set[str] = field(default_factory=set)
    links: int = 0
    total: int = 0
    purged: int = 0

    def insert(self, batch: Sequence[int]) -> None:
        new = set(batch) - self.stored
        self.stored |= new
        self.total += len(new)
        self.links += bool(new)

    def purge(self, now: int, limit: int) -> int:
        ends = {number: event(number) for number in self.stored}
        due = sorted(
            (row.expires_at, number)
            for number, row in ends.items()
            if row.expires_at is not None and row.expires_at <= now and row.correlation_id not in self.holds
        )[:limit]
        self.stored -= {number for _, number in due}
        self.purged += len(due)
        self.links += bool(due)
        return len(due)


ALTERATIONS = {
    "row deleted": "DELETE FROM audit_events WHERE sequence = {sequence}",
    "row said to be purged": "DELETE FROM audit_events WHERE sequence = {sequence};"
    "INSERT INTO audit_purged VALUES ({sequence}, 1)",
    "column changed": "UPDATE audit_events SET event_outcome = 'failure' WHERE sequence = {sequence}",
    "payload changed": "UPDATE audit_events SET event_data = '{{}}' WHERE sequence = {sequence}",
    "row inserted": "INSERT INTO audit_events (sequence, event_id, {columns}) SELECT sequence + 100000,"
    " '00000000-0000-0000-0000-0000000000ff', {columns} FROM audit_events WHERE sequence = {sequence}",
    "row moved": "UPDATE audit_events SET sequence = sequence + 100000 WHERE sequence = {sequence}",
    "link deleted": "DELETE FROM audit_links WHERE number = {link}",
    "link changed": "UPDATE audit_links SET sealed_at = sealed_at + 1 WHERE number = {link}",
    "head changed": "UPDATE audit_chain SET total = total + 1",
}


class ChainMachine(RuleBasedStateMachine):
    """Two replicas and a model. In the end the database is altered in each way, one after the other."""

    world: ClassVar[Replicas]

    def __init__(self) -> None:
        super().__init__()
        self.world.empty()
        self.model = Model()
        self.checkpoints: list[Checkpoint] = []
        self.notes = 1000  # numbers of the events of holds

    @rule(replica=replicas, batch=batches)
    def insert(self, replica: int, batch: list[int]) -> None:
        self.world.insert(replica, [event(number) for number in batch])
        self.model.insert(batch)

    @rule(one=batches, other=batches)
    def insert_from_both(self, one: list[int], other: list[int]) -> None:
        self.world.insert_from_both([event(number) for number in one], [event(number) for number in other])
        self.model.insert(one)
        self.model.insert(other)

    @rule(batch=batches)
    def lose_connection_before_the_commit(self, batch: list[int]) -> None:
        self.world.lose_connection_before_the_commit([event(number) for number in batch])

    @rule(replica=replicas, days=st.sampled_from((0, 5, 30)), limit=st.sampled_from((1, 3, 100)))
    def purge(self, replica: int, days: int, limit: int) -> None:
        now = START + days * DAY
        deleted = self.world.run(self.world.backends[replica].purge(now=now, limit=limit))
        assert deleted == self.model.purge(now, limit)

    @rule(replica=replicas, case=st.sampled_from(CASES))
    def hold(self, replica: int, case: str) -> None:
        row = self._note(case)
        hold = LegalHold(case, "claim", "ada", NOW)
        placed = self.world.run(self.world.backends[replica].place_hold(hold, row, allow_unknown=True))
        assert placed is not None
        assert placed.is_new == (case not in self.model.holds)
        self.model.holds.add(case)
        if placed.is_new:
            self._count_note()

    @rule(replica=replicas, case=st.sampled_from(CASES))
    def release(self, replica: int, case: str) -> None:
        row = self._note(case)
        released = self.world.run(self.world.backends[replica].release_hold(case, row))
        assert released == (case in self.model.holds)
        self.model.holds.discard(case)
        if released:
            self._count_note()

    @rule()
    def take_checkpoint(self) -> None:
        verdict = self.world.verify()
        assert verdict.finding is None, verdict.finding
        assert (verdict.links, verdict.events, verdict.purged) == (
            self.model.links,
            self.model.total,
            self.model.purged,
        )
        assert verdict.checkpoint is not None
        assert (verdict.checkpoint.position, verdict.checkpoint.count) == (self.model.links, self.model.total)
        self.checkpoints.append(verdict.checkpoint)

    def teardown(self) -> None:
        self.take_checkpoint()
        kept = self.checkpoints[:2] + self.checkpoints[-1:]
        assert [self.world.verify(checkpoint).finding for checkpoint in kept] == [None] * len(kept)
        events = sql(self.world.database, "SELECT sequence, expires_at FROM audit_events ORDER BY sequence")
        if events:
            everything = self.world.copy()
            for kind in ALTERATIONS:
                self._alter(kind, events, kept)
                self.world.restore(everything)
        self._compute_the_chain_anew(kept)

    def _alter(self, kind: str, events: Sequence[Sequence[Any]], kept: Sequence[Checkpoint]) -> None:
        sequences = [sequence for sequence, expires_at in events if kind != "row said to be purged" or not expires_at]
        if not sequences:
            return
        place = self.model.total + len(kind)  # another one in each run
        sequence = sequences[place % len(sequences)]
        link = place % self.model.links + 1
        columns = ", ".join(CHAIN_COLUMNS[2:])
        statements = ALTERATIONS[kind].format(sequence=sequence, link=link, columns=columns)
        sql(self.world.database, *statements.split(";"))

        found = [self.world.verify(checkpoint).finding for checkpoint in (None, kept[-1])]
        assert None not in found, statements

    def _compute_the_chain_anew(self, kept: Sequence[Checkpoint]) -> None:
        self.world.empty()
        self.world.insert(0, [event(number) for number in range(12)])

        assert self.world.verify().finding is None
        for checkpoint in kept:
            assert (self.world.verify(checkpoint).finding is None) == (checkpoint.position == 0)

    def _note(self, case: str) -> EventRow:
        self.notes += 1
        return sealed_row(self.notes, correlation_id=case)

    def _count_note(self) -> None:
        self.model.total += 1
        self.model.links += 1


@contextmanager
def replicas_of(database: str) -> Iterator[Replicas]:
    world = Replicas(database)
    try:
        yield world
    finally:
        world.close()


def test_verify_agrees_with_a_model_of_the_chain(database: str) -> None:
    with replicas_of(database) as world:
        run_state_machine_as_test(
            type("ChainMachineOfDatabase", (ChainMachine,), {"world": world}),
            settings=settings(
                max_examples=12,
                stateful_step_count=20,
                derandomize=True,
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )

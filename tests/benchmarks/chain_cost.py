"""What the chain of links costs an insert, and how long verifying a million events takes, on both databases."""

import asyncio
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median
from unittest.mock import patch

import httpx
import psycopg
from psycopg.rows import TupleRow
from tests.benchmarks.measure import Benchmark, Ratio, Table
from tests.support.datastorage_backends import opened
from tests.support.postgres_server import PostgresServer

from signal_gateway.audit.event import AuditEvent
from signal_gateway.datastorage import create_datastorage
from signal_gateway.datastorage.backend import Duplicate, EventRow
from signal_gateway.datastorage.database import backend_for
from signal_gateway.datastorage.postgres import backend as postgres
from signal_gateway.datastorage.postgres import insert as postgres_insert
from signal_gateway.datastorage.record import first_of_each_id, microseconds, row_of
from signal_gateway.datastorage.sqlite import backend as sqlite
from signal_gateway.datastorage.verify import verify_chain

BATCH = 1000
WARM = 20
ROUNDS = 100
SINGLE_ROUNDS = 300
VERIFIED = 1_000_000

NOTE = """\
Each round inserts a batch with the chain and one without, in turn, into two databases of the same size and kind, and
the order changes with each round; the ratio is that of the medians. An event has about 650 bytes as JSON. "Without" is
the same code without the link, and on PostgreSQL the one statement that there was before the chain. Inserts go straight
to the backend, or through the HTTP application in the same process. Then {verified} events in batches of {batch} are
verified: every link, manifest, row and column. Command: `python -m tests.benchmarks chain_cost`."""

_UNCHAINED = (
    postgres_insert._INSERTED
    + " SELECT CASE WHEN count(*) < %(count)b THEN coalesce(array_agg(event_id::text), '{}') END FROM inserted"
).encode()


@dataclass
class Times:
    """Seconds of each insert, by kind of insert."""

    with_chain: list[float] = field(default_factory=list)
    without: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        return median(self.with_chain) / median(self.without)


def _event(number: int) -> AuditEvent:
    return AuditEvent(
        event_type="gateway.signal.received",
        event_category="gateway",
        event_action="received",
        event_outcome="success",
        correlation_id=f"rr-{number // 5:012x}-0a1b2c3d",
        actor_type="external",
        actor_id="prometheus",
        resource_type="Signal",
        resource_id=f"{number:064x}",
        namespace="prod",
        severity="critical",
        event_data={
            "event_type": "gateway.signal.received",
            "signal_name": "HighLatency",
            "fingerprint": f"{number:064x}",
            "remediation_request": f"prod/rr-{number // 5:012x}-0a1b2c3d",
            "number": number,
        },
    )


def _rows(count: int) -> list[EventRow]:
    events = [_event(number) for number in range(count)]
    return [row_of(event, received_at=microseconds(event.event_timestamp)) for event in events]


async def _insert_unchained(
    connection: psycopg.AsyncConnection[TupleRow], rows: Sequence[EventRow]
) -> Sequence[Duplicate]:
    first = first_of_each_id(rows)
    parameters = postgres_insert._parameters(list(first.values())) | {"count": len(first)}
    cursor = await connection.execute(_UNCHAINED, parameters)
    ((missing,),) = await cursor.fetchall()
    if missing is not None:
        raise SystemExit("a new event was a duplicate")
    return []


class _UnchainedPostgres(postgres.PostgresBackend):
    async def insert(self, rows: Sequence[EventRow]) -> Sequence[Duplicate]:
        async with self._connection(writes=True) as connection:
            return await _insert_unchained(connection, rows)


@contextmanager
def _unchained() -> Iterator[None]:
    with patch.object(sqlite, "_append", lambda *_: None):
        yield


async def _compared(with_chain: str, without: str) -> dict[str, Times]:
    times = {f"batches of {BATCH}": Times(), "single events": Times()}
    chained, plain = backend_for(with_chain), backend_for(without)
    if without.startswith("postgresql"):
        plain = _UnchainedPostgres(without)
    async with opened(chained), opened(plain):
        for name, size, rounds in ((f"batches of {BATCH}", BATCH, ROUNDS), ("single events", 1, SINGLE_ROUNDS)):
            found = times[name]
            for number in range(WARM + rounds):
                seconds: dict[bool, float] = {}
                for has_chain in (True, False) if number % 2 else (False, True):
                    rows = _rows(size)
                    begin = time.perf_counter()
                    if has_chain:
                        await chained.insert(rows)
                    else:
                        with _unchained():
                            await plain.insert(rows)
                    seconds[has_chain] = time.perf_counter() - begin
                if number >= WARM:
                    found.with_chain.append(seconds[True])
                    found.without.append(seconds[False])
    return times


async def _compared_over_http(with_chain: str, without: str) -> Times:
    times = Times()
    async with AsyncExitStack() as stack:
        clients = {}
        for has_chain, database in ((True, with_chain), (False, without)):
            with patch.object(
                postgres, "PostgresBackend", postgres.PostgresBackend if has_chain else _UnchainedPostgres
            ):
                datastorage = await stack.enter_async_context(create_datastorage(database))
            transport = httpx.ASGITransport(app=datastorage.app)
            clients[has_chain] = await stack.enter_async_context(
                httpx.AsyncClient(transport=transport, base_url="http://datastorage", trust_env=False)
            )
        for number in range(WARM + ROUNDS):
            seconds: dict[bool, float] = {}
            for has_chain in (True, False) if number % 2 else (False, True):
                body = b"[" + b",".join(_event(n).to_wire() for n in range(BATCH)) + b"]"
                begin = time.perf_counter()
                if has_chain:
                    await _post(clients[True], body)
                else:
                    with _unchained():
                        await _post(clients[False], body)
                seconds[has_chain] = time.perf_counter() - begin
            if number >= WARM:
                times.with_chain.append(seconds[True])
                times.without.append(seconds[False])
    return times


async def _post(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post("/api/v1/audit/events/batch", content=body, headers={"content-type": "application/json"})
    if answer.status_code != httpx.codes.CREATED:
        raise SystemExit(f"DataStorage did not store: {answer.text}")


async def _verified(database: str) -> float:
    """Fill a database and return the seconds of its verification."""
    async with opened(database) as backend:
        for _ in range(VERIFIED // BATCH):
            await backend.insert(_rows(BATCH))
        begin = time.perf_counter()
        verdict = await verify_chain(backend, now=microseconds(_event(0).event_timestamp))
        seconds = time.perf_counter() - begin
    if verdict.finding is not None or verdict.events != VERIFIED:
        raise SystemExit(f"the verification is wrong: {verdict}")
    return seconds


def run() -> Benchmark:
    rows: list[list[str | float]] = []
    ratios: list[Ratio] = []
    with tempfile.TemporaryDirectory() as directory:
        _measure("SQLite", [f"sqlite:///{directory}/{name}.db" for name in "abcde"], rows, ratios)
    with PostgresServer() as server:
        names = [f"chain_{name}" for name in "abcde"]
        with psycopg.connect(server.url(), autocommit=True) as connection:
            for name in names:
                connection.execute(f"CREATE DATABASE {name}".encode())
        _measure("PostgreSQL", [server.url(name) for name in names], rows, ratios)
    return Benchmark(
        "The cost of the chain of links",
        ratios=ratios,
        table=Table(["database", "insert", "with, ms", "without, ms", "with / without"], rows),
        note=NOTE.format(verified=f"{VERIFIED:,}".replace(",", " "), batch=f"{BATCH:,}".replace(",", " ")),
    )


def _measure(name: str, databases: list[str], rows: list[list[str | float]], ratios: list[Ratio]) -> None:
    found = asyncio.run(_compared(databases[0], databases[1]))
    found[f"batches of {BATCH} over HTTP"] = asyncio.run(_compared_over_http(databases[2], databases[3]))
    for title, times in found.items():
        ms = [f"{median(samples) * 1000:.2f}" for samples in (times.with_chain, times.without)]
        rows.append([name, title, *ms, f"{times.ratio:.3f}"])
        bound = None if title == "single events" else 1.1
        ratios.append(Ratio(f"{name}: {title}, with / without", times.ratio, at_most=bound))
    ratios.append(Ratio(f"{name}: seconds to verify {VERIFIED}", asyncio.run(_verified(databases[4])), at_most=30))

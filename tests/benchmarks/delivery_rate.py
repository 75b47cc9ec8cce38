"""Events per second from `record` to their delivery, beside what a bare client and a bare database manage.

python -m tests.benchmarks.delivery_rate store http://127.0.0.1:8080 30000
"""

import contextlib
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
from tests.benchmarks.audit_events import duplicates
from tests.benchmarks.audit_store import crash_safe_store, deliver_everything
from tests.benchmarks.measure import Benchmark, Ratio, Series
from tests.benchmarks.processes import figures_of
from tests.benchmarks.settling import settle
from tests.benchmarks.sinks import datastorage, events_taken, validating_sink
from tests.support.postgres_server import PostgresServer

from signal_gateway.audit import AuditEvent, DataStorageClient
from signal_gateway.datastorage.backend import EventRow
from signal_gateway.datastorage.postgres.schema import migrate_schema
from signal_gateway.datastorage.postgres.url import connection_parameters
from signal_gateway.datastorage.record import row_of
from signal_gateway.datastorage.sqlite.connection import connect
from signal_gateway.datastorage.sqlite.schema import prepare

ROUNDS = 5
MODULE = "tests.benchmarks.delivery_rate"
BATCH = 1000
WARM_EVENTS = 2 * BATCH
PATH = "/api/v1/audit/events/batch"

NOTE = """\
A crash-safe store in one process, the server in another; the events are made before the clock starts, which runs from
the first `record` until everything is acknowledged. The server then tells that it has each event once. Beside each rate
stands the ceiling: what sends the same events, encoded before, by httpx alone, or writes the same rows into the same
tables, one commit for each thousand, by sqlite3 or by psycopg's COPY alone. Each process first handles two batches off
the clock, so that connections are open, code is warm and the host of a virtual machine has given it memory."""


@contextlib.contextmanager
def sink_server() -> Iterator[str]:
    with validating_sink() as url:
        yield url


@contextlib.contextmanager
def sqlite_server() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as directory, datastorage(f"sqlite:///{directory}/audit.db") as url:
        yield url


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    with PostgresServer() as server, datastorage(server.url()) as url:
        yield url


@dataclass(frozen=True)
class Server:
    """Where events are delivered.

    Attributes:
        title: Of the server.
        start: Runs it.
        stored: Asks it how many events it has.
        events: How many it is sent.
        at_least: How many a second it has to get.
        ceiling: Which of `MEASURES` does without our store.
    """

    title: str
    start: Callable[[], AbstractContextManager[str]]
    stored: Callable[[str], int]
    events: int
    at_least: int
    ceiling: str


def events_stored(url: str) -> int:
    """Ask DataStorage how many events it has."""
    client = DataStorageClient(url)
    try:
        return client.query(limit=1).total
    finally:
        client.close()


SERVERS = (
    Server("a validating sink", sink_server, events_taken, 30_000, at_least=150_000, ceiling="httpx"),
    Server("DataStorage on SQLite", sqlite_server, events_stored, 20_000, at_least=40_000, ceiling="sqlite3"),
    Server("DataStorage on PostgreSQL", postgres_server, events_stored, 20_000, at_least=28_000, ceiling="psycopg"),
)


def run() -> Benchmark:
    rates: dict[Server, list[float]] = {server: [] for server in SERVERS}
    ceilings: dict[Server, list[float]] = {server: [] for server in SERVERS}
    for _ in range(ROUNDS):
        for server in SERVERS:
            rates[server].append(_rate("store", server))
            ceilings[server].append(_rate(server.ceiling, server))

    series, ratios = [], []
    for server in SERVERS:
        rate = Series(f"record() to {server.title}", "events/s", rates[server])
        ceiling = Series(f"{server.ceiling} alone, {server.title}", "events/s", ceilings[server])
        series += [rate, ceiling]
        ratios += [
            Ratio(f"events/s to {server.title}", rate.median, at_least=server.at_least),
            Ratio(f"of what {server.ceiling} alone manages", rate.median / ceiling.median),
        ]
    return Benchmark("From record() to delivered, batches of 1 000", series, ratios, note=NOTE)


def _rate(measure: str, server: Server) -> float:
    with server.start() as url:
        rate: float = figures_of(MODULE, measure, url, server.events)
        if measure in ("store", "httpx") and (stored := server.stored(url)) != server.events + WARM_EVENTS:
            raise SystemExit(f"{server.title} has {stored} of {server.events + WARM_EVENTS} events")
    return rate


def by_store(url: str, events: list[AuditEvent]) -> float:
    """Return the seconds that our store takes."""
    with tempfile.TemporaryDirectory() as directory, crash_safe_store(url, Path(directory)) as store:
        for event in events[:WARM_EVENTS]:
            store.record(event)
        deliver_everything(store)

        start = time.perf_counter()
        for event in events[WARM_EVENTS:]:
            store.record(event)
        deliver_everything(store)
        return time.perf_counter() - start


def by_httpx(url: str, events: list[AuditEvent]) -> float:
    """Return the seconds that a bare client takes with bodies that are ready."""
    payloads = [event.to_wire() for event in events]
    bodies = [b"[%b]" % b",".join(payloads[at : at + BATCH]) for at in range(0, len(payloads), BATCH)]
    with httpx.Client(base_url=url, headers={"content-type": "application/json"}, trust_env=False) as client:
        start = 0.0
        for number, body in enumerate(bodies):
            if number * BATCH == WARM_EVENTS:
                start = time.perf_counter()
            client.post(PATH, content=body).raise_for_status()
        return time.perf_counter() - start


def by_sqlite3(_: str, events: list[AuditEvent]) -> float:
    """Return the seconds that a bare database takes with rows that are ready; `prepare` asks for FULL."""
    rows = [row_of(event, received_at=time.time_ns() // 1000) for event in events]
    insert = (
        f"INSERT INTO audit_events ({', '.join(EventRow._fields)}) VALUES ({', '.join('?' * len(EventRow._fields))})"
    )
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "audit.db"
        with contextlib.closing(connect(path, busy_timeout=5.0)) as connection:
            prepare(connection, path)
            start = 0.0
            for at in range(0, len(rows), BATCH):
                if at == WARM_EVENTS:
                    start = time.perf_counter()
                _commit(connection, insert, rows[at : at + BATCH])
            return time.perf_counter() - start


def _commit(connection: sqlite3.Connection, insert: str, rows: list[EventRow]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(insert, rows)
    connection.execute("COMMIT")


def by_psycopg(_: str, events: list[AuditEvent]) -> float:
    """Return the seconds that a bare connection takes to COPY rows that are ready into the same table."""
    rows = [row_of(event, received_at=time.time_ns() // 1000) for event in events]
    with PostgresServer() as server:
        migrate_schema(connection_parameters(server.url()), lock_timeout=5.0)
        with psycopg.connect(server.url(), autocommit=True) as connection, connection.cursor() as cursor:
            start = 0.0
            for at in range(0, len(rows), BATCH):
                if at == WARM_EVENTS:
                    start = time.perf_counter()
                with cursor.copy(f"COPY audit_events ({', '.join(EventRow._fields)}) FROM STDIN") as copy:
                    for row in rows[at : at + BATCH]:
                        copy.write_row(row)
            return time.perf_counter() - start


MEASURES = {"store": by_store, "httpx": by_httpx, "sqlite3": by_sqlite3, "psycopg": by_psycopg}


if __name__ == "__main__":
    name, address, number = sys.argv[1:]
    made = duplicates(int(number) + WARM_EVENTS)
    settle()
    print(json.dumps(int(number) / MEASURES[name](address, made)))

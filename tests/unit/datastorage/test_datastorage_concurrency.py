"""Queries at the same time: slow ones do not hold the others, and one whose client is gone is interrupted."""

import asyncio
import gc
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import psycopg
import pytest
import pytest_asyncio
from tests.support.datastorage_backends import opened

from signal_gateway.datastorage.backend import Page
from signal_gateway.datastorage.postgres import backend as postgres
from signal_gateway.datastorage.query import EventQuery
from signal_gateway.datastorage.record import rows_of
from signal_gateway.datastorage.sqlite import backend as sqlite

MakeEvent = Callable[..., dict[str, Any]]

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
SLOW = EventQuery(detail=("number", "3"))
SAFETY = 60.0  # seconds; nothing waits so long unless it hangs


@pytest_asyncio.fixture
async def begun(monkeypatch: pytest.MonkeyPatch) -> "asyncio.Queue[None]":
    """Make queries by detail endless; each puts an item when it begins."""
    begun: asyncio.Queue[None] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    read_from_sqlite, read_from_postgres = sqlite.read_sqlite_page, postgres.read_postgres_page

    def endless_in_sqlite(connection: sqlite3.Connection, query: EventQuery, timeout: float) -> Page:
        if query.detail is not None:
            loop.call_soon_threadsafe(begun.put_nowait, None)
            connection.execute(ENDLESS).fetchone()
        return read_from_sqlite(connection, query, timeout)

    async def endless_in_postgres(connection: Any, query: EventQuery) -> Page:
        if query.detail is not None:
            begun.put_nowait(None)
            await connection.execute("SELECT pg_sleep(600)")
        return await read_from_postgres(connection, query)

    monkeypatch.setattr(sqlite, "read_sqlite_page", endless_in_sqlite)
    monkeypatch.setattr(postgres, "read_postgres_page", endless_in_postgres)
    return begun


@asynccontextmanager
async def cancelled(tasks: "list[asyncio.Task[Page]]") -> AsyncIterator[None]:
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        async with asyncio.timeout(SAFETY):
            results = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(result) for result in results} == {asyncio.CancelledError}


async def running_statements(database: str) -> int:
    """Count the endless statements in a PostgreSQL server; SQLite's threads tell by themselves."""
    if database.startswith("sqlite"):
        return 0
    async with await psycopg.AsyncConnection.connect(database) as connection:
        cursor = await connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(600)'"
            " AND datname = current_database()"
        )
        row = await cursor.fetchone()
        assert row is not None
        return int(row[0])


@pytest.mark.asyncio
async def test_slow_questions_do_not_hold_the_others(
    database: str, begun: "asyncio.Queue[None]", make_wire_event: MakeEvent
) -> None:
    rows = rows_of([make_wire_event()], received_at=0)
    assert rows is not None
    async with opened(database) as backend, asyncio.timeout(SAFETY):
        await backend.insert(rows)
        slow = [asyncio.create_task(backend.query(SLOW)) for _ in range(12)]
        async with cancelled(slow):
            await begun.get()
            await begun.get()

            found = [await backend.query(EventQuery(event_type="gateway.signal.received")) for _ in range(3)]
            cases = await backend.cases(EventQuery())
            exported = [event async for part in backend.export(EventQuery()) for event in part]

            assert not any(task.done() for task in slow)
    assert ([page.total for page in found], cases.total, len(exported)) == ([1, 1, 1], 1, 1)


@pytest.mark.asyncio
async def test_cancelled_query_ends_in_the_database_and_leaves_its_reader(
    database: str, begun: "asyncio.Queue[None]"
) -> None:
    async with opened(database) as backend, asyncio.timeout(SAFETY):
        for _ in range(6):  # more than there are readers
            task = asyncio.create_task(backend.query(SLOW))
            async with cancelled([task]):
                await begun.get()

        assert await running_statements(database) == 0
        pages = await asyncio.gather(*(backend.query(EventQuery()) for _ in range(8)))
    assert [page.total for page in pages] == [0] * 8


@pytest.mark.asyncio
@pytest.mark.slow
@pytest.mark.parametrize("database", ["postgres"], indirect=True)
async def test_cancelled_query_ends_though_the_server_takes_no_request_to_cancel(
    database: str, begun: "asyncio.Queue[None]", monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(_: Any, **__: Any) -> None:
        raise psycopg.OperationalError("no more connections")

    monkeypatch.setattr(psycopg.AsyncConnection, "cancel_safe", refused)
    async with opened(database) as backend, asyncio.timeout(SAFETY):
        task = asyncio.create_task(backend.query(SLOW))
        async with cancelled([task]):
            await begun.get()

        pages = await asyncio.gather(*(backend.query(EventQuery()) for _ in range(8)))
    assert [page.total for page in pages] == [0] * 8


@pytest.mark.asyncio
async def test_query_that_is_cancelled_twice_leaves_no_error_in_the_loop(
    tmp_path: Path, begun: "asyncio.Queue[None]"
) -> None:
    errors: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    async with opened(f"sqlite:///{tmp_path}/audit.db") as backend, asyncio.timeout(SAFETY):
        task = asyncio.create_task(backend.query(SLOW))
        await begun.get()
        task.cancel()
        await asyncio.sleep(0)  # the interruption begins
        async with cancelled([task]):
            pass
        assert (await backend.query(EventQuery())).total == 0
    del task
    gc.collect()

    assert errors == []


@pytest.mark.asyncio
async def test_close_ends_running_and_waiting_queries(database: str, begun: "asyncio.Queue[None]") -> None:
    async with asyncio.timeout(SAFETY):
        async with opened(database) as backend:
            slow = [asyncio.create_task(backend.query(SLOW)) for _ in range(5)]
            await begun.get()
        results = await asyncio.gather(*slow, return_exceptions=True)

    assert all(isinstance(result, Exception) for result in results), results


def test_query_of_a_client_that_is_gone_is_cancelled(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, ended = Event(), Event()

    async def query(_self: object, _query: EventQuery) -> Page:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError("unreachable")

    for backend in (sqlite.SqliteBackend, postgres.PostgresBackend):
        monkeypatch.setattr(backend, "query", query)

    with socket.create_connection((client.base_url.host, client.base_url.port or 80)) as connection:
        connection.sendall(b"GET /api/v1/audit/events HTTP/1.1\r\nHost: x\r\n\r\n")
        assert begun.wait(SAFETY)

    assert ended.wait(SAFETY)

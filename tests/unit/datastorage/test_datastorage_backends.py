"""What any database does with many writers, with many replicas, and with questions that mean it harm."""

import asyncio
import random
from datetime import UTC, datetime

import psycopg
import pytest
from tests.support.datastorage_backends import envelopes, exported, opened, row

from signal_gateway.datastorage.backend import Backend
from signal_gateway.datastorage.postgres.queries import POSTGRES
from signal_gateway.datastorage.query import EventQuery
from signal_gateway.datastorage.select import Statement, count_statement, histogram_statement, page_statement

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.asyncio
async def test_overlapping_batches_in_any_order_are_stored_once(database: str) -> None:
    shuffle = random.Random(7)
    batches = [shuffle.sample(range(1500), 500) for _ in range(24)]
    everything = {n for batch in batches for n in batch}

    async with opened(database) as one, opened(database) as other:
        answers = await asyncio.gather(
            *((one, other)[turn % 2].insert([row(n) for n in batch]) for turn, batch in enumerate(batches))
        )
        stored = await exported(one)

    assert sorted(stored) == sorted(envelopes(*everything))
    assert sum(500 - len(duplicates) for duplicates in answers) == len(everything)
    assert all(duplicate.has_same_content for duplicates in answers for duplicate in duplicates)


@pytest.mark.asyncio
async def test_replicas_over_one_database_agree(database: str) -> None:
    async with opened(database) as one, opened(database) as other:
        await one.insert([row(1)])
        [duplicate] = await other.insert([row(1, severity="high", envelope="{}"), row(2, expires_at=5)])

        assert not duplicate.has_same_content
        assert await exported(one) == await exported(other) == envelopes(1, 2)
        assert (await one.purge(now=5, limit=10), await other.purge(now=5, limit=10)) == (1, 0)
        assert await exported(other) == envelopes(1)


@pytest.mark.asyncio
async def test_page_and_total_are_of_one_moment(database: str) -> None:
    async with opened(database) as writer, opened(database) as reader:

        async def write() -> None:
            for n in range(0, 400, 2):
                await writer.insert([row(n), row(n + 1)])

        writing = asyncio.create_task(write())
        pages = []
        while not writing.done():
            pages.append(await reader.query(EventQuery(limit=1000)))
        await writing

    assert [len(page.events) for page in pages] == [page.total for page in pages]
    assert all(page.total % 2 == 0 for page in pages)


@pytest.mark.asyncio
async def test_close_finishes_the_inserts_that_have_begun(database: str) -> None:
    async with opened(database) as backend:
        inserts = [asyncio.create_task(backend.insert([row(n), row(n + 100)])) for n in range(20)]
        await asyncio.sleep(0)
        await backend.close()

        assert all(insert.done() for insert in inserts)
        assert [await insert for insert in inserts] == [[]] * 20
    async with opened(database) as backend:
        assert len(await exported(backend)) == 40


@pytest.mark.asyncio
async def test_sequence_follows_the_batch_and_not_the_ids(backend: Backend) -> None:
    numbers = random.Random(7).sample(range(1000), 1000)

    await backend.insert([row(n, event_timestamp=0) for n in numbers])

    assert await exported(backend) == envelopes(*numbers)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "text",
    [
        "' OR '1'='1",
        "'; DROP TABLE audit_events; --",
        '" OR ""="',
        "\\' OR 1=1 --",
        "x\0' OR 1=1",
        "%s",
        "%(a)s",
        "?",
        "$1",
        "{}",
        "\ufffe\U0010ffff",
        "1e999",
        "-0",
        "[[[[",
        "\x1b",
    ],
)
async def test_no_text_in_a_filter_finds_more_or_breaks_anything(backend: Backend, text: str) -> None:
    await backend.insert([row(n, severity="high", event_data='{"n":1}') for n in range(3)])

    for column in ("correlation_id", "event_type", "event_category", "event_outcome", "severity"):
        query = EventQuery(since=datetime(1970, 1, 1, tzinfo=UTC), until=MOMENT, **{column: text})  # type: ignore[arg-type]
        assert (await backend.query(query)).total == 0
        assert await exported(backend, query) == []
        assert await backend.histogram(query, width=10) == []
    for detail in ((text, "1"), ("n", text), (text, text)):
        assert (await backend.query(EventQuery(detail=detail))).total == 0

    assert len(await exported(backend)) == 3


@pytest.fixture(scope="module")
def filled_postgres(postgres_module_database: str) -> str:
    """A PostgreSQL database with events whose members occur as often as they do in life."""
    with psycopg.connect(postgres_module_database, autocommit=True) as connection:
        connection.execute("""
            INSERT INTO audit_events
            SELECT gen_random_uuid(), n, n, n, CASE WHEN n % 4 = 0 THEN n END, 'type-' || n % 60,
                CASE WHEN n % 500 = 0 THEN 'rare' ELSE 'category-' || n % 6 END,
                CASE WHEN n % 500 = 0 THEN 'pending' WHEN n % 5 = 0 THEN 'failure' ELSE 'success' END, 'rr-' || n / 10,
                CASE WHEN n % 3 = 0 THEN 'severity-' || n % 9 END, repeat('e', 400), repeat('d', 300)
            FROM generate_series(1, 30000) AS n
        """)
        connection.execute("VACUUM ANALYZE audit_events")
    return postgres_module_database


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (EventQuery(), "by_time"),
        (EventQuery(order="asc", since=MOMENT), "by_time"),
        (EventQuery(correlation_id="rr-7"), "by_correlation"),
        (EventQuery(event_type="type-7"), "by_type"),
        (EventQuery(event_category="rare"), "by_category"),
        (EventQuery(event_outcome="pending"), "by_outcome"),
        (EventQuery(severity="severity-3"), "by_severity"),
        (EventQuery(correlation_id="rr-7", event_outcome="failure"), "by_correlation"),
        (EventQuery(event_type="type-7", event_outcome="success", detail=("a", "b")), "by_type"),
    ],
)
def test_every_filter_has_its_index_in_postgresql(filled_postgres: str, query: EventQuery, index: str) -> None:
    with psycopg.connect(filled_postgres) as connection:
        # ten rows are sorted as fast as they are read in order; a larger table's can't be
        connection.execute("SET enable_sort = off")
        connection.execute("SET enable_bitmapscan = off")
        page = plan_of(connection, page_statement(query, POSTGRES))
        count = plan_of(connection, count_statement(query, POSTGRES))

    assert f"using audit_events_{index}" in page
    assert "Sort" not in page
    assert "Seq Scan" not in page
    if query != EventQuery():
        assert f"audit_events_{index}" in count
        assert "Seq Scan" not in count


def test_histogram_and_purge_use_an_index_in_postgresql(filled_postgres: str) -> None:
    start = datetime(1970, 1, 1, tzinfo=UTC)
    query = EventQuery(since=start, until=start.replace(microsecond=500))
    with psycopg.connect(filled_postgres) as connection:
        histogram = plan_of(connection, histogram_statement(query, POSTGRES, width=10))
        purge = plan_of(
            connection, ("SELECT 1 FROM audit_events WHERE expires_at <= %s ORDER BY expires_at LIMIT %s", [999, 50])
        )

    assert "audit_events_by_" in histogram
    assert "audit_events_by_expiry" in purge
    assert "Seq Scan" not in histogram + purge


def plan_of(connection: psycopg.Connection[tuple[str]], statement: Statement) -> str:
    return "\n".join(line for (line,) in connection.execute(f"EXPLAIN {statement[0]}", statement[1]))

"""Alterations by plain SQL, of each kind, in a database of each kind: verify names the first place."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest
import pytest_asyncio
from tests.support.datastorage_backends import opened
from tests.support.sealed_events import ARRIVAL, DAY, sealed_row, sql

from signal_gateway.datastorage.backend import CHAIN_COLUMNS, Backend, BackendUnavailable, LegalHold
from signal_gateway.datastorage.integrity.checkpoint import Checkpoint
from signal_gateway.datastorage.integrity.link import NEVER, ChainHead
from signal_gateway.datastorage.integrity.verification import WHOLE_CHAIN, ChainVerdict, Window
from signal_gateway.datastorage.record import microseconds
from signal_gateway.datastorage.verify import verify_chain

NOW = microseconds(ARRIVAL + timedelta(days=10))


async def verify(
    backend: Backend, *, window: Window = WHOLE_CHAIN, checkpoint: Checkpoint | None = None
) -> ChainVerdict:
    return await verify_chain(backend, now=NOW, window=window, checkpoint=checkpoint)


async def reason(backend: Backend, *, window: Window = WHOLE_CHAIN, checkpoint: Checkpoint | None = None) -> str:
    """Insist that an alteration is found; return it."""
    verdict = await verify(backend, window=window, checkpoint=checkpoint)
    assert verdict.finding is not None
    assert verdict.checkpoint is None
    return verdict.finding.reason


async def checkpoint(backend: Backend) -> Checkpoint:
    verdict = await verify(backend)
    assert verdict.finding is None, verdict.finding
    assert verdict.checkpoint is not None
    return verdict.checkpoint


@pytest_asyncio.fixture
async def filled(backend: Backend) -> AsyncIterator[Backend]:
    """Three batches: events 1 to 3; 4 to 6, of which 5 is kept for a day; 7 alone."""
    await backend.insert([sealed_row(number) for number in (1, 2, 3)])
    await backend.insert([sealed_row(4), sealed_row(5, retention_days=1), sealed_row(6)])
    await backend.insert([sealed_row(7, severity="high")])
    yield backend


def one(number: int) -> str:
    return f"event_id = '{UUID(int=number)}'"


@pytest.mark.asyncio
async def test_unaltered_events_are_verified_with_a_checkpoint(filled: Backend) -> None:
    verdict = await verify(filled)

    assert verdict.finding is None
    assert (verdict.links, verdict.events, verdict.purged) == (3, 7, 0)
    assert verdict.checkpoint is not None
    assert (verdict.checkpoint.position, verdict.checkpoint.count) == (3, 7)
    assert Checkpoint.parse(str(verdict.checkpoint.to_json()).replace("'", '"')) == verdict.checkpoint


@pytest.mark.asyncio
async def test_empty_database_is_unaltered(backend: Backend) -> None:
    assert (await checkpoint(backend)).position == 0


@pytest.mark.asyncio
@pytest.mark.parametrize("number", [1, 5, 7])
async def test_deleted_row_is_named(filled: Backend, database: str, number: int) -> None:
    sql(database, f"DELETE FROM audit_events WHERE {one(number)}")

    assert f"event {UUID(int=number)}" in (found := await reason(filled))
    assert "deleted, and no purge says so" in found


COLUMNS = {
    "event_id": f"'{UUID(int=99)}'",
    "event_timestamp": "event_timestamp + 1",
    "received_at": "received_at + 1",
    "event_type": "'t.y'",
    "event_category": "'u'",
    "event_outcome": "'failure'",
    "correlation_id": "'c-9'",
    "severity": "'low'",
    "expires_at": "77",
    "envelope": "replace(envelope, 'success', 'failure')",
    "event_data": "replace(event_data, 'number', 'numbes')",
    "sequence": "sequence + 100",
}


@pytest.mark.asyncio
@pytest.mark.parametrize("column", COLUMNS)
async def test_changed_column_is_named(filled: Backend, database: str, column: str) -> None:
    sql(database, f"UPDATE audit_events SET {column} = {COLUMNS[column]} WHERE {one(7)}")

    found = await reason(filled)

    assert str(UUID(int=7)) in found or str(UUID(int=99)) in found
    expected = {"event_id": ("event_id", "deleted"), "sequence": ("sequence", "no link")}
    assert any(word in found for word in expected.get(column, (column,))), found


def test_columns_of_a_backend_are_all_covered() -> None:
    assert set(CHAIN_COLUMNS) == set(COLUMNS)


@pytest.mark.asyncio
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # PostgreSQL stores no such text
async def test_text_that_is_no_utf_8_is_an_alteration(filled: Backend, database: str) -> None:
    sql(database, f"UPDATE audit_events SET event_data = CAST(X'7BFF7D' AS TEXT) WHERE {one(2)}")

    assert "event_data was changed" in await reason(filled)


@pytest.mark.asyncio
@pytest.mark.parametrize("sequence", ["1000", "default"])
async def test_inserted_row_is_an_alteration(filled: Backend, database: str, sequence: str) -> None:
    row = sealed_row(50)
    columns = [name for name in row._fields if getattr(row, name) is not None]
    values = ", ".join(f"'{getattr(row, name)}'" for name in columns)
    if sequence == "default":
        sql(database, f"INSERT INTO audit_events ({', '.join(columns)}) VALUES ({values})")
    else:
        sql(database, f"INSERT INTO audit_events (sequence, {', '.join(columns)}) VALUES ({sequence}, {values})")

    assert "in no link" in await reason(filled)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("DELETE FROM audit_links WHERE number = 1", "link 1 is missing"),
        ("DELETE FROM audit_links WHERE number = 2", "link 2 is missing"),
        ("DELETE FROM audit_links WHERE number = 3", "the chain ends with link 2"),
        ("DELETE FROM audit_links", "the chain ends with link 0"),
        ("DROP TABLE audit_links", "the chain is missing"),
        ("DROP TABLE audit_chain", "the chain is missing"),
        ("DROP TABLE audit_purged", "the chain is missing"),
        ("DELETE FROM audit_chain", "the chain is missing"),
        ("UPDATE audit_links SET manifest = NULL WHERE number = 2", "manifest of link 2 is missing"),
        ("UPDATE audit_links SET count = 2 WHERE number = 1", "link 1 was changed"),
        ("UPDATE audit_links SET kind = 'purge' WHERE number = 1", "link 1 was changed"),
        ("UPDATE audit_links SET sealed_at = 1 WHERE number = 2", "link 2 was changed"),
        ("UPDATE audit_links SET hash = digest WHERE number = 2", "link 2 was changed"),
        ("UPDATE audit_links SET manifest = digest WHERE number = 2", "manifest of link 2 was changed"),
        ("UPDATE audit_chain SET hash = (SELECT digest FROM audit_links WHERE number = 1)", "its head is link 3"),
        ("UPDATE audit_chain SET datastorage = 'x'", "link 1 was changed"),
    ],
)
async def test_altered_chain_is_named(filled: Backend, database: str, statement: str, expected: str) -> None:
    sql(database, statement)

    assert expected in await reason(filled)


@pytest.mark.asyncio
async def test_deletion_of_the_last_batch_with_its_link_needs_a_checkpoint(filled: Backend, database: str) -> None:
    kept = await checkpoint(filled)
    sql(
        database,
        f"DELETE FROM audit_events WHERE {one(7)}",
        "DELETE FROM audit_links WHERE number = 3",
        "UPDATE audit_chain SET number = 2, total = 6, hash = (SELECT hash FROM audit_links WHERE number = 2)",
    )

    assert (await verify(filled)).finding is None  # the past was rewritten without a trace
    assert "the checkpoint has link 3" in await reason(filled, checkpoint=kept)


@pytest.mark.asyncio
async def test_past_that_is_written_anew_is_not_that_of_the_checkpoint(filled: Backend, database: str) -> None:
    kept = await checkpoint(filled)
    sql(database, "UPDATE audit_chain SET number = 0, total = 0, purged = 0", "DELETE FROM audit_links")
    (start,) = sql(database, "SELECT datastorage FROM audit_chain")
    digest = ChainHead.start(start[0]).hash.hex()
    literal = f"X'{digest}'" if database.startswith("sqlite") else f"'\\x{digest}'"
    sql(database, "DELETE FROM audit_events", f"UPDATE audit_chain SET hash = {literal}")
    await filled.insert([sealed_row(number) for number in (1, 2, 3)])
    await filled.insert([sealed_row(number) for number in (4, 6)])
    await filled.insert([sealed_row(number) for number in (7, 8)])

    assert (await verify(filled)).finding is None
    assert "link 3 is not the one of the checkpoint" in await reason(filled, checkpoint=kept)


@pytest.mark.asyncio
async def test_checkpoint_of_another_database_is_refused(filled: Backend) -> None:
    other = Checkpoint("another", 1, 3, bytes(32), 0)

    assert "the checkpoint is of DataStorage another" in await reason(filled, checkpoint=other)


@pytest.mark.asyncio
async def test_checkpoint_stays_valid_while_events_come_and_go(filled: Backend) -> None:
    kept = await checkpoint(filled)
    await filled.insert([sealed_row(8)])
    await filled.purge(now=NOW, limit=10)

    verdict = await verify(filled, checkpoint=kept)

    assert verdict.finding is None
    assert verdict.purged == 1


@pytest.mark.asyncio
async def test_lawful_purge_is_no_gap(filled: Backend) -> None:
    assert await filled.purge(now=NOW, limit=10) == 1

    verdict = await verify(filled)

    assert verdict.finding is None
    assert (verdict.links, verdict.events, verdict.purged) == (4, 7, 1)


@pytest.mark.asyncio
async def test_event_that_is_sent_again_after_its_purge_is_a_new_one(filled: Backend) -> None:
    await filled.purge(now=NOW, limit=10)
    await filled.insert([sealed_row(5, retention_days=1)])
    again = await verify(filled)
    await filled.purge(now=NOW, limit=10)

    assert again.finding is None
    assert (await verify(filled)).finding is None


@pytest.mark.asyncio
async def test_duplicates_are_in_no_link(filled: Backend) -> None:
    before = await checkpoint(filled)

    await filled.insert([sealed_row(number) for number in (1, 2)])
    unchanged = await checkpoint(filled)
    await filled.insert([sealed_row(7, severity="high"), sealed_row(8), sealed_row(8)])
    after = await checkpoint(filled)

    assert before == unchanged
    assert (after.position, after.count) == (4, 8)


@pytest.mark.asyncio
async def test_expired_row_that_is_deleted_past_the_purge_is_named(filled: Backend, database: str) -> None:
    sql(database, f"DELETE FROM audit_events WHERE {one(5)}")

    assert str(UUID(int=5)) in await reason(filled)


@pytest.mark.asyncio
async def test_false_purge_of_an_event_that_is_kept_is_named(filled: Backend, database: str) -> None:
    # by its owner's SQL the retention is over, and DataStorage itself purges it
    sql(database, f"UPDATE audit_events SET expires_at = 1 WHERE {one(4)}")
    assert await filled.purge(now=NOW, limit=10) == 2

    found = await reason(filled)

    assert str(UUID(int=4)) in found
    assert "before the end of its retention" in found


@pytest.mark.asyncio
async def test_purge_in_the_future_is_named(filled: Backend) -> None:
    await filled.purge(now=NOW + DAY, limit=10)

    assert "purge in the future" in await reason(filled)


@pytest.mark.asyncio
async def test_further_row_that_is_said_to_be_purged_is_counted(filled: Backend, database: str) -> None:
    await filled.insert([sealed_row(8, retention_days=1)])
    await filled.purge(now=NOW, limit=1)
    (row,) = sql(database, f"SELECT sequence FROM audit_events WHERE {one(8)}")
    sql(database, f"DELETE FROM audit_events WHERE {one(8)}", f"INSERT INTO audit_purged VALUES ({row[0]}, 5)")

    assert "purge link 5 deleted 1 event, and the records have 2" in await reason(filled)


@pytest.mark.asyncio
async def test_row_that_was_purged_and_comes_back_is_named(filled: Backend, database: str) -> None:
    (row,) = sql(database, f"SELECT sequence FROM audit_events WHERE {one(5)}")
    await filled.purge(now=NOW, limit=10)
    event = sealed_row(5, retention_days=1)
    values = ", ".join("NULL" if value is None else f"'{value}'" for value in event)
    sql(database, f"INSERT INTO audit_events (sequence, {', '.join(event._fields)}) VALUES ({row[0]}, {values})")

    assert "purge link 4 says that it was deleted" in await reason(filled)


@pytest.mark.asyncio
async def test_window_compares_the_events_of_its_links(filled: Backend, database: str) -> None:
    sql(database, f"UPDATE audit_events SET event_outcome = 'failure' WHERE {one(2)}")
    since = microseconds(ARRIVAL + timedelta(seconds=4))

    after = await verify(filled, window=Window(since=since))
    before = await reason(filled, window=Window(until=since))

    assert after.finding is None
    assert after.events == 4
    assert "event_outcome" in before


@pytest.mark.asyncio
async def test_head_that_is_missing_refuses_inserts_instead_of_a_new_chain(filled: Backend, database: str) -> None:
    sql(database, "DELETE FROM audit_chain")

    with pytest.raises(BackendUnavailable, match="head of the audit chain is missing"):
        await filled.insert([sealed_row(8)])
    await filled.close()
    async with opened(database) as reopened:
        assert "the chain is missing" in await reason(reopened)
        with pytest.raises(BackendUnavailable):
            await reopened.insert([sealed_row(8)])


@pytest.mark.asyncio
async def test_case_on_hold_is_kept_from_purges_until_its_release(backend: Backend) -> None:
    await backend.insert([sealed_row(1, correlation_id="held", retention_days=1), sealed_row(2, retention_days=1)])
    await backend.place_hold(LegalHold("held", "a claim", "ada", NOW), sealed_row(3, correlation_id="held"))

    during = await backend.purge(now=NOW, limit=10)
    listed = await backend.holds()
    released = await backend.release_hold("held", sealed_row(4, correlation_id="held"))
    again = await backend.release_hold("held", sealed_row(5, correlation_id="held"))
    after = await backend.purge(now=NOW, limit=10)

    assert (during, after) == (1, 1)
    assert listed == [LegalHold("held", "a claim", "ada", NOW)]
    assert (released, again) == (True, False)
    assert (await checkpoint(backend)).count == 4


@pytest.mark.asyncio
async def test_replicas_and_their_purges_make_one_chain(database: str) -> None:
    async with opened(database) as one_backend, opened(database) as other:

        async def fill(backend: Backend, first: int) -> None:
            for number in range(first, first + 200, 10):
                rows = [sealed_row(n, **({"retention_days": 1} if n % 2 else {})) for n in range(number, number + 10)]
                await backend.insert(rows)
                await backend.insert(rows[3:7])
                await backend.purge(now=NOW, limit=7)

        async def look() -> None:
            for _ in range(20):
                assert (await verify(one_backend)).finding is None

        # overlapping ids: the batches of both wait for each other's rows
        await asyncio.gather(fill(one_backend, 0), fill(other, 100), fill(other, 105), fill(one_backend, 300), look())
        verdict = await verify(other)

    assert verdict.finding is None
    assert verdict.events - verdict.purged == len(sql(database, "SELECT 1 FROM audit_events"))
    assert sql(database, "SELECT count(*) FROM audit_links")[0][0] == verdict.links


def test_event_without_retention_is_never_due() -> None:
    assert NEVER > NOW

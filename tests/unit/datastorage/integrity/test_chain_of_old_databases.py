"""Databases of releases without a chain: the migration seals their events; verify names what an old release adds."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.datastorage_backends import opened
from tests.support.sealed_events import ARRIVAL, sealed_row, sql_with_values

from signal_gateway.datastorage.backend import EventRow
from signal_gateway.datastorage.postgres import schema as postgres_schema
from signal_gateway.datastorage.postgres.url import connection_parameters
from signal_gateway.datastorage.record import microseconds
from signal_gateway.datastorage.sqlite import schema as sqlite_schema
from signal_gateway.datastorage.sqlite.connection import connect
from signal_gateway.datastorage.verify import verify_chain

NOW = microseconds(ARRIVAL) + 10**13


@pytest.fixture(params=["sqlite", "postgres"])
def old_database(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a database that was made by the revisions before the chain, of each kind in turn."""
    if request.param == "sqlite":
        path = tmp_path / "old.db"
        with monkeypatch.context() as old, closing(connect(path, busy_timeout=1)) as connection:
            old.setattr(sqlite_schema, "_REVISIONS", sqlite_schema._REVISIONS[:2])
            sqlite_schema.prepare(connection, path)
        return f"sqlite:///{path}"
    url: str = request.getfixturevalue("empty_postgres")
    with monkeypatch.context() as old:
        old.setattr(postgres_schema, "_REVISIONS", postgres_schema._REVISIONS[:1])
        postgres_schema.migrate_schema(connection_parameters(url), lock_timeout=10)
    return url


def store_as_an_old_release(database: str, rows: Sequence[EventRow]) -> None:
    marks = ", ".join("?" * len(EventRow._fields))
    statement = f"INSERT INTO audit_events ({', '.join(EventRow._fields)}) VALUES ({marks}) ON CONFLICT DO NOTHING"
    sql_with_values(database, [(statement, rows)])


@pytest.mark.asyncio
@pytest.mark.parametrize("events", [0, 1, 2500])
async def test_events_of_an_old_database_are_sealed_by_the_migration(old_database: str, events: int) -> None:
    store_as_an_old_release(old_database, [sealed_row(number) for number in range(events)])

    async with opened(old_database) as backend:
        migrated = await verify_chain(backend, now=NOW)
        await backend.insert([sealed_row(number) for number in (0, 9000)])
        after = await verify_chain(backend, now=NOW, checkpoint=migrated.checkpoint)

    assert migrated.finding is None
    assert (migrated.events, migrated.links) == (events, -(-events // 1000))
    assert after.finding is None
    assert after.events == max(events, 1) + 1


@pytest.mark.asyncio
async def test_event_that_an_old_release_stores_after_the_upgrade_is_named(old_database: str) -> None:
    store_as_an_old_release(old_database, [sealed_row(1)])
    async with opened(old_database) as backend:
        await backend.insert([sealed_row(2)])
        store_as_an_old_release(old_database, [sealed_row(3)])
        last = await verify_chain(backend, now=NOW)
        await backend.insert([sealed_row(4)])
        between = await verify_chain(backend, now=NOW)

    for verdict in (last, between):
        assert verdict.finding is not None
        assert f"event {sealed_row(3).event_id}" in verdict.finding.reason
        assert "in no link: it was inserted past DataStorage, or by a release without links" in verdict.finding.reason


@pytest.mark.asyncio
async def test_events_of_an_old_database_are_purged_lawfully(old_database: str) -> None:
    store_as_an_old_release(old_database, [sealed_row(1, retention_days=1), sealed_row(2)])

    async with opened(old_database) as backend:
        assert await backend.purge(now=NOW, limit=10) == 1
        verdict = await verify_chain(backend, now=NOW)

    assert verdict.finding is None
    assert (verdict.events, verdict.purged) == (2, 1)

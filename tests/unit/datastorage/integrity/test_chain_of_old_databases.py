"""Databases with events from before there was a chain: the migration seals them."""

import pytest
from tests.support.datastorage_backends import opened
from tests.support.sealed_events import ARRIVAL, sealed_row, sql

from signal_gateway.datastorage.record import microseconds
from signal_gateway.datastorage.verify import verify_chain

NOW = microseconds(ARRIVAL) + 10**13
TABLES = ("audit_chain", "audit_links", "audit_purged", "audit_holds")


def as_before_the_chain(database: str) -> None:
    """Take a database back to the newest schema without a chain."""
    is_sqlite = database.startswith("sqlite")
    version = "PRAGMA user_version = 2" if is_sqlite else "UPDATE audit_events_version SET version_num = '0001'"
    sql(database, *(f"DROP TABLE {table}" for table in TABLES), version)


@pytest.mark.asyncio
@pytest.mark.parametrize("events", [0, 1, 2500])
async def test_events_of_an_old_database_are_sealed_by_the_migration(database: str, events: int) -> None:
    async with opened(database) as backend:
        for start in range(0, events, 500):
            await backend.insert([sealed_row(number) for number in range(start, min(start + 500, events))])
    as_before_the_chain(database)

    async with opened(database) as backend:
        migrated = await verify_chain(backend, now=NOW)
        await backend.insert([sealed_row(9000)])
        after = await verify_chain(backend, now=NOW, checkpoint=migrated.checkpoint)

    assert migrated.finding is None
    assert (migrated.events, migrated.links) == (events, -(-events // 1000))
    assert after.finding is None
    assert after.events == events + 1

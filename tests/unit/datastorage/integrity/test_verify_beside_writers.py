"""Inserts and purges between two chunks of a verification: they are lawful, and never an alteration."""

import itertools
from datetime import timedelta

import pytest
from tests.support.sealed_events import ARRIVAL, DAY, sealed_row, sql

from signal_gateway.datastorage.backend import CHAIN_COLUMNS, Backend
from signal_gateway.datastorage.integrity.verification import WHOLE_CHAIN, ChainVerdict, ChainVerifier, Window
from signal_gateway.datastorage.record import microseconds
from signal_gateway.datastorage.verify import verify_chain

NOW = microseconds(ARRIVAL + timedelta(days=10))
EVENTS = 4500  # more than two chunks


async def fill(backend: Backend) -> None:
    for first in range(1, EVENTS, 500):
        await backend.insert([sealed_row(number, retention_days=1) for number in range(first, first + 500)])


async def verdict_with_a_purge_after_each_chunk(
    backend: Backend, *, purged_at: int, window: Window = WHOLE_CHAIN
) -> ChainVerdict:
    """Verify; after each chunk but the last, purge ten events and insert one."""
    verifier = ChainVerifier(CHAIN_COLUMNS, window=window, now=NOW)
    assert verifier.start(await backend.chain_head())
    for chunks in itertools.count(1):
        if not verifier.add(await backend.read_chain(after=verifier.position, window=window)):
            assert chunks > 1
            return verifier.verdict()
        if chunks < 3:
            assert await backend.purge(now=purged_at, limit=10) == 10
            await backend.insert([sealed_row(10_000 + chunks)])
    raise AssertionError("not reached")


@pytest.mark.asyncio
@pytest.mark.parametrize("window", [WHOLE_CHAIN, Window(since=microseconds(ARRIVAL))], ids=["whole", "window"])
async def test_purge_of_events_that_were_compared_before_is_no_alteration(backend: Backend, window: Window) -> None:
    await fill(backend)

    verdict = await verdict_with_a_purge_after_each_chunk(backend, purged_at=NOW, window=window)

    assert verdict.finding is None


@pytest.mark.asyncio
async def test_purge_after_the_start_is_not_in_the_future(backend: Backend) -> None:
    await fill(backend)

    verdict = await verdict_with_a_purge_after_each_chunk(backend, purged_at=NOW + DAY)

    assert verdict.finding is None


@pytest.mark.asyncio
async def test_purge_by_a_replica_with_a_clock_that_is_fast_is_not_in_the_future(backend: Backend) -> None:
    await backend.insert([sealed_row(1, retention_days=1)])
    await backend.purge(now=NOW + 2_000_000, limit=1)

    assert (await verify_chain(backend, now=NOW)).finding is None


@pytest.mark.asyncio
async def test_further_row_that_is_said_to_be_purged_meanwhile_is_counted(backend: Backend, database: str) -> None:
    await fill(backend)
    verifier = ChainVerifier(CHAIN_COLUMNS, now=NOW)
    assert verifier.start(await backend.chain_head())
    assert verifier.add(await backend.read_chain(after=verifier.position, window=WHOLE_CHAIN))
    await backend.purge(now=NOW, limit=1)  # link 10, of an event that was compared
    gone = "SELECT max(sequence) FROM audit_events"
    sql(
        database,
        f"INSERT INTO audit_purged SELECT sequence, 10 FROM audit_events WHERE sequence = ({gone})",
        f"DELETE FROM audit_events WHERE sequence = ({gone})",
    )

    while verifier.add(await backend.read_chain(after=verifier.position, window=WHOLE_CHAIN)):
        continue

    assert verifier.verdict().finding is not None

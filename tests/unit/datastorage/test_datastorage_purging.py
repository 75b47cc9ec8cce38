"""Retention: what is purged, in which bites, and who does it."""

import asyncio
import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from tests.support.datastorage_backends import envelopes, exported, opened, row

from signal_gateway.clock import MovableClock
from signal_gateway.datastorage import create_datastorage
from signal_gateway.datastorage.backend import Backend, BackendUnavailable
from signal_gateway.datastorage.metrics import DataStorageMetrics
from signal_gateway.datastorage.record import microseconds
from signal_gateway.datastorage.retention import PeriodicPurge, purge_database, purge_expired
from signal_gateway.errors import ConfigurationError, DataStorageError

NOW = datetime(2026, 1, 31, tzinfo=UTC)
PAST = microseconds(NOW - timedelta(seconds=1))
FUTURE = microseconds(NOW + timedelta(seconds=1))
KEPT = [row(0), row(1, expires_at=FUTURE)]


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock(NOW)


def expired(count: int) -> list[Any]:
    return [row(n, expires_at=PAST) for n in range(2, 2 + count)]


@pytest.mark.asyncio
async def test_purge_deletes_what_is_over_in_bounded_bites(backend: Backend, clock: MovableClock) -> None:
    await backend.insert([*KEPT, *expired(25)])

    bites = [deleted async for deleted in purge_expired(backend, clock=clock, batch=10)]

    assert bites == [10, 10, 5]
    assert await exported(backend) == envelopes(0, 1)


@pytest.mark.asyncio
async def test_purge_with_nothing_to_do_says_so(backend: Backend, clock: MovableClock) -> None:
    await backend.insert(KEPT)

    assert [deleted async for deleted in purge_expired(backend, clock=clock)] == []


@pytest.mark.asyncio
async def test_writers_get_their_turn_during_a_purge(backend: Backend, clock: MovableClock) -> None:
    await backend.insert(expired(30))
    left: list[int] = []

    async def write() -> None:
        await backend.insert([row(1000)])
        left.append(len(await exported(backend)))

    async def purge() -> int:
        return sum([deleted async for deleted in purge_expired(backend, clock=clock, batch=1)])

    purged, _ = await asyncio.gather(purge(), write())

    assert purged == 30
    assert left[0] > 1
    assert await exported(backend) == envelopes(1000)


@pytest.mark.asyncio
async def test_database_is_purged_by_its_url(database: str, clock: MovableClock) -> None:
    async with opened(database) as backend:
        await backend.insert([*KEPT, *expired(7)])

    bites = [deleted async for deleted in purge_database(database, clock=clock, batch=5)]

    assert bites == [5, 2]
    async with opened(database) as backend:
        assert await exported(backend) == envelopes(0, 1)


@pytest.mark.asyncio
async def test_purge_of_a_database_that_is_not_there_makes_none(tmp_path: Path) -> None:
    with pytest.raises(DataStorageError, match="does not exist"):
        await anext(purge_database(f"sqlite:///{tmp_path}/audit.db"))

    assert os.listdir(tmp_path) == []


@pytest.mark.asyncio
async def test_purge_wants_a_database_that_can_be_used() -> None:
    with pytest.raises(ConfigurationError):
        await anext(purge_database("mysql://x"))


@pytest.mark.asyncio
async def test_service_purges_if_asked_and_counts_it(tmp_path: Path, clock: MovableClock) -> None:
    database = f"sqlite:///{tmp_path}/audit.db"
    async with opened(database) as backend:
        await backend.insert([*KEPT, *expired(3)])
    counts = []

    for interval in (None, 3600.0):
        datastorage = create_datastorage(database, clock=clock, purge_interval=interval)
        transport = httpx.ASGITransport(app=datastorage.app)
        async with datastorage, httpx.AsyncClient(transport=transport, base_url="http://datastorage") as client:
            await asyncio.sleep(0)  # the purge, if there is one, is the writer's first task, and the probe its second
            assert (await client.get("/readyz")).status_code == 200
            counts.append(datastorage.registry.get_sample_value("datastorage_purged_total"))

    assert counts == [0, 3]
    assert asyncio.all_tasks() == {asyncio.current_task()}


class Flaky:
    """A backend whose purge fails at first."""

    def __init__(self, failure: Exception) -> None:
        self.failure: Exception | None = failure
        self.recovered = asyncio.Event()

    async def purge(self, *, now: int, limit: int) -> int:  # noqa: ARG002 - the backend's signature
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure
        self.recovered.set()
        return 0


@pytest.mark.asyncio
@pytest.mark.parametrize("failure", [BackendUnavailable("the disk is away"), RuntimeError("a bug")])
async def test_purge_that_fails_is_logged_and_tried_again(
    clock: MovableClock, caplog: pytest.LogCaptureFixture, failure: Exception
) -> None:
    backend = Flaky(failure)
    metrics = DataStorageMetrics(CollectorRegistry())

    async with PeriodicPurge(backend, clock=clock, interval=0.001, metrics=metrics), asyncio.timeout(10):  # type: ignore[arg-type]
        await backend.recovered.wait()

    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert str(failure) in caplog.text


@pytest.mark.parametrize("interval", [0, -1.0, float("nan")])
def test_interval_must_be_positive(interval: float, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="purge interval"):
        create_datastorage(f"sqlite:///{tmp_path}/audit.db", purge_interval=interval)

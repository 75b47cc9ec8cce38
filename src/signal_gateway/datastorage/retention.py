"""Retention: deletes expired events in small batches, once or periodically."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Self

from signal_gateway.clock import Clock, SystemClock
from signal_gateway.datastorage.backend import Backend
from signal_gateway.datastorage.database import backend_for
from signal_gateway.datastorage.metrics import DataStorageMetrics
from signal_gateway.datastorage.record import microseconds
from signal_gateway.errors import DataStorageError

__all__ = ["PURGE_BATCH", "PeriodicPurge", "purge_database", "purge_expired"]

PURGE_BATCH = 1000
"""The events that one transaction deletes: a few milliseconds of work, after which waiting writers get their turn."""

_SQLITE = "sqlite:///"

_log = logging.getLogger(__name__)


async def purge_expired(backend: Backend, *, clock: Clock, batch: int = PURGE_BATCH) -> AsyncGenerator[int, None]:
    """Delete every event with a retention that is over now.

    Args:
        backend: An open backend.
        clock: Gives the time.
        batch: The most events of one transaction.

    Yields:
        The number of events that a transaction deleted. Events that another process is deleting are not included.

    Raises:
        BackendUnavailable: The database failed. Earlier batches stay deleted.
    """
    now = microseconds(clock.now())
    while True:
        deleted = await backend.purge(now=now, limit=batch)
        if deleted:
            yield deleted
        if deleted < batch:
            return
        await asyncio.sleep(0)  # waiting writers come first


async def purge_database(
    database: str,
    *,
    clock: Clock = SystemClock(),  # noqa: B008 - it has no state
    batch: int = PURGE_BATCH,
) -> AsyncGenerator[int, None]:
    """Open a database, delete the expired events, and close it. A DataStorage may serve the database meanwhile.

    Args:
        database: The database URL, as in `create_datastorage`.
        clock: As in `purge_expired`.
        batch: As in `purge_expired`.

    Yields:
        As `purge_expired`.

    Raises:
        ConfigurationError: `database` is not a valid URL.
        DataStorageError: The database is missing, cannot be opened, or failed.
    """
    backend = backend_for(database)
    _require_existing_file(database)
    try:
        await backend.open()
        async with aclosing(purge_expired(backend, clock=clock, batch=batch)) as batches:
            async for deleted in batches:
                yield deleted
    finally:
        await backend.close()


def _require_existing_file(database: str) -> None:
    """Reject a missing SQLite file: opening would create it, and a misspelt path would look like success."""
    if database.startswith(_SQLITE) and not Path(database.removeprefix(_SQLITE)).exists():
        raise DataStorageError(f"nothing to purge: {database} does not exist; check the path")


class PeriodicPurge:
    """Deletes expired events at once and then periodically, while it is entered.

    A purge that fails is logged, and the next one continues.

    Args:
        backend: A backend that is open as long as this is entered.
        clock: Gives the time.
        interval: Seconds from the end of one purge to the start of the next.
        metrics: Counts the deleted events.
    """

    def __init__(self, backend: Backend, *, clock: Clock, interval: float, metrics: DataStorageMetrics) -> None:
        self._backend = backend
        self._clock = clock
        self._interval = interval
        self._metrics = metrics
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="purge expired events")
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        while True:
            try:
                purged = await self._purge()
            except Exception:  # noqa: BLE001 - an unexpected error must not end retention silently
                _log.exception("expired events were not purged; the next attempt is in %s s", self._interval)
            else:
                if purged:
                    _log.info("purged %d events whose retention was over", purged)
            await asyncio.sleep(self._interval)

    async def _purge(self) -> int:
        purged = 0
        async with aclosing(purge_expired(self._backend, clock=self._clock)) as batches:
            async for deleted in batches:
                self._metrics.purged.inc(deleted)
                purged += deleted
        return purged

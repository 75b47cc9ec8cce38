"""Retention: delete events whose time has come, in bites that hold nobody up."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from signal_gateway.clock import Clock, SystemClock
from signal_gateway.datastorage.backend import Backend
from signal_gateway.datastorage.database import backend_for
from signal_gateway.datastorage.record import microseconds
from signal_gateway.errors import DataStorageError

__all__ = ["PURGE_BATCH", "purge_database", "purge_expired", "purging"]

PURGE_BATCH = 1000
"""How many events one transaction deletes: some milliseconds' work, and writers get their turn in between."""

_SQLITE = "sqlite:///"

_log = logging.getLogger(__name__)


async def purge_expired(
    backend: Backend, *, clock: Clock, batch: int = PURGE_BATCH, on_batch: Callable[[int], None] | None = None
) -> int:
    """Delete every event whose retention is over when this is called.

    Args:
        backend: An open one.
        clock: Says what is over.
        batch: Most events of one transaction.
        on_batch: Called after each transaction that deleted something, with the number of its events.

    Returns:
        How many were deleted. Those that another process is deleting at the same time are left to it.

    Raises:
        BackendUnavailable: What was deleted before stays deleted, and was told to `on_batch`.
    """
    now = microseconds(clock.now())
    purged = 0
    while True:
        deleted = await backend.purge(now=now, limit=batch)
        purged += deleted
        if deleted and on_batch is not None:
            on_batch(deleted)
        if deleted < batch:
            return purged
        await asyncio.sleep(0)  # whoever waits to write comes first


async def purge_database(
    database: str,
    *,
    clock: Clock = SystemClock(),  # noqa: B008 - it has no state
    batch: int = PURGE_BATCH,
    on_batch: Callable[[int], None] | None = None,
) -> int:
    """Open a database, delete what is over, and close it; a DataStorage may be serving it meanwhile.

    Args:
        database: Its URL, as `create_datastorage` takes it.
        clock: As in `purge_expired`.
        batch: As in `purge_expired`.
        on_batch: As in `purge_expired`.

    Returns:
        How many events were deleted.

    Raises:
        ConfigurationError: `database` is not a URL of a database that can be used.
        DataStorageError: It can't be opened, or went away.
    """
    backend = backend_for(database)
    _check_that_it_is_there(database)
    try:
        await backend.open()
        return await purge_expired(backend, clock=clock, batch=batch, on_batch=on_batch)
    finally:
        await backend.close()


def _check_that_it_is_there(database: str) -> None:
    """Opening an SQLite file would create it, and a slip in its name would look like success."""
    if database.startswith(_SQLITE) and not Path(database.removeprefix(_SQLITE)).exists():
        raise DataStorageError(f"{database} does not exist, so there is nothing to purge; is the path right?")


@asynccontextmanager
async def purging(
    backend: Backend, *, clock: Clock, interval: float, on_batch: Callable[[int], None]
) -> AsyncIterator[None]:
    """Purge at once and then again and again, while this is entered.

    A purge that fails is logged; the next one makes up for it.

    Args:
        backend: An open one, until this is left.
        clock: As in `purge_expired`.
        interval: Seconds from the end of one purge to the next.
        on_batch: As in `purge_expired`.
    """
    task = asyncio.create_task(_purge_again_and_again(backend, clock, interval, on_batch), name="purge expired events")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _purge_again_and_again(
    backend: Backend, clock: Clock, interval: float, on_batch: Callable[[int], None]
) -> None:
    while True:
        try:
            purged = await purge_expired(backend, clock=clock, on_batch=on_batch)
        except Exception:  # noqa: BLE001 - a bug must not end retention in silence
            _log.exception("expired events could not be purged; the next try is in %s s", interval)
        else:
            if purged:
                _log.info("purged %d events whose retention was over", purged)
        await asyncio.sleep(interval)

"""The last delivery of an audit store: within a time, and with a verdict on what became of its events."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from signal_gateway.audit.client import DataStorageClient
from signal_gateway.audit.config import AuditStoreConfig
from signal_gateway.audit.rejections import FILE_NAME, read_rejected
from signal_gateway.audit.store import BufferedAuditStore
from signal_gateway.errors import AuditError, ConfigurationError
from signal_gateway.testing.settings import Setting
from signal_gateway.testing.spool_directory import remove_if_empty
from signal_gateway.testing.verdict import Verdict

__all__ = ["DeadWorker", "close_store", "deliver_for_dead_workers", "open_store"]


@dataclass(frozen=True, slots=True)
class DeadWorker:
    """An xdist worker that ended without a verdict.

    Attributes:
        id: Its id.
        crash: How it died.
        spool_directory: Where its store kept its events.
    """

    id: str
    crash: str
    spool_directory: Path


def open_store(client: DataStorageClient, *, service: str, spool_directory: Path) -> BufferedAuditStore:
    """Open a store on a spool directory of its own.

    Raises:
        ConfigurationError: The directory can't be used.
    """
    try:
        return BufferedAuditStore(client, service=service, config=AuditStoreConfig(spool_directory=spool_directory))
    except ConfigurationError as exc:
        remove_if_empty(spool_directory)
        exc.add_note("The test harness keeps its spool among the temporary files: set TMPDIR to have them elsewhere.")
        raise


def close_store(
    store: BufferedAuditStore, *, spool_directory: Path, worker: str, datastorage: Setting[str], timeout: float
) -> Verdict:
    """Close a store, and remove its directory if everything in it was delivered.

    Args:
        store: The only one on that directory, but for those of children that were forked from its process.
        spool_directory: Where its events wait.
        worker: Whose verdict this is.
        datastorage: Where its events go.
        timeout: Seconds to deliver what is left.
    """
    error = store.close(timeout=timeout).error
    stats = store.stats
    adopted = stats.adopted
    is_gone = remove_if_empty(spool_directory)
    delivered = stats.delivered + adopted.delivered
    rejected = max(stats.rejected + adopted.rejected, _count_rejected(spool_directory))
    pending = stats.pending + adopted.pending
    if adopted.rejected or adopted.pending:
        error = error or stats.last_error
    return Verdict(
        worker,
        flushers=1,
        recorded=delivered + rejected + pending,
        delivered=delivered,
        rejected=rejected,
        pending=pending,
        adopted=adopted.delivered + adopted.rejected + adopted.pending,
        refused=stats.refused,
        corrupt=adopted.corrupt,
        waited=timeout,
        error=error and error.removeprefix(f"{datastorage.value}: "),
        datastorage=f"{datastorage.value} (from {datastorage.source})",
        spool=None if is_gone else str(spool_directory),
    )


def deliver_for_dead_workers(
    workers: Iterable[DeadWorker], *, datastorage: Setting[str], timeout: float
) -> list[Verdict]:
    """Adopt and deliver what xdist workers left that died, all at the same time. Never raises.

    What belongs to a process that is still alive, such as a child that a worker forked, stays where it is.

    Args:
        workers: Those whose spool directory is there.
        datastorage: Where their events go.
        timeout: Seconds for all of it.
    """
    deadline = time.monotonic() + timeout
    adopted = [(worker, _adopt(worker, datastorage)) for worker in workers]
    verdicts = []
    for worker, store in adopted:
        if isinstance(store, BufferedAuditStore):
            verdict = close_store(
                store,
                spool_directory=worker.spool_directory,
                worker=worker.id,
                datastorage=datastorage,
                timeout=max(deadline - time.monotonic(), 0.0),
            )
            store.client.close()
            verdicts.append(replace(verdict, waited=timeout, crash=worker.crash))
        else:
            verdicts.append(store)
    return verdicts


def _adopt(worker: DeadWorker, datastorage: Setting[str]) -> BufferedAuditStore | Verdict:
    client = DataStorageClient(datastorage.value, source=datastorage.source)
    try:
        return open_store(client, service="gateway", spool_directory=worker.spool_directory)
    except (ConfigurationError, OSError) as exc:
        client.close()
        return Verdict(
            worker.id,
            flushers=1,
            error=str(exc),
            datastorage=f"{datastorage.value} (from {datastorage.source})",
            spool=str(worker.spool_directory),
            crash=worker.crash,
        )


def _count_rejected(spool_directory: Path) -> int:
    """Count also what was rejected before a process died, which is in nobody's statistics any more."""
    try:
        return len(read_rejected(spool_directory / FILE_NAME))
    except AuditError:
        return 0

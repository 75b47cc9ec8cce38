"""The last delivery of an audit store: within a time, and with a verdict on what became of its events."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from signal_gateway.audit.client.client import DataStorageClient
from signal_gateway.audit.client.token import read_token
from signal_gateway.audit.config import AuditStoreConfig
from signal_gateway.audit.store import BufferedAuditStore
from signal_gateway.audit.wal.rejected import FILE_NAME, read_rejected
from signal_gateway.errors import AuditError, ConfigurationError
from signal_gateway.testing.datastorage.spool_directory import remove_if_empty
from signal_gateway.testing.datastorage.verdict import Verdict
from signal_gateway.testing.plugin.settings import Setting

__all__ = ["DeadWorker", "client_of", "close_store", "deliver_for_dead_workers", "open_store"]


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


def client_of(datastorage: Setting[str], token_file: Setting[str | None]) -> DataStorageClient:
    """Make a client of a DataStorage that was set.

    Raises:
        ConfigurationError: The URL or the token file can't be used; the message says where it came from.
    """
    token = None if token_file.value is None else read_token(token_file.value, source=token_file.source)
    return DataStorageClient(datastorage.value, token=token, source=datastorage.source)


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
    adopted = stats.recovered
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
    workers: Iterable[DeadWorker], *, datastorage: Setting[str], token_file: Setting[str | None], timeout: float
) -> list[Verdict]:
    """Adopt and deliver what xdist workers left that died, all at the same time. Never raises.

    What belongs to a process that is still alive, such as a child that a worker forked, stays where it is.

    Args:
        workers: Those whose spool directory is there.
        datastorage: Where their events go.
        token_file: The file with the token that is wanted there.
        timeout: Seconds for all of it.
    """
    deadline = time.monotonic() + timeout
    adopted = [(worker, _adopt(worker, datastorage, token_file)) for worker in workers]
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


def _adopt(
    worker: DeadWorker, datastorage: Setting[str], token_file: Setting[str | None]
) -> BufferedAuditStore | Verdict:
    try:
        client = client_of(datastorage, token_file)
        return open_store(client, service="gateway", spool_directory=worker.spool_directory)
    except (ConfigurationError, OSError) as exc:  # the client has made no connection yet
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

"""The last delivery of an audit store: ends within a timeout and returns a verdict."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from signal_gateway.audit.client.client import DataStorageClient
from signal_gateway.audit.client.token import read_token
from signal_gateway.audit.config import AuditStoreConfig
from signal_gateway.audit.store import BufferedAuditStore
from signal_gateway.audit.wal.rejected import FILE_NAME, read_rejected
from signal_gateway.clock import SystemClock
from signal_gateway.errors import AuditError, ConfigurationError
from signal_gateway.testing.plugin.settings import Setting
from signal_gateway.testing.plugin.spool_directory import remove_if_empty
from signal_gateway.testing.plugin.verdict import Verdict

__all__ = ["CrashedWorker", "client_from_settings", "close_store", "open_store", "recover_crashed_workers"]


@dataclass(frozen=True, slots=True)
class CrashedWorker:
    """An xdist worker that ended without a verdict.

    Attributes:
        id: The id of the worker.
        crash: The error that xdist reported.
        spool_directory: The spool directory of its store.
    """

    id: str
    crash: str
    spool_directory: Path


def client_from_settings(datastorage: Setting[str], token_file: Setting[str | None]) -> DataStorageClient:
    """Create a client for the DataStorage of a setting.

    Raises:
        ConfigurationError: The URL or the token file is not usable. The message names its source.
    """
    token = None if token_file.value is None else read_token(token_file.value, source=token_file.source)
    return DataStorageClient(datastorage.value, token=token, source=datastorage.source)


def open_store(client: DataStorageClient, *, service: str, spool_directory: Path) -> BufferedAuditStore:
    """Open a store on its own spool directory.

    Raises:
        ConfigurationError: The directory is not usable.
    """
    try:
        return BufferedAuditStore(client, service=service, config=AuditStoreConfig(spool_directory=spool_directory))
    except ConfigurationError as exc:
        remove_if_empty(spool_directory)
        exc.add_note("The test harness keeps its spool among the temporary files: set TMPDIR to another directory.")
        raise


def close_store(
    store: BufferedAuditStore, *, spool_directory: Path, worker: str, datastorage: Setting[str], timeout: float
) -> Verdict:
    """Close a store, and remove its spool directory if all events were delivered.

    Args:
        store: The only store on that directory, apart from the stores of forked children.
        spool_directory: The spool directory of the store.
        worker: The worker of the verdict.
        datastorage: The DataStorage of the store.
        timeout: Seconds to deliver the pending events.
    """
    result = store.close(timeout=timeout)
    error = result.error or (result.rejections[-1].reason if result.rejections else None)
    stats = store.stats
    recovered = stats.recovered
    is_gone = remove_if_empty(spool_directory)
    delivered = stats.delivered + recovered.delivered
    rejected = max(stats.rejected + recovered.rejected, _count_rejected(spool_directory))
    pending = stats.pending + recovered.pending
    if recovered.rejected or recovered.pending:
        error = error or stats.last_error
    return Verdict(
        worker,
        flushers=1,
        recorded=delivered + rejected + pending,
        delivered=delivered,
        rejected=rejected,
        pending=pending,
        recovered=recovered.delivered + recovered.rejected + recovered.pending,
        refused=stats.refused,
        corrupt=recovered.corrupt,
        timeout=timeout,
        error=error and error.removeprefix(f"{datastorage.value}: "),
        datastorage=f"{datastorage.value} (from {datastorage.source})",
        spool=None if is_gone else str(spool_directory),
    )


def recover_crashed_workers(
    workers: Iterable[CrashedWorker], *, datastorage: Setting[str], token_file: Setting[str | None], timeout: float
) -> list[Verdict]:
    """Deliver the events in the spools of crashed xdist workers, all at the same time. Never raises.

    The segments of a live process, such as a forked child of a worker, are not changed.

    Args:
        workers: The workers with an existing spool directory.
        datastorage: The DataStorage of the run.
        token_file: The file with the token for this DataStorage.
        timeout: Seconds for all workers together.
    """
    deadline = SystemClock().monotonic() + timeout
    stores = [(worker, _open_store_of(worker, datastorage, token_file)) for worker in workers]
    verdicts = []
    for worker, store in stores:
        if isinstance(store, BufferedAuditStore):
            verdict = close_store(
                store,
                spool_directory=worker.spool_directory,
                worker=worker.id,
                datastorage=datastorage,
                timeout=max(deadline - SystemClock().monotonic(), 0.0),
            )
            store.client.close()
            verdicts.append(replace(verdict, timeout=timeout, crash=worker.crash))
        else:
            verdicts.append(store)
    return verdicts


def _open_store_of(
    worker: CrashedWorker, datastorage: Setting[str], token_file: Setting[str | None]
) -> BufferedAuditStore | Verdict:
    try:
        client = client_from_settings(datastorage, token_file)
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
    """Count the rejected events of the directory: the statistics lack those from before a crash."""
    try:
        return len(read_rejected(spool_directory / FILE_NAME))
    except AuditError:
        return 0

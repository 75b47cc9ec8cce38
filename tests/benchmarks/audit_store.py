"""The audit stores that are measured: a crash-safe one on a directory, and one in memory."""

from pathlib import Path

from signal_gateway.audit import AuditStoreConfig, BufferedAuditStore, DataStorageClient

__all__ = ["crash_safe_store", "deliver_everything", "memory_store"]

TIMEOUT = 60.0


def crash_safe_store(url: str, directory: Path) -> BufferedAuditStore:
    """Open a store whose events survive the process."""
    return BufferedAuditStore(
        DataStorageClient(url), service="bench", config=AuditStoreConfig(spool_directory=directory)
    )


def memory_store(url: str) -> BufferedAuditStore:
    """Open a store whose events live as long as it does."""
    return BufferedAuditStore(DataStorageClient(url), service="bench", config=AuditStoreConfig(durability="memory"))


def deliver_everything(store: BufferedAuditStore) -> None:
    """Wait until all that a store took is delivered; end the process if it isn't."""
    result = store.flush(TIMEOUT)
    if not result.ok:
        raise SystemExit(f"the store did not deliver: {result.error}")

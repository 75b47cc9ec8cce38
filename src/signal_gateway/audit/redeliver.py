"""redeliver: delivers the events of orphaned segments, and on request the rejected events, from a spool directory."""

from dataclasses import dataclass
from pathlib import Path

import orjson
from pydantic import ValidationError
from uuid_utils import uuid7

from signal_gateway.audit.client.client import DataStorageClient
from signal_gateway.audit.config import AuditStoreConfig
from signal_gateway.audit.errors import AuditStoreFull, InvalidAuditEvent
from signal_gateway.audit.event import AuditEvent
from signal_gateway.audit.store import BufferedAuditStore
from signal_gateway.audit.wal.inspect import inspect_spool
from signal_gateway.audit.wal.recovery import CORRUPT_DIRECTORY
from signal_gateway.audit.wal.rejected import FileRejections, RejectedEvent
from signal_gateway.audit.wal.rejected_file import RejectedEntry, read_entries, set_rejected_aside

__all__ = ["Redelivery", "redeliver"]

_GIB = 1024**3
_LAST_RESPONSE = 30.0  # maximum seconds of the delivery in progress at the timeout


@dataclass(frozen=True, slots=True)
class Redelivery:
    """Result of the delivery of a spool directory.

    Attributes:
        delivered: Events that DataStorage acknowledged.
        rejected: Events that DataStorage rejected, or that cannot be sent; they are in `rejected.jsonl`.
        left: Orphaned events that are still pending.
        left_to_live_stores: Pending events of live stores.
        torn: Events that a process was recording when it died. Dropped.
        damaged: Files, and parts of files, that cannot be read and were moved to `corrupt/`.
        unreadable: Segment files that remain, each with the reason.
        repeatable: Delivered events that stay in files that cannot be changed; a later delivery repeats them.
        error: Last error; None without one.
    """

    delivered: int = 0
    rejected: int = 0
    left: int = 0
    left_to_live_stores: int = 0
    torn: int = 0
    damaged: int = 0
    unreadable: tuple[str, ...] = ()
    repeatable: int = 0
    error: str | None = None

    @property
    def ok(self) -> bool:
        """Whether all events without a live store are delivered."""
        return not (self.rejected or self.left or self.damaged or self.unreadable)


def redeliver(
    directory: Path, client: DataStorageClient, *, timeout: float, retry_rejected: bool = False
) -> Redelivery:
    """Deliver the events of orphaned segments in a spool directory. Events of live stores are not touched.

    No event is lost if the process dies at any moment: an event leaves its file after it is delivered or is in
    another file.

    Args:
        directory: The spool directory.
        client: Client for the delivery. Its connections are closed.
        timeout: Maximum seconds of the delivery.
        retry_rejected: Whether to record the rejected events again, too.

    Raises:
        AuditError: The directory cannot be read or written, or is full.
        ConfigurationError: The directory is unusable.
    """
    before = inspect_spool(directory)
    aside = set_rejected_aside(directory) if retry_rejected else []
    if not aside and all(report.alive for report in before.stores):
        return Redelivery(left_to_live_stores=before.pending(alive=True))

    limit = _GIB + before.held_bytes + sum(_size(path) for path in aside)
    config = AuditStoreConfig(spool_directory=directory, max_spool_bytes=limit)
    store = BufferedAuditStore(client, service="redelivery", config=config)
    try:
        unfit = sum(_record_anew(path, store, directory, timeout) for path in aside)
    finally:
        result = store.close(timeout)
        store.close(_LAST_RESPONSE)
    for path in aside:
        _remove(path, directory)

    stats = store.stats
    after = inspect_spool(directory)
    return Redelivery(
        delivered=stats.delivered + stats.recovered.delivered,
        rejected=stats.rejected + stats.recovered.rejected + unfit,
        left=after.pending(alive=False) - stats.recovered.repeatable,
        repeatable=stats.recovered.repeatable,
        left_to_live_stores=after.pending(alive=True),
        torn=stats.recovered.torn,
        damaged=len(set(after.damaged) - set(before.damaged)),
        unreadable=tuple(reason for report in after.stores if not report.alive for reason in report.unreadable),
        error=result.error or stats.last_error,
    )


def _record_anew(path: Path, store: BufferedAuditStore, directory: Path, timeout: float) -> int:
    """Record all events of a file; return the number of invalid ones, which are rejected again."""
    unfit = 0
    for entry in read_entries(path):
        if entry is None:
            continue
        try:
            _record(AuditEvent.model_validate(entry.event), store, timeout)
        except (ValidationError, InvalidAuditEvent) as exc:
            _reject_again(entry, exc, directory)
            unfit += 1
    return unfit


def _record(event: AuditEvent, store: BufferedAuditStore, timeout: float) -> None:
    try:
        store.record(event)
    except AuditStoreFull:
        store.flush(timeout)
        store.record(event)


def _reject_again(entry: RejectedEntry, exc: Exception, directory: Path) -> None:
    if isinstance(exc, ValidationError):
        why = "; ".join(f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in exc.errors())
    else:
        why = str(exc)
    rejections = FileRejections(directory, str(uuid7()))
    rejections.keep([RejectedEvent(entry.event_id, orjson.dumps(entry.event), f"not sent again: {why}")])


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0  # another retry removed it in the meantime


def _remove(path: Path, directory: Path) -> None:
    """Remove a file, all events of which are recorded; move it to `corrupt/` if it has unreadable lines."""
    if all(entry is not None for entry in read_entries(path)):
        path.unlink(missing_ok=True)
    else:
        corrupt = directory / CORRUPT_DIRECTORY
        corrupt.mkdir(mode=0o700, exist_ok=True)
        path.rename(corrupt / path.with_suffix(".jsonl").name)

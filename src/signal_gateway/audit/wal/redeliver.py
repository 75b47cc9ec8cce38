"""Redelivery: what dead stores left in a spool directory, and what was rejected, delivered by hand."""

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
from signal_gateway.audit.wal.rejected_file import RejectedEntry, put_rejected_aside, read_entries

__all__ = ["Redelivery", "redeliver"]

_GIB = 1024**3
_LAST_ANSWER = 30.0  # seconds that the delivery which is under way at the timeout may still take


@dataclass(frozen=True, slots=True)
class Redelivery:
    """What became of the events in a spool directory.

    Attributes:
        delivered: Events that DataStorage acknowledged.
        rejected: Events that it refused for good, or that can't be sent; they are in `rejected.jsonl`.
        left: Events that still wait there and belong to nobody alive.
        left_to_live_stores: Events that wait for the live stores they belong to.
        torn: Events that were being recorded when a process died. Dropped.
        damaged: Files, and parts of files, that can't be read and are in `corrupt/` now.
        unreadable: Segment files that stay where they are, each with the reason.
        error: What went wrong last; None if nothing did.
    """

    delivered: int = 0
    rejected: int = 0
    left: int = 0
    left_to_live_stores: int = 0
    torn: int = 0
    damaged: int = 0
    unreadable: tuple[str, ...] = ()
    error: str | None = None

    @property
    def ok(self) -> bool:
        """Whether everything is delivered that had nobody else to deliver it."""
        return not (self.rejected or self.left or self.damaged or self.unreadable)


def redeliver(
    directory: Path, client: DataStorageClient, *, timeout: float, retry_rejected: bool = False
) -> Redelivery:
    """Deliver what dead stores left in a spool directory. A live store's events are left to it.

    Killed at any moment it loses nothing: an event leaves its file once it is delivered, or is in another one.

    Args:
        directory: The spool directory.
        client: Where to; its connections are closed.
        timeout: Seconds for the delivery.
        retry_rejected: Whether to record the rejected events anew, too. What is refused again is rejected again.

    Raises:
        AuditError: The directory can't be read or written, or there is no room in it.
        ConfigurationError: The directory can't be used.
    """
    before = inspect_spool(directory)
    aside = put_rejected_aside(directory) if retry_rejected else []
    if not aside and all(report.alive for report in before.stores):
        return Redelivery(left_to_live_stores=before.pending(alive=True))

    room = _GIB + before.held_bytes + sum(_size(path) for path in aside)
    config = AuditStoreConfig(spool_directory=directory, max_spool_bytes=room)
    store = BufferedAuditStore(client, service="redelivery", config=config)
    try:
        unfit = sum(_record_anew(path, store, directory, timeout) for path in aside)
    finally:
        result = store.close(timeout)
        store.close(_LAST_ANSWER)
    for path in aside:
        _let_go(path, directory)

    stats = store.stats
    after = inspect_spool(directory)
    return Redelivery(
        delivered=stats.delivered + stats.recovered.delivered,
        rejected=stats.rejected + stats.recovered.rejected + unfit,
        left=after.pending(alive=False),
        left_to_live_stores=after.pending(alive=True),
        torn=stats.recovered.torn,
        damaged=len(set(after.damaged) - set(before.damaged)),
        unreadable=tuple(reason for report in after.stores if not report.alive for reason in report.unreadable),
        error=result.error or stats.last_error,
    )


def _record_anew(path: Path, store: BufferedAuditStore, directory: Path, timeout: float) -> int:
    """Record every event of a file, and return how many can't be; those are rejected again."""
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
        return 0  # another retry has let it go meanwhile


def _let_go(path: Path, directory: Path) -> None:
    """Remove a file whose events are all recorded; keep it in `corrupt/` if there are lines that can't be read."""
    if all(entry is not None for entry in read_entries(path)):
        path.unlink(missing_ok=True)
    else:
        corrupt = directory / CORRUPT_DIRECTORY
        corrupt.mkdir(mode=0o700, exist_ok=True)
        path.rename(corrupt / path.with_suffix(".jsonl").name)

"""inspect_spool: a report on a spool directory, made without changes or locks there."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import orjson

from signal_gateway.audit.wal.buffer import FileBuffer
from signal_gateway.audit.wal.directory import SEGMENT_SUFFIX
from signal_gateway.audit.wal.origin import BadSegment, Origin
from signal_gateway.audit.wal.ownership import StoreLock
from signal_gateway.audit.wal.recovery import CORRUPT_DIRECTORY, owners_in
from signal_gateway.audit.wal.rejected_file import rejected_entries
from signal_gateway.audit.wal.segment import Segment
from signal_gateway.errors import AuditError

__all__ = ["SpoolReport", "StoreReport", "inspect_spool"]


@dataclass(frozen=True, slots=True)
class StoreReport:
    """The files of one store in a spool directory.

    Attributes:
        store_id: Id of the store, with which the names of its files begin.
        service: Name of the service; None without a readable segment.
        alive: Whether a process has the store open.
        pid: Id of the process, alive or dead; None without a readable segment.
        since: Time at which the store was opened.
        segments: Number of segment files.
        pending: Number of pending events.
        held_bytes: Size of the files, which are larger than their content.
        oldest_pending: `event_timestamp` of the oldest pending event; None without one.
        unreadable: Unreadable segment files, each with the reason.
    """

    store_id: str
    service: str | None
    alive: bool
    pid: int | None
    since: datetime
    segments: int
    pending: int
    held_bytes: int
    oldest_pending: datetime | None
    unreadable: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SpoolReport:
    """The content of a spool directory. Live stores change theirs during the inspection.

    Attributes:
        directory: The spool directory.
        stores: Stores with segments there, oldest first.
        damaged: Files in `corrupt/`, whose events are not delivered.
        rejected: Number of events that DataStorage rejected.
    """

    directory: Path
    stores: tuple[StoreReport, ...]
    damaged: tuple[Path, ...]
    rejected: int

    @property
    def is_empty(self) -> bool:
        """Whether the directory has no event, no damaged file and no live store."""
        return not self.stores and not self.damaged and not self.rejected

    @property
    def held_bytes(self) -> int:
        """Size of the segments of all stores."""
        return sum(store.held_bytes for store in self.stores)

    def pending(self, *, alive: bool) -> int:
        """Return the number of pending events, of live stores or of orphaned ones."""
        return sum(store.pending for store in self.stores if store.alive is alive)


def inspect_spool(directory: Path) -> SpoolReport:
    """Return a report on a spool directory, which stores may use at the same time.

    Raises:
        AuditError: The directory does not exist, or cannot be read.
    """
    try:
        names = os.listdir(directory)
        reports = [_inspect_store(directory, store_id, names) for store_id in sorted(owners_in(names))]
        corrupt = directory / CORRUPT_DIRECTORY
        damaged = sorted(corrupt.iterdir()) if corrupt.is_dir() else []
    except FileNotFoundError as exc:
        raise AuditError(
            f"there is no spool directory {str(directory)!r}: give the spool_directory of the store"
        ) from exc
    except OSError as exc:
        raise AuditError(f"cannot read the spool directory {str(directory)!r}: {exc.strerror}") from exc
    return SpoolReport(
        directory,
        tuple(report for report in reports if report.segments),
        tuple(damaged),
        sum(1 for _ in rejected_entries(directory)),
    )


def _inspect_store(directory: Path, store_id: str, names: Iterable[str]) -> StoreReport:
    origin: Origin | None = None
    segments = pending = held_bytes = 0
    oldest: list[datetime] = []
    unreadable = []
    for name in sorted(name for name in names if name.startswith(f"{store_id}-") and name.endswith(SEGMENT_SUFFIX)):
        try:
            fd = os.open(directory / name, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # delivered in the meantime
        size = os.fstat(fd).st_size
        buffer = FileBuffer(fd, size, tail=size)
        try:
            segments += 1
            held_bytes += size
            segment = Segment.open(buffer)
            first = next(segment.intact_frames(segment.cursor.acknowledged), None)
            if segment.header_damage is None:
                origin = origin or segment.origin
            if first is not None:
                pending += segment.count_pending()
                oldest.extend(_timestamp(buffer.read(*first)))
        except BadSegment as exc:
            unreadable.append(f"{name}: {exc}")
        finally:
            buffer.close()
    return StoreReport(
        store_id=store_id,
        service=None if origin is None else origin.service,
        alive=not StoreLock.is_free(directory, store_id),
        pid=None if origin is None else origin.pid,
        since=_made_at(store_id),
        segments=segments,
        pending=pending,
        held_bytes=held_bytes,
        oldest_pending=min(oldest, default=None),
        unreadable=tuple(unreadable),
    )


def _timestamp(payload: bytes) -> list[datetime]:
    """Return the timestamp of an event; empty if the event is damaged."""
    try:
        return [datetime.fromisoformat(orjson.loads(payload)["event_timestamp"])]
    except (ValueError, KeyError, TypeError):
        return []


def _made_at(store_id: str) -> datetime:
    """Return the time in a UUIDv7 (RFC 9562, 5.7)."""
    return datetime.fromtimestamp((UUID(store_id).int >> 80) / 1000, UTC)

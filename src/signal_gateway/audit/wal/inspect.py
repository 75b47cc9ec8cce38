"""Inspection: what is in a spool directory, told without changing or holding anything there."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import orjson

from signal_gateway.audit.wal.buffer import FileBuffer
from signal_gateway.audit.wal.directory import SEGMENT_SUFFIX
from signal_gateway.audit.wal.ownership import StoreLock
from signal_gateway.audit.wal.recovery import CORRUPT_DIRECTORY, owners_in
from signal_gateway.audit.wal.rejected_file import rejected_entries
from signal_gateway.audit.wal.segment import BadSegment, Origin, Segment
from signal_gateway.errors import AuditError

__all__ = ["SpoolReport", "StoreReport", "inspect_spool"]


@dataclass(frozen=True, slots=True)
class StoreReport:
    """What one store has in a spool directory.

    Attributes:
        store_id: Which store; its files' names begin with it.
        service: Whose events; None if no segment can be read.
        alive: Whether a process has it open.
        pid: That process, or the one that died; None if no segment can be read.
        since: When the store was opened.
        segments: How many files.
        pending: Events that wait.
        held_bytes: What the files take; they are made larger than what is in them.
        oldest_pending: When the oldest pending event happened, by its own timestamp; None if there is none.
        unreadable: Segment files that can't be read, each with the reason.
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
    """What a spool directory holds. Live stores go on meanwhile: of theirs it is what was seen in passing.

    Attributes:
        directory: Which one.
        stores: Those with segments there, oldest first.
        damaged: Files in `corrupt/`, whose events nobody delivers.
        rejected: Events that DataStorage refused for good.
    """

    directory: Path
    stores: tuple[StoreReport, ...]
    damaged: tuple[Path, ...]
    rejected: int

    @property
    def is_empty(self) -> bool:
        """Whether nothing is there that anybody might miss: no event, no damaged file, no live store."""
        return not self.stores and not self.damaged and not self.rejected

    @property
    def held_bytes(self) -> int:
        """What the segments of all stores take."""
        return sum(store.held_bytes for store in self.stores)

    def pending(self, *, alive: bool) -> int:
        """Count the events that wait, of live stores or of dead ones."""
        return sum(store.pending for store in self.stores if store.alive is alive)


def inspect_spool(directory: Path) -> SpoolReport:
    """Look into a spool directory, also while stores use it.

    Raises:
        AuditError: It is no directory, or it can't be read.
    """
    try:
        names = os.listdir(directory)
        reports = [_inspect_store(directory, store_id, names) for store_id in sorted(owners_in(names))]
        corrupt = directory / CORRUPT_DIRECTORY
        damaged = sorted(corrupt.iterdir()) if corrupt.is_dir() else []
    except FileNotFoundError as exc:
        raise AuditError(f"there is no spool directory {str(directory)!r}: name the store's spool_directory") from exc
    except OSError as exc:
        raise AuditError(f"can't look into the spool directory {str(directory)!r}: {exc.strerror}") from exc
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
            continue  # delivered meanwhile
        size = os.fstat(fd).st_size
        medium = FileBuffer(fd, size, tail=size)
        try:
            segments += 1
            held_bytes += size
            segment = Segment.open(medium)
            places = list(segment.frames(segment.acknowledged))
            origin = origin or segment.origin
            pending += len(places)
            if places:
                oldest.extend(_timestamp(medium.read(*places[0])))
        except BadSegment as exc:
            unreadable.append(f"{name}: {exc}")
        finally:
            medium.close()
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
    """Return when an event happened; empty if it is damaged."""
    try:
        return [datetime.fromisoformat(orjson.loads(payload)["event_timestamp"])]
    except (ValueError, KeyError, TypeError):
        return []


def _made_at(store_id: str) -> datetime:
    """Read the time out of a UUIDv7 (RFC 9562, 5.7)."""
    return datetime.fromtimestamp((UUID(store_id).int >> 80) / 1000, UTC)

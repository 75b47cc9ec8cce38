"""Rejections: events that DataStorage rejected, with the reason; kept in memory or in `rejected.jsonl`."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Protocol

import orjson

from signal_gateway._machine import machine
from signal_gateway.audit.wal.ownership import sync_directory
from signal_gateway.errors import AuditError

if sys.platform != "win32":
    import fcntl

__all__ = ["FileRejections", "MemoryRejections", "RejectedEvent", "Rejections", "read_rejected"]

FILE_NAME = "rejected.jsonl"


@dataclass(frozen=True, slots=True)
class RejectedEvent:
    """An event that DataStorage rejected.

    Attributes:
        event_id: Id of the event.
        payload: The event as sent, one JSON object.
        reason: Reason that DataStorage gave.
    """

    event_id: str
    payload: bytes
    reason: str


class Rejections(Protocol):
    """Storage of rejected events.

    Attributes:
        held_bytes: Size of the rejected events; counts towards the limit of the spool.
    """

    held_bytes: int

    def keep(self, events: Sequence[RejectedEvent]) -> None:
        """Store rejected events as durably as the spool.

        Raises:
            AuditError: The events cannot be stored. All of them must stay pending.
        """
        ...

    def events(self) -> tuple[RejectedEvent, ...]:
        """Return the rejected events of this store, oldest first."""
        ...


class MemoryRejections:
    """Rejected events in memory, for the lifetime of the store."""

    def __init__(self) -> None:
        self.held_bytes = 0
        self._events: list[RejectedEvent] = []

    def keep(self, events: Sequence[RejectedEvent]) -> None:
        """Store rejected events; see `Rejections.keep`."""
        self._events.extend(events)
        self.held_bytes += sum(len(event.payload) for event in events)

    def events(self) -> tuple[RejectedEvent, ...]:
        """Return the rejected events, oldest first."""
        return tuple(self._events)


class FileRejections:
    """Rejected events in a file that the stores of a spool directory share, one JSON object per line.

    A line has `event_id`, `reason`, `rejected_at`, `store_id` and the `event`. A crash between line and cursor can
    repeat an event; `read_rejected` drops the repetition. Only the flusher's thread writes.

    Args:
        directory: The spool directory.
        store_id: Id of the store.
    """

    def __init__(self, directory: Path, store_id: str) -> None:
        self._path = directory / FILE_NAME
        self._store_id = store_id
        self._kept = 0
        try:
            self.held_bytes = self._path.stat().st_size
        except OSError:  # no file yet, or an unusable directory, which `open` of the segment directory reports
            self.held_bytes = 0

    def keep(self, events: Sequence[RejectedEvent]) -> None:
        """Append lines and sync the file; see `Rejections.keep`."""
        rejected_at = machine.datetime.now(UTC).isoformat()
        lines = b"".join(self._line(event, rejected_at) for event in events)
        try:
            self.held_bytes = _append(self._path, lines)
        except OSError as exc:
            raise AuditError(
                f"{len(events)} rejected audit events stay pending, cannot write them to {self._path}: {exc.strerror}"
            ) from exc
        self._kept += len(events)

    def events(self) -> tuple[RejectedEvent, ...]:
        """Read the lines of this store."""
        if not self._kept:
            return ()
        return tuple(_distinct(event for store_id, event in _lines(self._path) if store_id == self._store_id))

    def _line(self, event: RejectedEvent, rejected_at: str) -> bytes:
        about = {
            "event_id": event.event_id,
            "reason": event.reason,
            "rejected_at": rejected_at,
            "store_id": self._store_id,
        }
        return orjson.dumps(about)[:-1] + b',"event":' + event.payload + b"}\n"


def read_rejected(path: Path) -> tuple[RejectedEvent, ...]:
    """Read a `rejected.jsonl`, each event once; return an empty tuple if the file does not exist.

    Raises:
        AuditError: The file cannot be read.
    """
    try:
        return tuple(_distinct(event for _, event in _lines(path)))
    except OSError as exc:
        raise AuditError(f"cannot read {path}: {exc.strerror}") from exc


def _append(path: Path, lines: bytes) -> int:
    """Append complete lines, or nothing, and return the size of the file."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        before = os.fstat(fd).st_size
        if before and os.pread(fd, 1, before - 1) != b"\n":  # a process died while it wrote a line
            lines = b"\n" + lines
        try:
            _write_all(fd, lines)
            os.fsync(fd)
            if not before:
                sync_directory(path.parent)
        except OSError:
            os.ftruncate(fd, before)
            raise
        return before + len(lines)
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)  # a forked child may still hold the descriptor
        os.close(fd)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _lines(path: Path) -> Iterator[tuple[str, RejectedEvent]]:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        for line in file:
            try:
                about = orjson.loads(line)
                payload = line.rstrip(b"\n").partition(b',"event":')[2][:-1]
                yield about["store_id"], RejectedEvent(about["event_id"], payload, about["reason"])
            except (orjson.JSONDecodeError, KeyError, TypeError):
                continue  # an incomplete line of a process that died; its event is still pending


def _distinct(events: Iterable[RejectedEvent]) -> Iterator[RejectedEvent]:
    seen: set[str] = set()
    for event in events:
        if event.event_id not in seen:
            seen.add(event.event_id)
            yield event

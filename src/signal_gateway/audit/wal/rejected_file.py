"""Rejected file: the events in `rejected.jsonl`, read for people, and put aside to be tried again."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from uuid_utils import uuid7

from signal_gateway.audit.wal.rejected import FILE_NAME
from signal_gateway.errors import AuditError

__all__ = ["RejectedEntry", "put_rejected_aside", "read_entries", "rejected_entries"]

_ASIDE = "rejected-*.retry"
_COPY = "rejected-*.copy"


@dataclass(frozen=True, slots=True)
class RejectedEntry:
    """One line about an event that DataStorage refused for good.

    Attributes:
        event_id: Which event.
        reason: What the server said.
        rejected_at: When, in ISO 8601.
        event: The event as it was sent, decoded.
    """

    event_id: str
    reason: str
    rejected_at: str
    event: dict[str, Any]


def rejected_entries(directory: Path) -> Iterator[RejectedEntry]:
    """Yield the rejected events of a spool directory, each once, those first whose retry was interrupted.

    Raises:
        AuditError: A file can't be read.
    """
    seen: set[str] = set()
    for path in [*_aside(directory), directory / FILE_NAME]:
        for entry in read_entries(path):
            if entry is not None and entry.event_id not in seen:
                seen.add(entry.event_id)
                yield entry


def read_entries(path: Path) -> Iterator[RejectedEntry | None]:
    """Yield what the lines of a file say, None for a line that can't be read; nothing if there is no such file.

    Raises:
        AuditError: The file can't be read.
    """
    try:
        with path.open("rb") as file:
            for line in file:
                if line != b"\n":
                    yield _entry(line)
    except FileNotFoundError:
        return
    except OSError as exc:
        raise AuditError(f"can't read {path}: {exc.strerror}") from exc


def put_rejected_aside(directory: Path) -> list[Path]:
    """Empty `rejected.jsonl` into a file that nobody appends to.

    Whoever appends opens the file by its name and locks it, so that it has to stay the same file: it is copied under
    that lock, and cut off once the copy is on the disk. What dies in between leaves events in both, and none in
    neither.

    Args:
        directory: The spool directory.

    Returns:
        The file, and those that an interrupted retry left, oldest first.

    Raises:
        AuditError: The disk is full, or a file can't be read or written.
    """
    try:
        with (directory / FILE_NAME).open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            for copy in directory.glob(_COPY):
                copy.unlink()  # its maker died: it would hold the lock
            if os.fstat(file.fileno()).st_size:
                copy = directory / _COPY.replace("*", str(uuid7()))
                with open(copy, "xb", opener=_private) as target:
                    shutil.copyfileobj(file, target)
                    target.flush()
                    os.fsync(target.fileno())
                copy.rename(copy.with_suffix(Path(_ASIDE).suffix))
                _sync_names(directory)
                file.truncate(0)
    except FileNotFoundError:
        pass
    except OSError as exc:
        raise AuditError(f"can't put the rejected events in {directory} aside: {exc.strerror}") from exc
    return _aside(directory)


def _entry(line: bytes) -> RejectedEntry | None:
    try:
        about = orjson.loads(line)
        entry = RejectedEntry(about["event_id"], about["reason"], about["rejected_at"], about["event"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return entry if isinstance(entry.event, dict) else None


def _aside(directory: Path) -> list[Path]:
    return sorted(directory.glob(_ASIDE))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync_names(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

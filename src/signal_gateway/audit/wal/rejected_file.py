"""RejectedEntry: one event in `rejected.jsonl`, to list it or to deliver it again."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from uuid_utils import uuid7

from signal_gateway.audit.wal.ownership import sync_directory
from signal_gateway.audit.wal.rejected import FILE_NAME
from signal_gateway.errors import AuditError

__all__ = ["RejectedEntry", "read_entries", "rejected_entries", "set_rejected_aside"]

_ASIDE = "rejected-*.retry"
_COPY = "rejected-*.copy"


@dataclass(frozen=True, slots=True)
class RejectedEntry:
    """One line of `rejected.jsonl`.

    Attributes:
        event_id: Id of the event.
        reason: Reason that DataStorage gave.
        rejected_at: Time of the rejection, in ISO 8601.
        event: The event as sent, decoded.
    """

    event_id: str
    reason: str
    rejected_at: str
    event: dict[str, Any]


def rejected_entries(directory: Path) -> Iterator[RejectedEntry]:
    """Yield the rejected events of a spool directory, each once; first those of an interrupted retry.

    Raises:
        AuditError: A file cannot be read.
    """
    seen: set[str] = set()
    for path in [*_aside(directory), directory / FILE_NAME]:
        for entry in read_entries(path):
            if entry is not None and entry.event_id not in seen:
                seen.add(entry.event_id)
                yield entry


def read_entries(path: Path) -> Iterator[RejectedEntry | None]:
    """Yield an entry for each line of a file, None for an unreadable line; nothing if the file does not exist.

    Raises:
        AuditError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            for line in file:
                if line != b"\n":
                    yield _entry(line)
    except FileNotFoundError:
        return
    except OSError as exc:
        raise AuditError(f"cannot read {path}: {exc.strerror}") from exc


def set_rejected_aside(directory: Path) -> list[Path]:
    """Move the content of `rejected.jsonl` to a file that no store appends to.

    Stores open `rejected.jsonl` by name and lock it, so the file itself cannot be renamed. The function copies the
    content under the same lock, and truncates the file after the copy is on the disk. A crash in between leaves events
    in both files, never in none.

    Args:
        directory: The spool directory.

    Returns:
        The new file and the files of interrupted retries, oldest first.

    Raises:
        AuditError: The disk is full, or a file cannot be read or written.
    """
    try:
        with (directory / FILE_NAME).open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            for copy in directory.glob(_COPY):
                copy.unlink()  # of a process that died: a live one would hold the lock
            if os.fstat(file.fileno()).st_size:
                copy = directory / _COPY.replace("*", str(uuid7()))
                with open(copy, "xb", opener=_private) as target:
                    shutil.copyfileobj(file, target)
                    target.flush()
                    os.fsync(target.fileno())
                copy.rename(copy.with_suffix(Path(_ASIDE).suffix))
                sync_directory(directory)
                file.truncate(0)
    except FileNotFoundError:
        pass
    except OSError as exc:
        raise AuditError(f"cannot set the rejected events in {directory} aside: {exc.strerror}") from exc
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

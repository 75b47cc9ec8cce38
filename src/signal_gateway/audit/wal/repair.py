"""repair_spool: moves the intact events of damaged files, which an earlier recovery set aside, back into the spool."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from signal_gateway.audit.wal.buffer import HEADER_BYTES
from signal_gateway.audit.wal.directory import SEGMENT_SUFFIX, SegmentDirectory, open_buffer
from signal_gateway.audit.wal.ownership import sync_directory
from signal_gateway.audit.wal.recovery import CORRUPT_DIRECTORY
from signal_gateway.audit.wal.segment import FRAME_BYTES, Segment
from signal_gateway.errors import AuditError

__all__ = ["SpoolRepair", "repair_spool"]

_REST_SUFFIX = ".rest"
_SERVICE = "repair"


@dataclass(frozen=True, slots=True)
class SpoolRepair:
    """Result of the repair of a spool directory.

    Attributes:
        events: Events that are pending again; the next store on the directory delivers them.
        files: Damaged files that had intact events.
        left: Damaged files that remain, with the bytes that are no intact event.
    """

    events: int = 0
    files: int = 0
    left: int = 0


def repair_spool(directory: Path) -> SpoolRepair:
    """Move the intact events in `corrupt/` to segments of their own, which the next store on the directory delivers.

    Releases before this one set aside everything behind the first damaged byte of a segment. The events get into a
    segment before they leave the damaged file: after a crash in between they are delivered twice, and stored once.
    A file whose header is damaged may have events that were delivered before; they are stored once, too.

    Args:
        directory: The spool directory. Stores may use it at the same time.

    Raises:
        AuditError: The directory cannot be read or written, or the disk is full. No event is lost.
    """
    corrupt = directory / CORRUPT_DIRECTORY
    events = files = 0
    try:
        paths = [path for path in sorted(corrupt.iterdir()) if _may_have_frames(path)] if corrupt.is_dir() else []
        for path in paths:
            moved = _repair_file(path, directory)
            events += moved
            files += moved > 0
        left = sum(1 for _ in corrupt.iterdir()) if corrupt.is_dir() else 0
    except OSError as exc:
        raise AuditError(f"cannot repair the spool directory {str(directory)!r}: {exc.strerror}") from exc
    return SpoolRepair(events, files, left)


def _may_have_frames(path: Path) -> bool:
    return SEGMENT_SUFFIX in path.name and not path.name.endswith(_REST_SUFFIX) and path.is_file()


def _repair_file(path: Path, directory: Path) -> int:
    """Move the intact frames of one file; return their number."""
    buffer = open_buffer(path, read_only=True)
    try:
        file = Segment(buffer, SegmentDirectory(directory, service=_SERVICE).new_origin())
        payloads = list(file.intact_frames(0))
        if not payloads:
            return 0
        frames = [buffer.read(begin - FRAME_BYTES, end) for begin, end in payloads]
        rest = _bytes_between(file, payloads)
    finally:
        buffer.close()
    _write_segment(frames, directory)
    _keep_only(rest, path)
    return len(frames)


def _bytes_between(file: Segment, payloads: Sequence[tuple[int, int]]) -> bytes:
    """Return the bytes of a file outside its intact frames, without zeros at the end."""
    parts = []
    offset = 0
    for begin, end in payloads:
        parts.append(file.buffer.read(offset, begin - FRAME_BYTES))
        offset = end
    parts.append(file.buffer.read(offset, file.size))
    return b"".join(parts).rstrip(b"\0")


def _write_segment(frames: Sequence[bytes], directory: Path) -> None:
    """Write frames to a segment of a store that ends with this call: an orphaned segment."""
    store = SegmentDirectory(directory, service=_SERVICE)
    store.open()
    is_empty = True
    try:
        segment = store.make_segment(HEADER_BYTES + sum(map(len, frames)))
        try:
            for frame in frames:
                segment.write(frame)
            segment.sync(0, segment.end())
            store.sync_names()
            is_empty = False
        finally:
            if is_empty:
                store.remove(segment)
            else:
                segment.buffer.close()
    finally:
        store.close(is_empty=is_empty)


def _keep_only(rest: bytes, path: Path) -> None:
    if not rest:
        path.unlink()
    else:
        temporary = path.with_name(path.name + _REST_SUFFIX)
        with temporary.open("wb") as file:
            file.write(rest)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    sync_directory(path.parent)

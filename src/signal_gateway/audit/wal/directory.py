"""Segments: where a spool's segments live, in the process's memory or in a directory that outlives it."""

import errno
import itertools
import math
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Literal, Protocol
from uuid import UUID

from uuid_utils import uuid7

from signal_gateway.audit.wal.buffer import (
    HEADER_BYTES,
    FileBuffer,
    MappedBuffer,
    SegmentBuffer,
    allocate,
    is_unsupported,
)
from signal_gateway.audit.wal.ownership import StoreLock, sync_directory
from signal_gateway.audit.wal.rejected import FileRejections, MemoryRejections, Rejections
from signal_gateway.audit.wal.segment import Origin, Segment
from signal_gateway.errors import ConfigurationError

__all__ = [
    "SEGMENT_SUFFIX",
    "TEMPORARY_SUFFIX",
    "InMemorySegments",
    "SegmentDirectory",
    "Segments",
    "Storage",
    "boot_id",
    "is_running",
    "open_buffer",
    "remedy_for",
    "unusable",
]

SEGMENT_SUFFIX = ".segment"
TEMPORARY_SUFFIX = ".tmp"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NO_BOOT_ID = UUID(int=0)

Storage = Literal["memory", "mapped", "written"]
"""How events are kept: in anonymous memory, in mapped files, or in files that can only be written."""


class Segments(Protocol):
    """Makes the segments of one store, and removes them.

    Attributes:
        storage: How its segments are kept.
        rejections: Where its rejected events go.
    """

    storage: Storage
    rejections: Rejections

    def open(self) -> None:
        """Get ready to make segments; called once, before the first.

        Raises:
            ConfigurationError: The place can't be used; the message says why and what to do.
        """
        ...

    def make_segment(self, size: int) -> Segment:
        """Make an empty segment whose pages are all there.

        Raises:
            OSError: There is no room for it.
        """
        ...

    def free_bytes(self) -> float:
        """Return how much more there is for segments, as far as can be told; infinity if nothing tells.

        Raises:
            OSError: The directory is gone.
        """
        ...

    def remove(self, segment: Segment) -> None:
        """Let go of a segment whose events are all settled."""
        ...

    def close(self, *, is_empty: bool) -> None:
        """Leave the place to the next owner.

        Args:
            is_empty: Whether every segment was removed.
        """
        ...

    def forget(self) -> None:
        """Let go in a forked child, where everything is the parent's."""
        ...


class InMemorySegments:
    """Anonymous memory: the same segments, which die with the process."""

    storage: Storage = "memory"

    def __init__(self, *, service: str) -> None:
        self.rejections: Rejections = MemoryRejections()
        self._origins = _Origins(service)

    def open(self) -> None:
        """Do nothing; see `Segments.open`."""

    def make_segment(self, size: int) -> Segment:
        """Map anonymous memory; see `Segments.make_segment`."""
        return Segment.create(MappedBuffer.anonymous(size), self._origins.next())

    def free_bytes(self) -> float:
        """Return infinity; see `Segments.free_bytes`."""
        return math.inf

    def remove(self, segment: Segment) -> None:
        """Unmap; see `Segments.remove`."""
        segment.buffer.close()

    def close(self, *, is_empty: bool) -> None:
        """Do nothing; see `Segments.close`."""

    def forget(self) -> None:
        """Do nothing; see `Segments.forget`."""


class SegmentDirectory:
    """A directory that stores share, each with a lock file and segment files of its own.

    Args:
        directory: It is made, with its parents, for its owner alone.
        service: Whose events these are.
    """

    def __init__(self, directory: Path, *, service: str) -> None:
        if sys.platform == "win32":
            raise ConfigurationError('a spool directory needs flock, which Windows has not: use durability="memory"')
        self.directory = directory.absolute()
        self.storage: Storage = "mapped"
        self._origins = _Origins(service)
        self._lock: StoreLock | None = None
        self._unsynced_names = False
        self.rejections: Rejections = FileRejections(self.directory, self.store_id)

    @property
    def store_id(self) -> str:
        """The store that the files are named after; a UUIDv7, so that older stores sort before younger ones."""
        return str(self._origins.store_id)

    def open(self) -> None:
        """Make the directory and the lock; see `Segments.open`."""
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = StoreLock.create(self.directory, self.store_id)
        except OSError as exc:
            raise unusable(self.directory, exc) from exc

    def make_segment(self, size: int) -> Segment:
        """Make a file that has its name only once it is whole; see `Segments.make_segment`."""
        origin = self._origins.next()
        path = self._path(origin)
        temporary = path.with_suffix(TEMPORARY_SUFFIX)
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            medium = self._medium(fd, size)
            segment = Segment.create(medium, origin)
            temporary.rename(path)
        except BaseException:
            with suppress(OSError):
                os.close(fd)
            temporary.unlink(missing_ok=True)
            raise
        self._unsynced_names = True
        return segment

    def free_bytes(self) -> float:
        """Ask the file system; see `Segments.free_bytes`."""
        found = os.statvfs(self.directory)
        return float(found.f_bavail * found.f_frsize)

    def remove(self, segment: Segment) -> None:
        """Unmap and unlink; see `Segments.remove`."""
        segment.buffer.close()
        self._path(segment.origin).unlink(missing_ok=True)

    def sync_names(self) -> None:
        """Write the directory itself to the disk if it has new files."""
        if self._unsynced_names:
            self._unsynced_names = False
            sync_directory(self.directory)

    def close(self, *, is_empty: bool) -> None:
        """Free the lock; see `Segments.close`."""
        if self._lock is not None:
            self._lock.release(remove=is_empty)

    def forget(self) -> None:
        """Close the lock file; see `Segments.forget`."""
        if self._lock is not None:
            self._lock.forget()

    def _medium(self, fd: int, size: int) -> SegmentBuffer:
        if self.storage == "mapped":
            try:
                allocate(fd, size)
                return MappedBuffer(fd, size, fresh=True)
            except OSError as exc:
                if not is_unsupported(exc):
                    raise
                os.ftruncate(fd, 0)
                self.storage = "written"
        os.ftruncate(fd, HEADER_BYTES)
        return FileBuffer(fd, size)

    def _path(self, origin: Origin) -> Path:
        return self.directory / f"{origin.store_id}-{origin.sequence:06}{SEGMENT_SUFFIX}"


class _Origins:
    """Numbers the segments of one store."""

    def __init__(self, service: str) -> None:
        self.store_id = UUID(str(uuid7()))
        self._service = service
        self._sequence = itertools.count(1)  # both the flusher and who appends make segments
        self._boot_id: UUID | None = None  # read once: a busy thread may keep the GIL for 5 ms after each system call

    def next(self) -> Origin:
        self._boot_id = self._boot_id or boot_id()
        return Origin.of(
            store_id=self.store_id,
            sequence=next(self._sequence),
            service=self._service,
            pid=os.getpid(),
            boot_id=self._boot_id,
        )


def open_buffer(path: Path) -> SegmentBuffer:
    """Open the segment file of another store.

    Raises:
        OSError: It can't be opened.
    """
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    size = os.fstat(fd).st_size
    try:
        if not size:
            return FileBuffer(fd, 0, tail=0)
        try:
            medium: SegmentBuffer = MappedBuffer(fd, size, fresh=False)
        except OSError as exc:
            if not is_unsupported(exc):
                raise
            medium = FileBuffer(fd, size, tail=size)
    except BaseException:
        os.close(fd)
        raise
    medium.seal()
    return medium


def remedy_for(exc: OSError) -> str:
    """Say what to do when a spool can't take more."""
    match exc.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "free some space"
        case errno.ENOENT:
            return "somebody removed the directory: make it again, or restart"
        case _:
            return "make sure that this user may write there"


def unusable(directory: Path, exc: OSError) -> ConfigurationError:
    """Say why a spool directory can't be used, and what to do."""
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        remedy = "free some space, or name another directory"
    elif exc.errno == errno.ENOLCK:
        remedy = "it has no file locks, as on some network file systems: name a local directory"
    else:
        remedy = "name a local directory that this user may write"
    return ConfigurationError(f"spool_directory {str(directory)!r} can't be used: {exc.strerror}; {remedy}")


def is_running(pid: int) -> bool:
    """Tell whether there is a process with this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def boot_id() -> UUID:
    """Return which run of the machine this is; zero where the system does not tell."""
    try:
        return UUID(_BOOT_ID.read_text().strip())
    except (OSError, ValueError):
        return _NO_BOOT_ID

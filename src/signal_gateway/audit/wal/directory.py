"""Segments: the interface to the segments of one store; SegmentDirectory in files, InMemorySegments in memory."""

import errno
import itertools
import math
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from uuid import UUID

from uuid_utils import uuid7

from signal_gateway.audit.stats import Storage
from signal_gateway.audit.wal.buffer import (
    HEADER_BYTES,
    FileBuffer,
    MappedBuffer,
    SegmentBuffer,
    allocate,
    is_unsupported,
)
from signal_gateway.audit.wal.origin import Origin
from signal_gateway.audit.wal.ownership import StoreLock, sync_directory
from signal_gateway.audit.wal.rejected import FileRejections, MemoryRejections, Rejections
from signal_gateway.audit.wal.segment import Segment
from signal_gateway.errors import ConfigurationError

__all__ = [
    "SEGMENT_SUFFIX",
    "TEMPORARY_SUFFIX",
    "InMemorySegments",
    "SegmentDirectory",
    "Segments",
    "boot_id",
    "check_spool_directory",
    "is_refusal_of_disk",
    "is_running",
    "open_buffer",
    "remedy_for",
]

SEGMENT_SUFFIX = ".segment"
TEMPORARY_SUFFIX = ".tmp"
_SYNC_SECONDS = 0.2
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NO_BOOT_ID = UUID(int=0)


class Segments(Protocol):
    """Creates and removes the segments of one store.

    Attributes:
        storage: How the segments are kept.
        location: Place of the segments for messages, such as `in memory`.
        sync_interval: Seconds after which a pending event must be synced to the disk; infinity in memory.
        rejections: Storage of the rejected events.
    """

    storage: Storage
    location: str
    sync_interval: float
    rejections: Rejections

    def open(self) -> None:
        """Prepare the creation of segments. Called once, before the first `make_segment`.

        Raises:
            ConfigurationError: The place is unusable. The message has the reason and the remedy.
        """
        ...

    def make_segment(self, size: int) -> Segment:
        """Return an empty segment, all pages of which are allocated.

        Raises:
            OSError: There is no space for the segment.
        """
        ...

    def free_bytes(self) -> float:
        """Return the free space for segments, as far as known; infinity if unknown.

        Raises:
            OSError: The directory does not exist any more.
        """
        ...

    def remove(self, segment: Segment) -> None:
        """Remove a segment, all events of which are settled."""
        ...

    def outlives(self, segment: Segment) -> bool:
        """Return whether a later store will find the segment."""
        ...

    def sync_names(self) -> None:
        """Sync the names of new segments to the disk."""
        ...

    def close(self, *, is_empty: bool) -> None:
        """Release the place for the next owner.

        Args:
            is_empty: Whether all segments are removed.
        """
        ...

    def forget(self) -> None:
        """Release the resources in a forked child, where all segments belong to the parent."""
        ...


class InMemorySegments:
    """Segments in anonymous memory, which end with the process.

    Args:
        service: Name of the service.
    """

    storage: Storage = "memory"
    location = "in memory"
    sync_interval = math.inf

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
        """Unmap the segment; see `Segments.remove`."""
        segment.buffer.close()

    def outlives(self, segment: Segment) -> bool:  # noqa: ARG002
        """Return False; see `Segments.outlives`."""
        return False

    def sync_names(self) -> None:
        """Do nothing; see `Segments.sync_names`."""

    def close(self, *, is_empty: bool) -> None:
        """Do nothing; see `Segments.close`."""

    def forget(self) -> None:
        """Do nothing; see `Segments.forget`."""


class SegmentDirectory:
    """Segments in a directory that stores share. Each store has a lock file and segment files of its own.

    Args:
        directory: The spool directory. Created with its parents if missing, for the owner alone.
        service: Name of the service.
    """

    def __init__(self, directory: Path, *, service: str) -> None:
        if sys.platform == "win32":
            raise ConfigurationError(
                'a spool directory needs flock, which Windows does not have: set durability="memory"'
            )
        self.directory = directory.absolute()
        self.storage: Storage = "mapped"
        self.location = f"in {self.directory}"
        self.sync_interval = _SYNC_SECONDS
        self._origins = _Origins(service)
        self._lock: StoreLock | None = None
        self._unsynced_names = False
        self.rejections: Rejections = FileRejections(self.directory, self.store_id)

    @property
    def store_id(self) -> str:
        """Id of the store, with which the names of its files begin. A UUIDv7: older stores sort first."""
        return str(self._origins.store_id)

    def new_origin(self) -> Origin:
        """Return the origin of a segment that this process reads or makes for the store."""
        return self._origins.next()

    def open(self) -> None:
        """Create the directory and the lock file; see `Segments.open`."""
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = StoreLock.create(self.directory, self.store_id)
        except OSError as exc:
            raise _unusable(self.directory, exc) from exc

    def make_segment(self, size: int) -> Segment:
        """Create a file, which gets its name after it is complete; see `Segments.make_segment`."""
        origin = self.new_origin()
        path = self._path(origin)
        temporary = path.with_suffix(TEMPORARY_SUFFIX)
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            buffer = self._buffer(fd, size)
            segment = Segment.create(buffer, origin)
            temporary.rename(path)
        except BaseException:
            with suppress(OSError):
                os.close(fd)
            temporary.unlink(missing_ok=True)
            raise
        self._unsynced_names = True
        return segment

    def free_bytes(self) -> float:
        """Return the free space of the file system; see `Segments.free_bytes`."""
        found = os.statvfs(self.directory)
        return float(found.f_bavail * found.f_frsize)

    def remove(self, segment: Segment) -> None:
        """Unmap and unlink the segment; see `Segments.remove`."""
        segment.buffer.close()
        self._path(segment.origin).unlink(missing_ok=True)

    def outlives(self, segment: Segment) -> bool:
        """Return whether the segment still has its name; see `Segments.outlives`."""
        return self._path(segment.origin).exists()

    def sync_names(self) -> None:
        """Sync the directory if it has new files; see `Segments.sync_names`."""
        if self._unsynced_names:
            self._unsynced_names = False
            sync_directory(self.directory)

    def close(self, *, is_empty: bool) -> None:
        """Release the lock; see `Segments.close`."""
        if self._lock is not None:
            self._lock.release(remove=is_empty)

    def forget(self) -> None:
        """Close the lock file; see `Segments.forget`."""
        if self._lock is not None:
            self._lock.forget()

    def _buffer(self, fd: int, size: int) -> SegmentBuffer:
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
        self._sequence = itertools.count(1)  # the flusher and appending threads make segments
        self._boot_id: UUID | None = None  # read once: after each system call, a busy thread may hold the GIL for 5 ms

    def next(self) -> Origin:
        self._boot_id = self._boot_id or boot_id()
        return Origin.of(
            store_id=self.store_id,
            sequence=next(self._sequence),
            service=self._service,
            pid=os.getpid(),
            boot_id=self._boot_id,
        )


def open_buffer(path: Path, *, read_only: bool = False) -> SegmentBuffer:
    """Open the segment file of another store, sealed.

    Args:
        path: Path of the file.
        read_only: Whether the file cannot be changed. No method that writes may be called then.

    Raises:
        OSError: The file cannot be opened.
    """
    fd = os.open(path, (os.O_RDONLY if read_only else os.O_RDWR) | os.O_CLOEXEC)
    size = os.fstat(fd).st_size
    try:
        if not size or read_only:
            return FileBuffer(fd, size, tail=size)
        try:
            buffer: SegmentBuffer = MappedBuffer(fd, size, fresh=False)
        except OSError as exc:
            if not is_unsupported(exc):
                raise
            buffer = FileBuffer(fd, size, tail=size)
    except BaseException:
        os.close(fd)
        raise
    buffer.seal()
    return buffer


def is_refusal_of_disk(exc: BaseException | None) -> bool:
    """Return whether the disk is full, has no inode left, or is read-only: it may be emptied, but not written to."""
    return isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def remedy_for(exc: OSError) -> str:
    """Return the remedy for a write error of a spool."""
    match exc.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "free some space"
        case errno.EROFS:
            return "make its file system writable"
        case errno.ENOENT:
            return "the directory was removed: create it again, or restart"
        case _:
            return "give this user write permission"


def check_spool_directory(directory: Path) -> None:
    """Check that a store can use a directory: create it if it is missing, create files, and lock them.

    The check creates files in the directory, or in the nearest parent that exists, and removes them.

    Raises:
        ConfigurationError: The directory is unusable. The message has the reason and the remedy.
    """
    try:
        if directory.exists():
            StoreLock.create(directory, str(uuid7())).release(remove=True)
            return
        parent = next(parent for parent in directory.absolute().parents if parent.exists())
        with tempfile.TemporaryDirectory(dir=parent) as probe:
            StoreLock.create(Path(probe), str(uuid7())).release(remove=True)
    except OSError as exc:
        raise _unusable(directory, exc) from exc


def _unusable(directory: Path, exc: OSError) -> ConfigurationError:
    """Return the error for an unusable spool directory, with the remedy."""
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        remedy = "free some space or inodes, or set another directory"
    elif exc.errno == errno.ENOLCK:
        remedy = "its file system has no file locks, as some network file systems: set a local directory"
    else:
        remedy = "set a local directory that this user may write to"
    return ConfigurationError(f"spool_directory {str(directory)!r} can't be used: {exc.strerror}; {remedy}")


def is_running(pid: int) -> bool:
    """Return whether a process with this id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def boot_id() -> UUID:
    """Return the boot id of the machine; zero on systems without one."""
    try:
        return UUID(_BOOT_ID.read_text(encoding="utf-8").strip())
    except (OSError, ValueError):
        return _NO_BOOT_ID

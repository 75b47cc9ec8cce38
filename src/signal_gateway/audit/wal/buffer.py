"""SegmentBuffer: the bytes of a segment; MappedBuffer in mapped memory, FileBuffer in a file without a mapping."""

import errno
import mmap
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, Self

from signal_gateway._machine import primitives

__all__ = ["HEADER_BYTES", "FileBuffer", "MappedBuffer", "SegmentBuffer", "allocate", "is_unsupported"]

HEADER_BYTES = 4096
"""Size of a segment's header, and so the offset of its first frame."""

_PREFAULT_BYTES = 1024 * 1024  # per call, which holds the GIL
_ZEROS_BYTES = 64 * 1024
_MAX_PIECES = 256  # per pwritev; POSIX allows a system to limit them
_MADV_POPULATE_WRITE = 23  # Linux 5.14; not in Python's mmap module
_UNSUPPORTED = {errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENODEV, errno.ENOSYS}


class SegmentBuffer(Protocol):
    """A fixed number of bytes: a header that can be overwritten, then frames that can only be appended.

    Attributes:
        size: Size in bytes, including the header.
        sealed: Whether the buffer accepts no more frames.
    """

    size: int
    sealed: bool

    @property
    def write(self) -> Callable[[bytes], object]:
        """Append a frame, atomically with respect to other threads, signal handlers and `seal`.

        The call raises ValueError if the buffer is sealed or the frame does not fit, OSError if the disk is full.
        """
        ...

    @property
    def limit(self) -> Callable[[], int]:
        """Return an offset behind the last frame. Between the last frame and the offset there are only zeros."""
        ...

    def seal(self) -> None:
        """Make all later calls of `write` fail. Idempotent."""
        ...

    def window(self, begin: int, end: int, /) -> tuple[bytes | mmap.mmap, int]:
        """Return a buffer that contains at least these bytes, and the offset of its first byte."""
        ...

    def read(self, begin: int, end: int) -> bytes:
        """Return a copy of these bytes."""
        ...

    def put(self, offset: int, data: bytes) -> None:
        """Overwrite a part of the header."""
        ...

    def sync(self, begin: int, end: int, /) -> None:
        """Write these bytes, which must be complete frames, through to the disk."""
        ...

    def close(self) -> None:
        """Release the memory and the file."""
        ...

    def forget(self) -> None:
        """Release memory and file in a forked child without any write to the parent's data."""
        ...


class MappedBuffer:
    """Memory that is mapped from a file, or anonymous.

    With a GIL, `write` is `mmap.write` itself: one call without a lock or a system call, which no other thread and no
    signal handler can interrupt. Without a GIL, `write` takes a lock. The kernel keeps written bytes even if the
    process dies. `seal` moves the position of the mapping to its end in one step, after which `write` fails.

    Args:
        fd: File descriptor, or -1 for anonymous memory. The buffer closes the descriptor.
        size: Size of the file in bytes.
        fresh: Whether the buffer is new. The constructor touches every page of a new buffer: no later write can meet
            a full disk.

    Raises:
        OSError: The file cannot be mapped, or its pages cannot be allocated.
    """

    def __init__(self, fd: int, size: int, *, fresh: bool) -> None:
        self.size = size
        self.sealed = False
        self._fd = fd
        self._mapping = mmap.mmap(fd, size)
        has_gil = _has_gil()
        self._guard: AbstractContextManager[object] = nullcontext() if has_gil else primitives().rlock()
        self.write: Callable[[bytes], object] = self._mapping.write if has_gil else self._write_guarded
        self.limit: Callable[[], int] = self._mapping.tell if has_gil else self._limit_guarded
        if fresh:
            _prefault(self._mapping, size)
            self._mapping.seek(HEADER_BYTES)

    @classmethod
    def anonymous(cls, size: int) -> Self:
        """Allocate memory that ends with the process."""
        return cls(-1, size, fresh=True)

    def seal(self) -> None:
        """Make all later calls of `write` fail; see `SegmentBuffer.seal`."""
        with self._guard:
            self._mapping.seek(0, os.SEEK_END)
            self.sealed = True

    def window(self, _begin: int, _end: int, /) -> tuple[bytes | mmap.mmap, int]:
        """Return the mapping; see `SegmentBuffer.window`."""
        return self._mapping, 0

    def read(self, begin: int, end: int) -> bytes:
        """Return a copy of these bytes; see `SegmentBuffer.read`."""
        return self._mapping[begin:end]

    def put(self, offset: int, data: bytes) -> None:
        """Overwrite a part of the header; see `SegmentBuffer.put`."""
        self._mapping[offset : offset + len(data)] = data

    def sync(self, begin: int, end: int, /) -> None:
        """Write the bytes to the file again and through to the disk, without the GIL; see `SegmentBuffer.sync`.

        `mmap.flush` would hold the GIL. `fdatasync` would make the kernel write-protect all pages of the file, even
        the prefaulted ones: the next event on each page would wait for a page fault.
        """
        if self._fd >= 0:
            first = begin // mmap.PAGESIZE * mmap.PAGESIZE
            with memoryview(self._mapping) as view:  # a copy would hold the GIL for milliseconds
                _write_through(self._fd, view, first, end)

    def close(self) -> None:
        """Unmap the memory and close the file; see `SegmentBuffer.close`."""
        self.sealed = True
        self._mapping.close()
        self._close_file()

    def forget(self) -> None:
        """Close the file and leave the mapping to the garbage collector; see `SegmentBuffer.forget`."""
        self._guard = nullcontext()  # its holder does not exist in this process
        if not self.sealed:
            self._mapping.seek(0, os.SEEK_END)
            self.sealed = True
        self._close_file()

    def _close_file(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _write_guarded(self, frame: bytes) -> None:
        with self._guard:
            self._mapping.write(frame)

    def _limit_guarded(self) -> int:
        with self._guard:
            return self._mapping.tell()


class FileBuffer:
    """A file that is written with system calls under a lock, for file systems without support for mapping.

    A signal handler that calls `write` while its thread is inside `write` gets a ValueError, as for a full buffer.

    Args:
        fd: File descriptor. The buffer closes it.
        size: Maximum size of the file in bytes.
        tail: Offset of the next frame.
    """

    def __init__(self, fd: int, size: int, *, tail: int = HEADER_BYTES) -> None:
        self.size = size
        self.sealed = False
        self._fd = fd
        self._tail = tail
        self._lock = primitives().rlock()
        self._is_writing = False
        self._is_to_be_sealed = False

    def seal(self) -> None:
        """Make all later calls of `write` fail; see `SegmentBuffer.seal`. An interrupted `write` completes first."""
        with self._lock:
            if self._is_writing:
                self._is_to_be_sealed = True
            else:
                self.sealed = True

    def limit(self) -> int:
        """Return the offset of the next frame."""
        return self._tail

    def window(self, begin: int, end: int, /) -> tuple[bytes | mmap.mmap, int]:
        """Read the bytes; see `SegmentBuffer.window`."""
        return self.read(begin, end), begin

    def read(self, begin: int, end: int) -> bytes:
        """Return a copy of these bytes, shorter at the end of the file; see `SegmentBuffer.read`."""
        data = os.pread(self._fd, end - begin, begin)
        while begin + len(data) < end and (more := os.pread(self._fd, end - begin - len(data), begin + len(data))):
            data += more
        return data

    def put(self, offset: int, data: bytes) -> None:
        """Overwrite a part of the header; see `SegmentBuffer.put`."""
        _write_all(self._fd, data, offset)

    def sync(self, _begin: int, _end: int, /) -> None:
        """Flush the file; see `SegmentBuffer.sync`."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Close the file; see `SegmentBuffer.close`."""
        self.forget()

    def forget(self) -> None:
        """Close the file; see `SegmentBuffer.forget`."""
        self._lock = primitives().rlock()  # the holder of the old one does not exist in this process
        self.sealed = True
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def write(self, frame: bytes) -> None:
        """Append a frame; see `SegmentBuffer.write`."""
        size = len(frame)
        with self._lock:
            if self._is_writing or self.sealed or self._tail + size > self.size:
                raise ValueError("the segment buffer is full")
            self._is_writing = True  # no call since the check, so no signal handler ran in between
            try:
                _write_all(self._fd, frame, self._tail)
                self._tail += size
            finally:
                self._is_writing = False
                if self._is_to_be_sealed:
                    self.sealed = True


def allocate(fd: int, size: int) -> None:
    """Reserve the disk space of a file and fill the file with zeros; no later write can meet a full disk.

    `pwritev` releases the GIL, also works on copy-on-write file systems, and is three times as fast on ext4 as
    touching each page of a mapping.

    Raises:
        OSError: The disk is full, or the file system does not support allocation (`is_unsupported`).
    """
    if not hasattr(os, "posix_fallocate"):
        raise OSError(errno.EOPNOTSUPP, "this platform has no posix_fallocate")
    os.posix_fallocate(fd, 0, size)
    zeros = memoryview(bytes(_ZEROS_BYTES))
    written = 0
    while written < size:  # in one call if possible: the thread waits for the GIL after each call
        pieces = [zeros[: size - begin] for begin in range(written, size, _ZEROS_BYTES)]
        written += os.pwritev(fd, pieces[:_MAX_PIECES], written)


def is_unsupported(exc: OSError) -> bool:
    """Return whether the error means that the file system supports no mapping or allocation."""
    return exc.errno in _UNSUPPORTED


def _has_gil() -> bool:
    is_enabled: Callable[[], bool] = getattr(sys, "_is_gil_enabled", lambda: True)
    return is_enabled()


def _prefault(mapping: mmap.mmap, size: int) -> None:
    """Touch every page for writing. A full disk is an OSError here, and would be a SIGBUS later."""
    for begin in range(0, size, _PREFAULT_BYTES):
        length = min(_PREFAULT_BYTES, size - begin)
        try:
            mapping.madvise(_MADV_POPULATE_WRITE, begin, length)
        except (OSError, AttributeError) as exc:
            if isinstance(exc, OSError) and exc.errno != errno.EINVAL:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from exc
            for offset in range(begin, begin + length, mmap.PAGESIZE):
                mapping[offset] = 0


def _write_all(fd: int, data: bytes, offset: int) -> None:
    written = 0
    while written < len(data):
        written += os.pwrite(fd, data[written:], offset + written)


def _write_through(fd: int, data: memoryview, begin: int, end: int) -> None:
    if not hasattr(os, "RWF_DSYNC"):
        os.fsync(fd)
        return
    while begin < end:
        with data[begin:end] as rest:
            begin += os.pwritev(fd, [rest], begin, os.RWF_DSYNC)

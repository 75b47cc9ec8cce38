"""SegmentBuffer: the bytes of a segment, mapped into memory or, where that is refused, written to a file."""

import errno
import mmap
import os
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, Self

__all__ = ["HEADER_BYTES", "FileBuffer", "MappedBuffer", "SegmentBuffer", "allocate", "is_unsupported"]

HEADER_BYTES = 4096
"""Where the frames of a segment begin; before them is its header."""

_PREFAULT_BYTES = 1024 * 1024  # at a time: the call keeps the GIL
_ZEROS_BYTES = 64 * 1024
_MAX_PIECES = 256  # of one pwritev, which POSIX lets a system limit
_MADV_POPULATE_WRITE = 23  # Linux 5.14; not in Python's mmap module
_REFUSALS = {errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENODEV, errno.ENOSYS}


class SegmentBuffer(Protocol):
    """A fixed number of bytes: a header that is rewritten, and behind it frames that are only ever appended.

    Attributes:
        size: Bytes, the header included.
        sealed: Whether nothing can be appended any more.
    """

    size: int
    sealed: bool

    @property
    def write(self) -> Callable[[bytes], object]:
        """Append a frame, atomically against other threads, signal handlers and `seal`.

        It raises ValueError when it is sealed or the frame does not fit, OSError when the disk does not take it.
        """
        ...

    def seal(self) -> None:
        """Let every later `write` fail. Idempotent."""
        ...

    def limit(self) -> int:
        """Return an offset that no frame reaches beyond."""
        ...

    def window(self, begin: int, end: int, /) -> tuple[bytes | mmap.mmap, int]:
        """Return a buffer that holds at least these bytes, and the offset that it begins at."""
        ...

    def read(self, begin: int, end: int) -> bytes:
        """Copy bytes out."""
        ...

    def put(self, offset: int, data: bytes) -> None:
        """Overwrite bytes of the header."""
        ...

    def sync(self, begin: int, end: int, /) -> None:
        """Return when these bytes, which nobody writes any more, are on the disk."""
        ...

    def close(self) -> None:
        """Let go of the memory and the file."""
        ...

    def forget(self) -> None:
        """Let go in a forked child, where memory and file are the parent's: nothing may be written any more."""
        ...


class MappedBuffer:
    """Memory shared with a file, or with nothing.

    `write` is the mapping's own: one call that no other thread and no signal handler can interrupt while there is a
    GIL, without a lock or a system call. Without a GIL it takes a lock. Once written, bytes are the kernel's to keep,
    whatever becomes of the process. Sealing moves the mapping's position to its end, so that the same `write` finds no
    room; there is no moment between the two.

    Args:
        fd: The file, or -1 for anonymous memory; closed with the medium.
        size: Its length in bytes.
        fresh: Whether it is to be filled: then every page is touched, so that no write meets a full disk.

    Raises:
        OSError: It can't be mapped, or pages can't be had.
    """

    def __init__(self, fd: int, size: int, *, fresh: bool) -> None:
        self.size = size
        self.sealed = False
        self._fd = fd
        self._mapping = mmap.mmap(fd, size)
        self._guard: AbstractContextManager[object] = nullcontext() if _has_gil() else threading.RLock()
        if fresh:
            _prefault(self._mapping, size)
            self._mapping.seek(HEADER_BYTES)

    @classmethod
    def anonymous(cls, size: int) -> Self:
        """Take memory that dies with the process."""
        return cls(-1, size, fresh=True)

    @property
    def write(self) -> Callable[[bytes], object]:
        """Append a frame; see `SegmentBuffer.write`."""
        return self._mapping.write if isinstance(self._guard, nullcontext) else self._write_guarded

    def seal(self) -> None:
        """Let every later `write` fail; see `SegmentBuffer.seal`."""
        with self._guard:
            self._mapping.seek(0, os.SEEK_END)
            self.sealed = True

    def limit(self) -> int:
        """Return where the next frame goes, or the end once sealed: then zeros follow the last frame."""
        with self._guard:
            return self.size if self.sealed else self._mapping.tell()

    def window(self, _begin: int, _end: int, /) -> tuple[bytes | mmap.mmap, int]:
        """Return the mapping itself; see `SegmentBuffer.window`."""
        return self._mapping, 0

    def read(self, begin: int, end: int) -> bytes:
        """Copy bytes out; see `SegmentBuffer.read`."""
        return self._mapping[begin:end]

    def put(self, offset: int, data: bytes) -> None:
        """Overwrite bytes of the header; see `SegmentBuffer.put`."""
        self._mapping[offset : offset + len(data)] = data

    def sync(self, begin: int, end: int, /) -> None:
        """Write the bytes to the file once more and through to the disk, without the GIL; see `SegmentBuffer.sync`.

        `mmap.flush` would keep the GIL. `fdatasync` would have the kernel write-protect every page of the file, those
        that were touched ahead of the writer, too, and the next event on each would wait for a page fault.
        """
        if self._fd >= 0:
            first = begin // mmap.PAGESIZE * mmap.PAGESIZE
            with memoryview(self._mapping) as view:  # no copy: it would take the GIL for milliseconds
                _write_through(self._fd, view, first, end)

    def close(self) -> None:
        """Unmap and close; see `SegmentBuffer.close`."""
        self.sealed = True
        self._mapping.close()
        self._close_file()

    def forget(self) -> None:
        """Leave the mapping to the garbage collector; a stale `write` finds no room. See `SegmentBuffer.forget`."""
        self._guard = nullcontext()  # whoever held it does not exist here
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


class FileBuffer:
    """A file that is written with system calls, under a lock: for file systems that refuse to be mapped.

    A signal handler that appends while its thread is in the midst of a `write` finds no room, and goes to another
    segment.

    Args:
        fd: The file; closed with the medium.
        size: How long it may become, in bytes.
        tail: Where the next frame goes.
    """

    def __init__(self, fd: int, size: int, *, tail: int = HEADER_BYTES) -> None:
        self.size = size
        self.sealed = False
        self._fd = fd
        self._tail = tail
        self._lock = threading.RLock()
        self._is_writing = False
        self._is_to_be_sealed = False

    @property
    def write(self) -> Callable[[bytes], object]:
        """Append a frame; see `SegmentBuffer.write`."""
        return self._write

    def seal(self) -> None:
        """Let every later `write` fail; see `SegmentBuffer.seal`. One that a signal handler interrupted is done first."""
        with self._lock:
            if self._is_writing:
                self._is_to_be_sealed = True
            else:
                self.sealed = True

    def limit(self) -> int:
        """Return where the next frame goes."""
        return self._tail

    def window(self, begin: int, end: int, /) -> tuple[bytes | mmap.mmap, int]:
        """Read the bytes; see `SegmentBuffer.window`."""
        return self.read(begin, end), begin

    def read(self, begin: int, end: int) -> bytes:
        """Copy bytes out, fewer where the file ends; see `SegmentBuffer.read`."""
        data = os.pread(self._fd, end - begin, begin)
        while begin + len(data) < end and (more := os.pread(self._fd, end - begin - len(data), begin + len(data))):
            data += more
        return data

    def put(self, offset: int, data: bytes) -> None:
        """Overwrite bytes of the header; see `SegmentBuffer.put`."""
        _write_all(self._fd, data, offset)

    def sync(self, _begin: int, _end: int, /) -> None:
        """Flush the file; see `SegmentBuffer.sync`."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Close the file; see `SegmentBuffer.close`."""
        self.forget()

    def forget(self) -> None:
        """Close the file; see `SegmentBuffer.forget`."""
        self._lock = threading.RLock()  # whoever held it does not exist here
        self.sealed = True
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _write(self, frame: bytes) -> None:
        size = len(frame)
        with self._lock:
            if self._is_writing or self.sealed or self._tail + size > self.size:
                raise ValueError("no room")
            self._is_writing = True  # no call since the question, so no signal handler either
            try:
                _write_all(self._fd, frame, self._tail)
                self._tail += size
            finally:
                self._is_writing = False
                if self._is_to_be_sealed:
                    self.sealed = True


def allocate(fd: int, size: int) -> None:
    """Reserve the disk space of a file and fill it with zeros, so that no later write can meet a full disk.

    Writing does it without the GIL, on file systems that copy on write, too, and three times as fast on ext4 as
    touching page after page of a mapping.

    Raises:
        OSError: The disk is full, or the file system can't; `is_unsupported` tells the latter.
    """
    if not hasattr(os, "posix_fallocate"):
        raise OSError(errno.EOPNOTSUPP, "this platform has no posix_fallocate")
    os.posix_fallocate(fd, 0, size)
    zeros = memoryview(bytes(_ZEROS_BYTES))
    written = 0
    while written < size:  # in one call, if possible: a thread waits for the GIL after each
        pieces = [zeros[: size - begin] for begin in range(written, size, _ZEROS_BYTES)]
        written += os.pwritev(fd, pieces[:_MAX_PIECES], written)


def is_unsupported(exc: OSError) -> bool:
    """Tell whether a file system can't map or allocate at all, from a full disk or a missing right."""
    return exc.errno in _REFUSALS


def _has_gil() -> bool:
    is_enabled: Callable[[], bool] = getattr(sys, "_is_gil_enabled", lambda: True)
    return is_enabled()


def _prefault(mapping: mmap.mmap, size: int) -> None:
    """Touch every page for writing; what the kernel would say by SIGBUS later it says as an OSError here."""
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

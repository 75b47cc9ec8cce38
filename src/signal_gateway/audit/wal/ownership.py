"""Ownership: which store a spool file belongs to, and whether that store is alive."""

import os
import sys
from pathlib import Path
from typing import Self

if sys.platform != "win32":
    import fcntl

__all__ = ["INCOMPLETE_SUFFIX", "StoreLock", "sync_directory"]

_SUFFIX = ".lock"
INCOMPLETE_SUFFIX = ".lock.tmp"
"""Of a lock file that is not locked yet."""

_owned: set[Path] = set()  # lock files that stores of this process hold; asked before one is opened


class StoreLock:
    """The right to a store's files: a `flock` on a file of its name, which ends with the process that holds it.

    It is `flock` and not `lockf`: with the latter, a second descriptor in the same process gets the lock of a live
    owner, and closing it frees that lock.
    """

    def __init__(self, path: Path, fd: int) -> None:
        self._path = path
        self._fd = fd
        _owned.add(path)

    @classmethod
    def create(cls, directory: Path, store_id: str) -> Self:
        """Take the lock of a new store; nobody sees the file before it is locked.

        Raises:
            OSError: The directory can't be written, or its file system has no locks.
        """
        path = _lock_path(directory, store_id)
        temporary = path.with_suffix(INCOMPLETE_SUFFIX)
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lock = cls(path, fd)
            temporary.rename(path)
        except BaseException:
            _owned.discard(path)
            os.close(fd)
            temporary.unlink(missing_ok=True)
            raise
        return lock

    @classmethod
    def take_over(cls, directory: Path, store_id: str) -> Self | None:
        """Take the lock of a dead store; None if it is alive, or somebody else was faster.

        Raises:
            OSError: The file can't be opened or locked for another reason.
        """
        path = _lock_path(directory, store_id)
        if path in _owned:
            return None
        # created if it isn't there: whoever removed it did so last of all, and left what we found behind
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(fd, path):
                return cls(path, fd)
        except BlockingIOError:
            pass
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        return None

    @staticmethod
    def is_free(directory: Path, store_id: str) -> bool:
        """Tell whether a store is dead, without taking anything over."""
        path = _lock_path(directory, store_id)
        if path in _owned:
            return False
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared, so that several may look at once
        except BlockingIOError:
            return False
        finally:
            os.close(fd)
        return True

    @staticmethod
    def exists(directory: Path, store_id: str) -> bool:
        """Tell whether a store's lock file is there."""
        return _lock_path(directory, store_id).exists()

    def release(self, *, remove: bool) -> None:
        """Give the lock up.

        Args:
            remove: Whether the store has no files left, so that the lock's own can go.
        """
        if self._fd >= 0:
            if remove and _is_at(self._fd, self._path):
                self._path.unlink(missing_ok=True)
            fcntl.flock(self._fd, fcntl.LOCK_UN)  # closing alone would leave it to a child that was forked meanwhile
            self.forget()

    def forget(self) -> None:
        """Close the file; in a forked child the parent's lock stays, as it is the parent's descriptor's too."""
        fd, self._fd = self._fd, -1
        _owned.discard(self._path)
        if fd >= 0:
            os.close(fd)


def sync_directory(directory: Path) -> None:
    """Write the names of a directory's files to the disk."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _lock_path(directory: Path, store_id: str) -> Path:
    return directory / f"{store_id}{_SUFFIX}"


def _is_at(fd: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(fd)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)

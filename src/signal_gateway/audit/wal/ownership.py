"""StoreLock: the ownership of a store's files in a spool directory, which ends with the store's process."""

import errno
import os
import sys
from pathlib import Path
from typing import Self

if sys.platform != "win32":
    import fcntl

__all__ = ["INCOMPLETE_SUFFIX", "StoreLock", "sync_directory"]

_SUFFIX = ".lock"
INCOMPLETE_SUFFIX = ".lock.tmp"
"""Suffix of an incomplete lock file: created and not locked yet."""

_owned: set[Path] = set()  # lock files that stores of this process hold; checked before a lock file is opened


class StoreLock:
    """Exclusive ownership of a store's files: a `flock` on the store's lock file, released when its process ends.

    `lockf` would not do: a second descriptor in the same process would get the lock of a live owner, and would
    release that lock when closed.
    """

    def __init__(self, path: Path, fd: int) -> None:
        self._path = path
        self._fd = fd
        _owned.add(path)

    @classmethod
    def create(cls, directory: Path, store_id: str) -> Self:
        """Create and lock the lock file of a new store. The file gets its name after it is locked.

        Raises:
            OSError: The directory is not writable, or its file system does not support locks.
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
        """Take the lock of an orphaned store; return None if the store is alive or another store recovers it.

        Raises:
            OSError: The file cannot be opened or locked for another reason.
        """
        path = _lock_path(directory, store_id)
        if path in _owned:
            return None
        # created if missing: an owner removes the lock file last, so the files that are left are orphaned
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            if exc.errno != errno.EROFS:
                raise
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
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
        """Return whether a store is orphaned, without taking its lock."""
        path = _lock_path(directory, store_id)
        if path in _owned:
            return False
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: several processes may check at once
        except BlockingIOError:
            return False
        finally:
            os.close(fd)
        return True

    @staticmethod
    def exists(directory: Path, store_id: str) -> bool:
        """Return whether the lock file of a store exists."""
        return _lock_path(directory, store_id).exists()

    def release(self, *, remove: bool) -> None:
        """Release the lock.

        Args:
            remove: Whether to remove the lock file, because the store has no other files.
        """
        if self._fd >= 0:
            if remove and _is_at(self._fd, self._path):
                self._path.unlink(missing_ok=True)
            fcntl.flock(self._fd, fcntl.LOCK_UN)  # a forked child may still hold the descriptor
            self.forget()

    def forget(self) -> None:
        """Close the file. In a forked child the parent keeps the lock, because the parent's descriptor stays open."""
        fd, self._fd = self._fd, -1
        _owned.discard(self._path)
        if fd >= 0:
            os.close(fd)


def sync_directory(directory: Path) -> None:
    """Sync a directory: the names of its files are on the disk afterwards."""
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

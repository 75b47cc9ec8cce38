"""DatabaseIdentity: whether the files of an open SQLite database are still those at its path."""

import os
from pathlib import Path

from signal_gateway.datastorage.backend import BackendUnavailable

__all__ = ["DatabaseIdentity"]

_SUFFIXES = ("", "-wal", "-shm")


class DatabaseIdentity:
    """Device and inode of the database, its write-ahead log and its shared index, as they were when first seen.

    A process with an open database goes on writing after the file was removed or replaced, into a file without a name
    that ends with the process. SQLite does not notice. Only the thread of the writing connection calls the methods.

    Args:
        path: The database file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: dict[str, tuple[int, int]] = {}

    def check(self) -> None:
        """Check that the files at the path are those that were seen first.

        Raises:
            BackendUnavailable: A file was removed or replaced.
        """
        for suffix in _SUFFIXES:
            name = f"{self._path}{suffix}"
            try:
                found = os.stat(name)
            except OSError as exc:
                if suffix in self._seen or not suffix:
                    raise self._lost(name, f"cannot be found: {exc.strerror}") from exc
                continue
            here = found.st_dev, found.st_ino
            if self._seen.setdefault(suffix, here) != here:
                raise self._lost(name, "was replaced")

    def _lost(self, name: str, problem: str) -> BackendUnavailable:
        return BackendUnavailable(
            f"the SQLite file {name} {problem} while it was open, so nothing is stored any more: restart DataStorage,"
            " and stop it before you move, remove or restore its files"
        )

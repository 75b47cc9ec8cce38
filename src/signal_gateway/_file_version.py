"""file_version: tells whether a file changed since it was read, also one behind a symbolic link that was swapped."""

import os
from pathlib import Path

__all__ = ["FileVersion", "file_version"]

FileVersion = tuple[int, ...] | None
"""Device, inode, size and times of a file; None if it cannot be read."""


def file_version(path: Path | str) -> FileVersion:
    """Return the version of a file. Symbolic links are followed: Kubernetes swaps those of a Secret."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

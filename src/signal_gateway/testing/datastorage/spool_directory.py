"""Spool directories of a test run: one for each audit store, there for as long as something is in it."""

import os
import tempfile
from pathlib import Path

__all__ = ["new_spool_directory", "promised_spool_directory", "remove_if_empty"]

_PREFIX = "signal-gateway-spool-"


def new_spool_directory(purpose: str = "") -> Path:
    """Make a directory for one store, among the machine's temporary files and for its owner alone.

    Args:
        purpose: What is put into its name, if it is not for a whole process.
    """
    return Path(tempfile.mkdtemp(prefix=_PREFIX + (f"{purpose}-" if purpose else "")))


def promised_spool_directory(run: str, worker: str) -> Path:
    """Name the directory of a worker's store without making it: the store does, if the worker ever has one.

    Args:
        run: What tells one run from the others; nobody else must be able to guess it.
        worker: The xdist worker's id.
    """
    return Path(tempfile.gettempdir(), f"{_PREFIX}{run}-{worker}")


def remove_if_empty(directory: Path) -> bool:
    """Remove a directory unless something is left in it.

    Returns:
        Whether it is gone.
    """
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True

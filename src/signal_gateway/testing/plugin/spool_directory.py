"""The spool directories of a test run: one per audit store, removed when it is empty."""

import os
import tempfile
from pathlib import Path

__all__ = ["new_spool_directory", "planned_spool_directory", "remove_if_empty"]

_PREFIX = "signal-gateway-spool-"


def new_spool_directory(purpose: str = "") -> Path:
    """Create a directory for one store among the temporary files, accessible only to its owner.

    Args:
        purpose: A part of the name, for a store that does not serve the whole process.
    """
    return Path(tempfile.mkdtemp(prefix=_PREFIX + (f"{purpose}-" if purpose else "")))


def planned_spool_directory(run: str, worker: str) -> Path:
    """Return the directory for the store of an xdist worker. The store creates it on first use.

    Args:
        run: An unguessable id of the run.
        worker: The id of the worker.
    """
    return Path(tempfile.gettempdir(), f"{_PREFIX}{run}-{worker}")


def remove_if_empty(directory: Path) -> bool:
    """Remove a directory if it is empty.

    Returns:
        Whether the directory does not exist any more.
    """
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True

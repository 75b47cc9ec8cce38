"""Ledger: a file of event ids that is exact even when its writer is killed."""

import os
from pathlib import Path

__all__ = ["Ledger", "read_ledger"]

# no multiple of it crosses a page of memory, where alone a kill could cut a write short
_ID_BYTES = 16


class Ledger:
    """Appends event ids to a file, each call with one system call, so that what returned is written.

    Args:
        path: The file, which may have entries already.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def append(self, *event_ids: str) -> None:
        os.write(self._descriptor, bytes.fromhex("".join(event_ids).replace("-", "")))

    def close(self) -> None:
        os.close(self._descriptor)


def read_ledger(*paths: Path) -> list[str]:
    """Return every id in these files, repeated ones too, as hexadecimal digits without dashes."""
    return [
        content[start : start + _ID_BYTES].hex()
        for content in (path.read_bytes() for path in paths)
        for start in range(0, len(content), _ID_BYTES)
    ]

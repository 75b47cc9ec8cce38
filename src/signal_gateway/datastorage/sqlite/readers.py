"""Readers: several connections of an SQLite file, each with its thread, for queries at the same time."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeVar

from signal_gateway.datastorage.backend import BackendNotOpen
from signal_gateway.datastorage.sqlite.connection import ConnectionThread

__all__ = ["Readers"]

T = TypeVar("T")


class Readers:
    """Runs each function on a reader without work.

    Functions that scan wait for each other, so that at least half of the readers are free for all others.

    Args:
        path: The SQLite file.
        size: The number of readers, at least 2.
        busy_timeout: How long a statement waits for the lock of another process, in seconds.
    """

    def __init__(self, path: Path, *, size: int, busy_timeout: float) -> None:
        self._name = f"audit reader {path.name}"
        self._readers = [ConnectionThread(f"{self._name} {n}", path, busy_timeout=busy_timeout) for n in range(size)]
        self._idle: asyncio.LifoQueue[ConnectionThread] | None = None
        self._scans = asyncio.Semaphore(size // 2)

    async def open(self) -> None:
        """Start the threads and connect.

        Raises:
            DataStorageError: The file cannot be opened. No thread is left.
        """
        async with AsyncExitStack() as stack:
            for reader in self._readers:
                await reader.open()
                stack.push_async_callback(reader.close)
            stack.pop_all()
        self._idle = asyncio.LifoQueue()
        self._scans = asyncio.Semaphore(len(self._readers) // 2)
        for reader in self._readers:
            self._idle.put_nowait(reader)

    async def run(self, function: Callable[[sqlite3.Connection], T], *, is_scan: bool = False) -> T:
        """Call `function` with the connection of a reader. If the calling task is cancelled, the query is interrupted.

        Args:
            function: Reads from the connection.
            is_scan: Whether the function may read many events.

        Raises:
            BackendNotOpen: The readers are not open.
            BackendUnavailable: SQLite raised an error.
        """
        if not is_scan:
            return await self._run(function)
        async with self._scans:
            return await self._run(function)

    async def close(self) -> None:
        """Interrupt the running queries, disconnect and end the threads. Does nothing if they are closed."""
        self._idle = None
        await asyncio.gather(*(reader.close(interrupt=True) for reader in self._readers))

    async def _run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        idle = self._idle
        if idle is None:
            raise BackendNotOpen(f"the {self._name} is not running")
        reader = await idle.get()
        try:
            return await reader.read(function)
        finally:
            idle.put_nowait(reader)

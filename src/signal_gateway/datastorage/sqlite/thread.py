"""ConnectionThread: one SQLite connection and the one thread that uses it."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from signal_gateway.datastorage.backend import BackendNotOpen, BackendUnavailable

__all__ = ["ConnectionThread"]

T = TypeVar("T")


class ConnectionThread:
    """Runs functions of a connection one after the other, away from the event loop.

    The thread lives from `open` to `close`. Whoever awaits `run` may be cancelled; a function that has begun
    is finished all the same.

    Args:
        name: Of the thread.
        connect: Opens the connection, on the thread.
    """

    def __init__(self, name: str, connect: Callable[[], sqlite3.Connection]) -> None:
        self._name = name
        self._connect = connect
        self._executor: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None  # set and cleared on the thread

    @property
    def is_open(self) -> bool:
        """Whether it was opened and not closed since."""
        return self._executor is not None

    async def open(self) -> None:
        """Start the thread and connect.

        Raises:
            DataStorageError: What `connect` raised; the thread has ended then.
        """
        executor = self._executor = ThreadPoolExecutor(1, thread_name_prefix=self._name)

        def connect() -> None:
            self._connection = self._connect()

        try:
            await asyncio.get_running_loop().run_in_executor(executor, connect)
        except BaseException:
            await self.close()
            raise

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Call `function` with the connection, on the thread, after what was asked before.

        Raises:
            BackendNotOpen: The thread is not running.
            BackendUnavailable: SQLite could not do it.
        """
        if self._executor is None:
            raise BackendNotOpen(f"the {self._name} is not running")

        def call() -> T:
            assert self._connection is not None
            return function(self._connection)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, call)
        except sqlite3.Error as exc:
            raise BackendUnavailable(f"the {self._name}: {exc}") from exc

    async def close(self, *, interrupt: bool = False) -> None:
        """Finish what was asked, disconnect and end the thread. Does nothing when closed.

        Args:
            interrupt: End the running statement early; its caller gets `BackendUnavailable`.
        """
        executor, self._executor = self._executor, None
        if executor is None:
            return

        def disconnect() -> None:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

        if interrupt and (connection := self._connection) is not None:
            connection.interrupt()
        try:
            await asyncio.get_running_loop().run_in_executor(executor, disconnect)
        finally:
            executor.shutdown()

"""SQLite connections: how they open, their transactions, ConnectionThread, and the DatabaseIdentity of their files."""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from signal_gateway.datastorage.backend import BackendNotOpen, BackendUnavailable
from signal_gateway.errors import DataStorageError

__all__ = ["ConnectionThread", "DatabaseIdentity", "connect", "free_bytes", "transaction"]

_SUFFIXES = ("", "-wal", "-shm")

_INTERRUPT_INTERVAL = 0.01  # seconds

T = TypeVar("T")


def connect(path: Path, *, busy_timeout: float) -> sqlite3.Connection:
    """Open a connection for the calling thread, without implicit transactions.

    Args:
        path: The file. SQLite creates a missing file.
        busy_timeout: How long a statement waits for the lock of another process, in seconds.

    Raises:
        DataStorageError: The file cannot be opened; the message has its path and the cause.
    """
    try:
        return sqlite3.connect(path, timeout=busy_timeout, isolation_level=None)
    except sqlite3.Error as exc:
        reason = str(exc) if path.parent.is_dir() else f"there is no directory {path.parent}; create it"
        raise DataStorageError(f"cannot open the SQLite file {path}: {reason}") from exc


def free_bytes(path: Path) -> int:
    """Return the free bytes of the disk with a file."""
    found = os.statvfs(path.parent)
    return found.f_bavail * found.f_frsize


@contextmanager
def transaction(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    """Commit the block, or roll it back if it raises.

    Args:
        connection: A connection without an open transaction.
        begin: The statement that begins the transaction: `BEGIN`, or `BEGIN IMMEDIATE` for the write lock.
    """
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite rolls back by itself after some errors
            connection.execute("ROLLBACK")
        raise


class ConnectionThread:
    """Runs functions with one connection, one after the other, on a thread of their own.

    The thread lives from `open` to `close`. If the task that awaits `run` is cancelled, a function that has begun still
    runs to its end; one of `read` is interrupted.

    Args:
        name: The name of the thread.
        path: The SQLite file.
        busy_timeout: How long a statement waits for the lock of another process, in seconds.
    """

    def __init__(self, name: str, path: Path, *, busy_timeout: float) -> None:
        self._name = name
        self._path = path
        self._busy_timeout = busy_timeout
        self._executor: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None  # set and cleared on the thread

    @property
    def is_open(self) -> bool:
        """Whether the thread runs."""
        return self._executor is not None

    async def open(self) -> None:
        """Start the thread and connect.

        Raises:
            DataStorageError: The file cannot be opened. The thread has ended.
        """
        executor = self._executor = ThreadPoolExecutor(1, thread_name_prefix=self._name)

        def open_connection() -> None:
            self._connection = connect(self._path, busy_timeout=self._busy_timeout)

        try:
            await asyncio.get_running_loop().run_in_executor(executor, open_connection)
        except BaseException:
            await self.close()
            raise

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Call `function` with the connection, on the thread, after all earlier calls.

        Raises:
            BackendNotOpen: The thread is not running.
            BackendUnavailable: SQLite raised an error.
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

    async def read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Call `function` as `run` does, and interrupt its statements if the calling task is cancelled.

        Raises:
            BackendNotOpen: The thread is not running.
            BackendUnavailable: SQLite raised an error.
        """
        work = asyncio.ensure_future(self.run(function))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            interruption = asyncio.ensure_future(self._interrupt_until_done(work))
            while not interruption.done():
                with suppress(asyncio.CancelledError):  # a second cancellation: the thread is not free yet
                    await asyncio.shield(interruption)
            if not work.cancelled():
                work.exception()  # the interruption
            raise

    async def close(self, *, interrupt: bool = False) -> None:
        """Finish the calls in the queue, disconnect and end the thread. Does nothing on a closed thread.

        Args:
            interrupt: Interrupt the running statements; their callers get `BackendUnavailable`.
        """
        executor, self._executor = self._executor, None
        if executor is None:
            return

        def disconnect() -> None:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

        disconnection = asyncio.get_running_loop().run_in_executor(executor, disconnect)
        try:
            if interrupt:
                await self._interrupt_until_done(disconnection)
            await disconnection
        finally:
            executor.shutdown()

    async def _interrupt_until_done(self, work: "asyncio.Future[Any]") -> None:
        """Interrupt each statement on the thread: one call would miss a statement that is about to begin."""
        while not work.done():
            with suppress(sqlite3.ProgrammingError):  # the thread closed the connection meanwhile
                if (connection := self._connection) is not None:
                    connection.interrupt()
            await asyncio.wait({work}, timeout=_INTERRUPT_INTERVAL)


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

"""The harness's two event loops, each on a daemon thread of its own.

Servers under test run on one, what they depend on (the embedded cluster, DataStorage) on the other: on a single
loop, an application that calls another harness server synchronously would wait for itself. This is module-level
state on purpose: one pair of loops a process, started by its first user and ended by its last.
"""

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from signal_gateway.errors import HarnessError

__all__ = ["NEIGHBOURS", "SERVERS", "LoopThread"]

_T = TypeVar("_T")

STOP_TIMEOUT = 5.0


class LoopThread:
    """One event loop on a daemon thread, shared by its users.

    The lock guards the user count and the thread's start and end. A forked child starts afresh: threads do not
    survive a fork.

    Args:
        name: The thread's name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._users = 0
        self._pid = os.getpid()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    @property
    def users(self) -> int:
        """How many users keep the loop running."""
        return self._users

    def runs(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether that loop is the one on this thread."""
        return loop is self._loop

    def acquire(self) -> None:
        """Add a user; the first one starts the thread and waits until its loop runs."""
        if self._pid != os.getpid():
            self.__init__(self.name)  # type: ignore[misc]
        with self._lock:
            if self._users == 0:
                self._start()
            self._users += 1

    def release(self) -> None:
        """Remove a user; the last one ends the loop and joins the thread, within 5 seconds.

        Raises:
            HarnessError: A task on the loop ignores its cancellation.
        """
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._stop()

    def submit(self, coroutine: Coroutine[Any, Any, _T]) -> "Future[_T]":
        """Schedule a coroutine on the loop, from any thread."""
        if self._loop is None:
            coroutine.close()
            raise HarnessError(f"the loop {self.name!r} does not run: acquire it first")
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def call(self, coroutine: Coroutine[Any, Any, _T], *, timeout: float, doing: str) -> _T:
        """Run a coroutine on the loop and wait for its result.

        Args:
            coroutine: What to run.
            timeout: Seconds to wait at the most; then it is cancelled.
            doing: What it does, for the error.

        Raises:
            HarnessError: The time is up, or the caller is the loop itself, which would wait for ever.
            Exception: Whatever the coroutine raised.
        """
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise HarnessError(f"{doing} was asked for from inside a harness server: it would wait for itself")
        future = self.submit(coroutine)
        try:
            return future.result(timeout)
        except TimeoutError as exc:
            if future.done():
                raise
            future.cancel()
            raise HarnessError(f"{doing} took longer than {timeout} s") from exc

    def _start(self) -> None:
        is_running = threading.Event()

        async def live() -> None:
            self._loop = asyncio.get_running_loop()
            self._stopping = asyncio.Event()
            is_running.set()
            await self._stopping.wait()

        def run() -> None:
            with asyncio.Runner() as runner:  # its close cancels what is left and ends generators and executors
                runner.run(live())

        self._thread = threading.Thread(target=run, name=self.name, daemon=True)
        self._thread.start()
        is_running.wait()

    def _stop(self) -> None:
        assert self._loop is not None
        assert self._stopping is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(STOP_TIMEOUT)
        is_stuck = self._thread.is_alive()
        self._loop = self._stopping = self._thread = None
        if is_stuck:
            raise HarnessError(
                f"the loop {self.name!r} did not end within {STOP_TIMEOUT} s: a task ignores cancellation"
            )


SERVERS = LoopThread("gateway-servers")
NEIGHBOURS = LoopThread("gateway-neighbours")

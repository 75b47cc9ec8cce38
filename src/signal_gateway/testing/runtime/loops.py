"""The two event loops of the harness, each on its own daemon thread.

Servers under test run on `SERVERS`, their dependencies (the embedded cluster, DataStorage) on `DEPENDENCIES`. On a
single loop, an application that calls another harness server synchronously would deadlock. The module-level state is
deliberate: a process has one pair of loops; the first user starts a loop and the last user ends it.
"""

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from signal_gateway.errors import HarnessError

__all__ = ["DEPENDENCIES", "SERVERS", "LoopThread"]

_T = TypeVar("_T")

STOP_TIMEOUT = 5.0


class LoopThread:
    """One event loop on a daemon thread, shared by its users.

    The lock protects the number of users and the start and end of the thread. A forked child starts with no users and
    no thread, because threads do not survive a fork.

    Args:
        name: The name of the thread.
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
        """The number of users that keep the loop running."""
        return self._users

    def runs(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Return whether `loop` runs on this thread."""
        return loop is self._loop

    def acquire(self) -> None:
        """Add a user. The first user starts the thread and waits until its loop runs."""
        if self._pid != os.getpid():
            self.__init__(self.name)  # type: ignore[misc]
        with self._lock:
            if self._users == 0:
                self._start()
            self._users += 1

    def release(self) -> None:
        """Remove a user. The last user ends the loop and joins the thread, within 5 seconds.

        Raises:
            HarnessError: A task on the loop ignored its cancellation.
        """
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._stop()

    def submit(self, coroutine: Coroutine[Any, Any, _T]) -> "Future[_T]":
        """Schedule a coroutine on the loop, from any thread."""
        if self._loop is None:
            coroutine.close()
            raise HarnessError(f"the loop {self.name!r} does not run: call acquire() first")
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def call(self, coroutine: Coroutine[Any, Any, _T], *, timeout: float, doing: str) -> _T:
        """Run a coroutine on the loop and wait for its result.

        Args:
            coroutine: The work.
            timeout: Seconds until the coroutine is cancelled.
            doing: A description of the work, for the error.

        Raises:
            HarnessError: The timeout passed, or the caller runs on this loop and would deadlock.
            Exception: The exception of the coroutine.
        """
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise HarnessError(
                f"{doing} would deadlock on the loop {self.name!r}: call it from the test or from another thread"
            )
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
            with asyncio.Runner() as runner:  # its close cancels open tasks and ends generators and executors
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
DEPENDENCIES = LoopThread("gateway-dependencies")

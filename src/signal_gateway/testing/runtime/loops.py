"""The two event loops of the harness, each on its own daemon thread.

Servers under test run on `SERVERS`, their dependencies (the embedded cluster, DataStorage) on `DEPENDENCIES`. On a
single loop, an application that calls another harness server synchronously would deadlock. The module-level state is
deliberate: a process has one pair of loops; the first user starts a loop and the last user ends it.
"""

import asyncio
import os
import threading
import weakref

from signal_gateway.testing.runtime.running_loop import RunningLoop

__all__ = ["DEPENDENCIES", "SERVERS", "LoopThread"]


class LoopThread:
    """One event loop on a daemon thread, shared by its users. A loop that died or is blocked is replaced.

    The lock protects the current loop. A forked child starts its own loop, because threads do not survive a fork.

    Args:
        name: The name of the thread.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._current: RunningLoop | None = None
        self._all: weakref.WeakSet[RunningLoop] = weakref.WeakSet()

    @property
    def users(self) -> int:
        """The number of users that keep the current loop running."""
        return 0 if self._current is None else self._current.users

    def acquire(self) -> RunningLoop:
        """Add a user, and return the loop. The first user starts the thread and waits until its loop runs.

        Raises:
            HarnessError: The thread or its loop does not start.
        """
        if self._pid != os.getpid():
            self.__init__(self.name)  # type: ignore[misc]
        with self._lock:
            if self._current is None or not self._current.join():
                self._current = RunningLoop(self.name)
                self._all.add(self._current)
                self._current.join()
            return self._current

    def find(self, loop: asyncio.AbstractEventLoop) -> RunningLoop | None:
        """Return the running loop of the harness for an event loop, current or replaced; None for another loop."""
        return next((one for one in list(self._all) if one.runs(loop)), None)


SERVERS = LoopThread("gateway-servers")
DEPENDENCIES = LoopThread("gateway-dependencies")

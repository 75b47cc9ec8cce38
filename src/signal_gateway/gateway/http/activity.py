"""Activity: what a gateway is doing right now, so that one can wait for its end."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["Activity"]

_log = logging.getLogger(__name__)

Result = TypeVar("Result")


class Activity:
    """Counts requests in flight and keeps tasks; runs on one loop."""

    def __init__(self) -> None:
        self._requests = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    def begin_request(self) -> None:
        """Count one more request as in flight, from its head to `end_request`."""
        self._requests += 1
        self._is_idle.clear()

    def end_request(self) -> None:
        """Count one request less as in flight, at the end of its response."""
        self._requests -= 1
        self._note_end()

    def spawn(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Start a task that may outlive the request that needs it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        self._is_idle.clear()
        task.add_done_callback(self._note_task)
        return task

    async def settle(self) -> None:
        """Return as soon as no request is in flight and no task is left."""
        while self._requests or self._tasks:
            await self._is_idle.wait()

    async def end(self, *, grace: float) -> None:
        """Let tasks finish, then cancel those that have not.

        Args:
            grace: Seconds that they get.
        """
        if not self._tasks:
            return
        _, unfinished = await asyncio.wait(self._tasks, timeout=grace)
        for task in unfinished:
            _log.warning("cancelled %s, which had not finished %s s after the stop", task.get_name(), grace)
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)

    def _note_task(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("unexpected error in background work", exc_info=task.exception())
        self._note_end()

    def _note_end(self) -> None:
        if not self._requests and not self._tasks:
            self._is_idle.set()

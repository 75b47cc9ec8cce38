"""BackgroundTasks: the requests in flight and the tasks that may outlive them."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["BackgroundTasks"]

_log = logging.getLogger(__name__)

Result = TypeVar("Result")


class BackgroundTasks:
    """Counts the requests in flight and owns the tasks that they start. Belongs to one event loop."""

    def __init__(self) -> None:
        self._requests = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    def begin_request(self) -> None:
        """Count one request as in flight, until `end_request`."""
        self._requests += 1
        self._is_idle.clear()

    def end_request(self) -> None:
        """Count one request as complete."""
        self._requests -= 1
        self._update_idle()

    def spawn(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Start a task that may outlive its caller. An exception of the task is logged."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        self._is_idle.clear()
        task.add_done_callback(self._on_task_end)
        return task

    async def settle(self) -> None:
        """Wait until no request is in flight and no task is left."""
        while self._requests or self._tasks:
            await self._is_idle.wait()

    async def end(self, *, grace: float) -> None:
        """Wait for the tasks, then cancel the unfinished ones.

        Args:
            grace: Seconds before the cancellation.
        """
        if not self._tasks:
            return
        _, unfinished = await asyncio.wait(self._tasks, timeout=grace)
        for task in unfinished:
            _log.warning("cancelled %s: not finished %s s after the stop", task.get_name(), grace)
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)

    def _on_task_end(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("unexpected error in background work", exc_info=task.exception())
        self._update_idle()

    def _update_idle(self) -> None:
        if not self._requests and not self._tasks:
            self._is_idle.set()

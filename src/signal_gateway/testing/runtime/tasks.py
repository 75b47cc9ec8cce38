"""OwnedTasks: the asyncio tasks that a live server and its application start."""

import asyncio
import contextvars
import weakref
from typing import Any

__all__ = ["OwnedTasks"]

Task = asyncio.Task[Any]

_owner: contextvars.ContextVar["OwnedTasks"] = contextvars.ContextVar("owner of new tasks")
_is_in_request: contextvars.ContextVar[bool] = contextvars.ContextVar("whether a request starts new tasks")


class OwnedTasks:
    """The tasks of one server. A task belongs to the server whose context it inherits.

    The tasks of requests are a part of them: a handler starts them, or another such task. The start-up of an
    application often starts endless tasks; a request starts tasks that end. All methods run on the loop of the server.
    """

    def __init__(self) -> None:
        self._all: weakref.WeakSet[Task] = weakref.WeakSet()
        self._of_requests: weakref.WeakSet[Task] = weakref.WeakSet()

    def claim(self) -> None:
        """Own the tasks that the current context and its copies start from now on."""
        loop = asyncio.get_running_loop()
        if loop.get_task_factory() is None:
            loop.set_task_factory(_remember_task)
        _owner.set(self)

    @staticmethod
    def enter_request() -> None:
        """Count the tasks that the current context starts from now on as tasks of a request."""
        _is_in_request.set(True)

    @property
    def open(self) -> set[Task]:
        """The tasks that have not ended, without the current one."""
        return {task for task in self._all if not task.done()} - {asyncio.current_task()}

    @property
    def open_of_requests(self) -> set[Task]:
        """The tasks of requests that have not ended, without the current one."""
        return {task for task in self._of_requests if not task.done()} - {asyncio.current_task()}

    def add(self, task: Task, *, is_of_request: bool) -> None:
        """Own a task."""
        self._all.add(task)
        if is_of_request:
            self._of_requests.add(task)


def _remember_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Task:
    task: Task = asyncio.Task(coroutine, loop=loop, **options)
    context = options.get("context")
    owner = _owner.get(None) if context is None else context.get(_owner)
    if owner is not None:
        is_of_request = _is_in_request.get(False) if context is None else context.get(_is_in_request, False)
        owner.add(task, is_of_request=is_of_request)
    return task

"""TaskOwner: the tasks of one server among all tasks of an event loop."""

import asyncio
import contextvars
import weakref
from collections.abc import Coroutine, Generator
from typing import Any, Final

__all__ = ["TaskOwner", "create_owned_task", "owner_of"]

Task = asyncio.Task[Any]

_current: contextvars.ContextVar["TaskOwner"] = contextvars.ContextVar("owner of new tasks")
_is_in_request: contextvars.ContextVar[bool] = contextvars.ContextVar("whether a request starts new tasks")
_owners: Final["weakref.WeakKeyDictionary[Task, TaskOwner]"] = weakref.WeakKeyDictionary()


class TaskOwner:
    """The tasks of one server. A task belongs to the server whose context it inherits.

    The tasks of requests are a part of them: a handler starts them, or another such task. The start-up of an
    application often starts endless tasks; a request starts tasks that end.

    Attributes:
        name: The name of the server, for errors.

    Args:
        name: The name of the server, for errors.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._all: weakref.WeakSet[Task] = weakref.WeakSet()
        self._of_requests: weakref.WeakSet[Task] = weakref.WeakSet()

    def adopt(self) -> None:
        """Own the tasks that the current context creates from now on, and the tasks of these tasks."""
        _current.set(self)

    @staticmethod
    def enter_request() -> None:
        """Count the tasks that the current context starts from now on as tasks of a request."""
        _is_in_request.set(True)

    @property
    def open_tasks(self) -> set[Task]:
        """The tasks that are not done, without the current one. Read it on their loop."""
        return {task for task in self._all if not task.done()} - {asyncio.current_task()}

    @property
    def open_tasks_of_requests(self) -> set[Task]:
        """The tasks of requests that are not done, without the current one. Read it on their loop."""
        return {task for task in self._of_requests if not task.done()} - {asyncio.current_task()}

    def add(self, task: Task, *, is_of_request: bool) -> None:
        """Own a task."""
        self._all.add(task)
        if is_of_request:
            self._of_requests.add(task)
        _owners[task] = self


def create_owned_task(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any] | Generator[Any, None, Any], **options: Any
) -> Task:
    """Create a task; the task factory of the event loops of the harness."""
    task: Task = asyncio.Task(coroutine, loop=loop, **options)
    context = options.get("context")
    owner = _current.get(None) if context is None else context.get(_current)
    if owner is not None:
        is_of_request = _is_in_request.get(False) if context is None else context.get(_is_in_request, False)
        owner.add(task, is_of_request=is_of_request)
    return task


def owner_of(task: Task) -> TaskOwner | None:
    """Return the owner of a task, if it has one; from any thread."""
    return _owners.get(task)

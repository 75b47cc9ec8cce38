"""TaskOwner: the tasks of one server among all tasks of an event loop."""

import asyncio
import contextvars
import weakref
from collections.abc import Coroutine, Generator
from typing import Any, Final

__all__ = ["TaskOwner", "create_owned_task", "owner_of"]

_current: contextvars.ContextVar["TaskOwner"] = contextvars.ContextVar("owner of new tasks")
_owners: Final["weakref.WeakKeyDictionary[asyncio.Task[Any], TaskOwner]"] = weakref.WeakKeyDictionary()


class TaskOwner:
    """Knows the tasks of one server.

    Attributes:
        name: The name of the server, for errors.

    Args:
        name: The name of the server, for errors.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._tasks: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()

    def adopt(self) -> None:
        """Own the tasks that the current context creates from now on, and the tasks of these tasks."""
        _current.set(self)

    @property
    def open_tasks(self) -> set["asyncio.Task[Any]"]:
        """The tasks that are not done. Read it on their loop."""
        return {task for task in self._tasks if not task.done()}

    def add(self, task: "asyncio.Task[Any]") -> None:
        """Own a task."""
        self._tasks.add(task)
        _owners[task] = self


def create_owned_task(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any] | Generator[Any, None, Any], **options: Any
) -> "asyncio.Task[Any]":
    """Create a task; the task factory of the event loops of the harness."""
    task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **options)
    context = options.get("context")
    owner = _current.get(None) if context is None else context.get(_current)
    if owner is not None:
        owner.add(task)
    return task


def owner_of(task: "asyncio.Task[Any]") -> TaskOwner | None:
    """Return the owner of a task, if it has one; from any thread."""
    return _owners.get(task)

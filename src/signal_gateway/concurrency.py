"""BackgroundTasks, which may outlive a request, and CachedRead, which reads once for all concurrent callers."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Any, Generic, NamedTuple, TypeVar

from signal_gateway.clock import Clock

__all__ = ["BackgroundTasks", "CachedRead"]

_log = logging.getLogger(__name__)

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

Result = TypeVar("Result")

Read = Callable[[], Awaitable[Value]]


class _Kept(NamedTuple, Generic[Value]):
    begun_at: float
    value: Value


class _Pending(NamedTuple, Generic[Value]):
    begun_at: float
    result: asyncio.Future[Value]


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
        if not self._requests and not self._tasks:
            self._is_idle.set()

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
        if not self._requests and not self._tasks:
            self._is_idle.set()


class CachedRead(Generic[Key, Value]):
    """Reads a value at most once at a time, and keeps it for `max_age`. Belongs to one event loop.

    The age of a value counts from the start of its read: a change is visible to every caller `max_age` seconds later.
    An exception of a read reaches all callers that wait for this read, and is not kept.

    Args:
        max_age: Seconds for which a value is fresh; 0 makes every call read.
        max_entries: Number of values to keep. The oldest is dropped first.
        clock: Measures the age.
        tasks: Runs the reads, so that a read continues after its caller is cancelled. Without, the first caller runs
            the read, and if it is cancelled, the next caller reads again.
    """

    def __init__(self, *, max_age: float, max_entries: int, clock: Clock, tasks: BackgroundTasks | None = None) -> None:
        self._max_age = max_age
        self._max_entries = max_entries
        self._clock = clock
        self._tasks = tasks
        self._kept: dict[Key, _Kept[Value]] = {}
        self._pending: dict[Key, _Pending[Value]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    async def get(self, key: Key, read: Read[Value]) -> Value:
        """Return the fresh value of a key; read it if there is none.

        Args:
            key: Identifies the value.
            read: Reads the value. Concurrent callers of the same key share one read.

        Raises:
            Exception: The exception of the read.
            CancelledError: The task of the read was cancelled.
        """
        while True:
            now = self._clock.monotonic()
            kept = self._kept.get(key)
            if kept is not None and now - kept.begun_at < self._max_age:
                return kept.value
            pending = self._pending.get(key)
            if self._tasks is not None:
                if pending is None or now - pending.begun_at >= self._max_age:
                    pending = self._begin(key)
                    self._tasks.spawn(self._run(key, read, pending))
                return await asyncio.shield(pending.result)
            if pending is None:
                return await self.refresh(key, read)
            await asyncio.wait([pending.result])
            if not pending.result.cancelled():
                return pending.result.result()

    async def refresh(self, key: Key, read: Read[Value]) -> Value:
        """Read a value now, in the caller's own task.

        Raises:
            Exception: The exception of the read.
        """
        return await self._complete(key, read, self._begin(key))

    def latest(self, key: Key, read: Read[Value]) -> Value | None:
        """Return the kept value, even an old one; if it is old, start to read it again in the background.

        If that read fails, the old value stays, its exception is logged, and the next call reads again.

        Args:
            key: Identifies the value.
            read: Reads the value.

        Returns:
            The value; None if there is none yet.
        """
        kept = self._kept.get(key)
        if kept is None:
            return None
        is_old = self._clock.monotonic() - kept.begun_at >= self._max_age
        if is_old and key not in self._pending and self._tasks is not None:
            self._tasks.spawn(self._complete(key, read, self._begin(key)))
        return kept.value

    def kept(self, key: Key) -> Value | None:
        """Return the fresh value of a key without a read; None if there is none."""
        kept = self._kept.get(key)
        is_fresh = kept is not None and self._clock.monotonic() - kept.begun_at < self._max_age
        return kept.value if kept is not None and is_fresh else None

    def keep(self, key: Key, value: Value, *, begun_at: float) -> None:
        """Keep a value that was read elsewhere, unless a newer one is kept.

        Args:
            key: Identifies the value.
            value: The value.
            begun_at: Time of the clock before the read.
        """
        kept = self._kept.get(key)
        if kept is not None and kept.begun_at > begun_at:
            return
        self._kept.pop(key, None)  # the order of the dict is the order of age
        self._kept[key] = _Kept(begun_at, value)
        if len(self._kept) > self._max_entries:
            del self._kept[next(iter(self._kept))]

    def _begin(self, key: Key) -> _Pending[Value]:
        pending = self._pending[key] = _Pending(self._clock.monotonic(), asyncio.get_running_loop().create_future())
        return pending

    async def _complete(self, key: Key, read: Read[Value], pending: _Pending[Value]) -> Value:
        await self._run(key, read, pending)
        return pending.result.result()

    async def _run(self, key: Key, read: Read[Value], pending: _Pending[Value]) -> None:
        try:
            value = await read()
        except Exception as exc:  # noqa: BLE001 - every caller gets it
            pending.result.set_exception(exc)
            pending.result.exception()  # retrieved, even if all callers were cancelled
        else:
            self.keep(key, value, begun_at=pending.begun_at)
            pending.result.set_result(value)
        finally:
            if self._pending.get(key) is pending:
                del self._pending[key]
            pending.result.cancel()  # no effect on a complete read

"""RunningLoop: one event loop on one daemon thread, with errors for a loop that died or is blocked."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from typing import Any, TypeVar

from signal_gateway.errors import HarnessError
from signal_gateway.testing.runtime.blocked import Blocker, LoopBlocked, blocker_of
from signal_gateway.testing.runtime.machine_loop import MachineLoop
from signal_gateway.testing.runtime.tasks import create_owned_task

__all__ = ["RunningLoop"]

_T = TypeVar("_T")

START_TIMEOUT = 60.0
STOP_TIMEOUT = 10.0
BLOCKED_SECONDS = 10.0
"""An application that keeps the loop from its next iteration for so many seconds blocks it."""

_NO_THREAD = (
    "a new thread runs on the thread of its creator, as after gevent's monkey.patch_all(); an event loop needs a thread"
    " of its own: use patch_all(thread=False)"
)


class RunningLoop:
    """One event loop on one daemon thread. `LoopThread.acquire` returns it, and each user calls `release` once.

    Any thread may call the methods. The lock protects the number of users and the set of pending calls.

    Args:
        name: The name of the thread.

    Raises:
        HarnessError: The thread or its loop does not start. The cause is the exception of the thread.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._users = 0
        self._pid = os.getpid()
        self._creator = threading.get_native_id()
        self._pending: dict[Future[Any], Coroutine[Any, Any, Any]] = {}
        self._error: BaseException | None = None
        self._has_ended = False
        self._is_stopping = False
        self._blocker: Blocker | None = None
        self._missed_turn = threading.Event()
        self._loop: MachineLoop | None = None
        self._stopping = asyncio.Event()
        self._started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        try:
            self._thread.start()
            self._started.result(START_TIMEOUT)
        except TimeoutError as exc:
            raise HarnessError(f"the event loop {name!r} did not start within {START_TIMEOUT:g} s") from exc
        except Exception as exc:
            raise HarnessError(f"the event loop {name!r} did not start: {type(exc).__name__}: {exc}") from exc

    @property
    def users(self) -> int:
        """The number of users that keep the loop running."""
        return self._users

    @property
    def is_usable(self) -> bool:
        """Whether new users may join: the loop runs in this process, is not blocked and is not about to stop."""
        return not self.has_ended and self._blocker is None and not self._is_stopping

    @property
    def has_ended(self) -> bool:
        """Whether the loop ended, or runs in another process."""
        return self._has_ended or self._pid != os.getpid()

    @property
    def is_current_thread(self) -> bool:
        """Whether the caller runs on this loop."""
        return threading.current_thread() is self._thread

    def runs(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Return whether `loop` is this event loop."""
        return loop is self._loop

    def join(self) -> bool:
        """Add a user, unless the loop is not usable.

        A loop that an application blocks for 10 seconds is not usable from then on.

        Returns:
            Whether the user was added.
        """
        if not self.is_usable:
            return False
        if not self.is_current_thread:
            try:
                self.call(_do_nothing(), timeout=BLOCKED_SECONDS, doing="the next server")
            except HarnessError:  # blocked, or dead: the caller starts another loop
                return False
        with self._lock:
            if not self.is_usable:
                return False
            self._users += 1
            return True

    def release(self) -> None:
        """Remove a user. The last user ends the loop and joins the thread, within 10 seconds.

        A blocked loop ends when it is free again.

        Raises:
            HarnessError: A task on the loop ignored its cancellation.
        """
        if self._pid != os.getpid():  # a forked child has no thread to stop
            return
        with self._lock:
            self._users -= 1
            self._is_stopping = self._users == 0
        if self._is_stopping:
            self._stop()

    def submit(self, coroutine: Coroutine[Any, Any, _T]) -> "Future[_T]":
        """Schedule a coroutine on the loop.

        Raises:
            HarnessError: The loop has ended. The cause is the exception that ended it.
        """
        future: Future[_T] = Future()
        with self._lock:
            if self.has_ended or self._loop is None:
                coroutine.close()
                raise self._ended()
            self._pending[future] = coroutine
            self._loop.call_soon_threadsafe(self._begin, coroutine, future)
        return future

    def call(
        self, coroutine: Coroutine[Any, Any, _T], *, timeout: float, doing: str, survives_block: bool = False
    ) -> _T:
        """Run a coroutine on the loop and wait for its result.

        Args:
            coroutine: The work.
            timeout: Seconds until the coroutine is cancelled.
            doing: A description of the work, for the error.
            survives_block: Whether the coroutine runs to its end after `LoopBlocked`, as soon as the loop is free.

        Raises:
            LoopBlocked: An application blocked the loop for 10 seconds. The message names it, and a note has its stack.
            HarnessError: The timeout passed, the loop ended, or the caller runs on this loop and would deadlock.
            Exception: The exception of the coroutine.
        """
        if self.is_current_thread:
            coroutine.close()
            raise HarnessError(
                f"{doing} would deadlock on the loop {self.name!r}: call it from the test or from another thread"
            )
        future = self.submit(coroutine)
        try:
            return self._result(future, timeout=timeout, doing=doing)
        except LoopBlocked:
            if not survives_block:
                future.cancel()
            raise
        except (CancelledError, SystemExit, KeyboardInterrupt):
            if self._error is None or not future.done():
                future.cancel()
                raise
            raise self._ended() from self._error
        except BaseException:
            future.cancel()
            raise

    def run_when_free(self, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Start a coroutine as soon as the blocked loop is free again, without waiting for it.

        Args:
            work: Creates the coroutine, on the loop.
        """
        with self._lock:
            if not self._has_ended and self._loop is not None:
                self._loop.call_soon_threadsafe(lambda: self.submit(work()))

    def _begin(self, coroutine: Coroutine[Any, Any, _T], future: "Future[_T]") -> None:
        """Start a call, unless its caller gave up meanwhile. Runs on the loop."""
        if future.cancelled():
            del self._pending[future]
            coroutine.close()
            return
        assert self._loop is not None
        loop = self._loop
        task = loop.create_task(coroutine)

        def end(task: "asyncio.Task[_T]") -> None:
            self._pending.pop(future, None)
            with suppress(InvalidStateError):  # its caller gave up
                if task.cancelled():
                    future.cancel()
                elif (error := task.exception()) is not None:
                    future.set_exception(error)
                else:
                    future.set_result(task.result())

        def give_up(future: "Future[_T]") -> None:
            with self._lock:
                if future.cancelled() and not self._has_ended:
                    loop.call_soon_threadsafe(task.cancel)

        task.add_done_callback(end)
        future.add_done_callback(give_up)

    def _result(self, future: "Future[_T]", *, timeout: float, doing: str) -> _T:
        if self._blocker is not None and not self._missed_turn.is_set():
            raise self._blocker.error(doing=doing, seconds=BLOCKED_SECONDS, loop=self.name)
        waited = 0.0
        while True:
            turn = self._next_turn()
            step = min(timeout - waited, BLOCKED_SECONDS)
            try:
                return future.result(step)
            except TimeoutError:
                if future.done():
                    return future.result()
            waited += step
            blocker = None if self._loop is None or turn.is_set() else blocker_of(self._thread, self._loop)
            if blocker is not None and step >= BLOCKED_SECONDS:
                self._blocker, self._missed_turn = blocker, turn
            if blocker is not None and (self._blocker is not None or waited >= timeout):
                raise blocker.error(doing=doing, seconds=waited, loop=self.name)
            if waited >= timeout:
                raise HarnessError(f"{doing} took longer than {timeout:g} s")

    def _next_turn(self) -> threading.Event:
        """Return an event that the loop sets in its next iteration."""
        turn = threading.Event()
        with self._lock:
            if self._loop is not None and not self._has_ended:
                self._loop.call_soon_threadsafe(turn.set)
        return turn

    def _ended(self) -> HarnessError:
        if self._error is None:
            return HarnessError(f"the event loop {self.name!r} does not run any more: create a new server")
        error = HarnessError(f"the event loop {self.name!r} ended with {type(self._error).__name__}: {self._error}")
        error.__cause__ = self._error
        return error

    def _run(self) -> None:
        try:
            if threading.get_native_id() == self._creator:
                raise RuntimeError(_NO_THREAD)
            with asyncio.Runner(loop_factory=MachineLoop) as runner:  # its close cancels tasks, and ends generators
                try:
                    runner.run(self._live())
                except BaseException as exc:
                    self._error = exc  # before the close cancels the pending calls
                    raise
                finally:
                    with self._lock:  # from here on the loop may be closed
                        self._has_ended = True
        except BaseException as exc:  # noqa: BLE001 - raised by all pending and later calls
            self._error = exc
        if not self._started.done():
            self._has_ended = True
            self._started.set_exception(self._error or RuntimeError("it ended at once"))
        for future, coroutine in list(self._pending.items()):
            coroutine.close()
            with suppress(InvalidStateError):  # its caller has just cancelled it
                future.set_exception(self._ended())

    async def _live(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, MachineLoop)
        loop.set_task_factory(create_owned_task)
        self._loop = loop
        self._started.set_result(None)
        await self._stopping.wait()
        if self._blocker is not None:  # the stops of servers that waited for the loop
            pending = [asyncio.wrap_future(future) for future in list(self._pending) if not future.done()]
            if pending:
                await asyncio.wait(pending, timeout=STOP_TIMEOUT)

    def _stop(self) -> None:
        assert self._loop is not None
        with self._lock:
            if self._has_ended:
                return
            self._loop.call_soon_threadsafe(self._stopping.set)
        if self._blocker is not None and not self._missed_turn.is_set():
            return
        self._thread.join(STOP_TIMEOUT)
        if self._thread.is_alive():
            raise HarnessError(
                f"the loop {self.name!r} did not end within {STOP_TIMEOUT:g} s: a task ignores cancellation"
            )


async def _do_nothing() -> None:
    """Return at once: its caller waits for a turn of the loop."""

"""Time as a dependency: what reads the clock takes one, so that a test can move it."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Protocol

__all__ = ["Clock", "ManualClock", "MovableClock", "SystemClock"]


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> datetime:
        """Return the wall-clock time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go backwards, from an arbitrary start."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return when `monotonic()` has grown by so many seconds."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """Return the wall-clock time, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return `time.monotonic()`, in seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that stands still until it is moved; safe to share between threads.

    Args:
        start: The first value of `now()`; must be aware. Defaults to 2026-01-01T00:00:00Z.
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        if start.tzinfo is None:
            raise ValueError(f"start must be an aware datetime, got {start!r}: pass tzinfo=datetime.UTC")
        self._start = start.astimezone(UTC)
        self._elapsed = 0.0
        self._lock = threading.Lock()
        self._sleepers = _Sleepers()

    def now(self) -> datetime:
        """Return the start plus everything it was advanced by."""
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Return the seconds it was advanced by since it was made."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Return when it has been moved so far; until then, wait."""
        wake_at = self.monotonic() + seconds
        with self._sleepers.bed() as moved:
            while self.monotonic() < wake_at:
                moved.clear()
                await moved.wait()

    def wait_for_sleepers(self, count: int = 1, *, timeout: float = 10.0) -> None:
        """Wait until so many sleep on it, on whatever loops; not to be called on one of those.

        Raises:
            TimeoutError: There were fewer after so many seconds.
        """
        self._sleepers.wait_for(count, timeout)

    def advance(self, seconds: float) -> None:
        """Move both clocks forward, and wake who has slept long enough.

        Args:
            seconds: How far; zero or more.

        Raises:
            ValueError: `seconds` is negative: time does not run backwards here.
        """
        _check_advance(seconds)
        with self._lock:
            self._elapsed += seconds
        self._sleepers.wake()


class MovableClock:
    """The machine's own clocks, moved ahead by what it was advanced by; safe to share between threads.

    Attention: it moves what asks this clock, not the time-outs of sockets and event loops.
    """

    def __init__(self) -> None:
        self._ahead = 0.0
        self._lock = threading.Lock()
        self._sleepers = _Sleepers()

    def now(self) -> datetime:
        """Return the machine's wall-clock time plus everything it was advanced by."""
        return datetime.now(UTC) + timedelta(seconds=self._ahead)

    def monotonic(self) -> float:
        """Return `time.monotonic()` plus everything it was advanced by, in seconds."""
        return time.monotonic() + self._ahead

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds, those included that it is moved ahead meanwhile."""
        wake_at = self.monotonic() + seconds
        with self._sleepers.bed() as moved:
            while (remaining := wake_at - self.monotonic()) > 0:
                moved.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(remaining):
                        await moved.wait()

    def wait_for_sleepers(self, count: int = 1, *, timeout: float = 10.0) -> None:
        """Wait until so many sleep on it, on whatever loops; not to be called on one of those.

        Raises:
            TimeoutError: There were fewer after so many seconds.
        """
        self._sleepers.wait_for(count, timeout)

    def advance(self, seconds: float) -> None:
        """Move both clocks ahead, and wake who has slept long enough.

        Args:
            seconds: How far; zero or more.

        Raises:
            ValueError: `seconds` is negative: time does not run backwards here.
        """
        _check_advance(seconds)
        with self._lock:
            self._ahead += seconds
        self._sleepers.wake()


class _Sleepers:
    """Who sleeps on a clock, each on a loop of its own; any thread may wake them."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._beds: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    @contextmanager
    def bed(self) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever the clock is moved."""
        moved = asyncio.Event()
        with self._lock:
            self._beds[moved] = asyncio.get_running_loop()
            self._lock.notify_all()
        try:
            yield moved
        finally:
            with self._lock:
                del self._beds[moved]

    def wait_for(self, count: int, timeout: float) -> None:
        with self._lock:
            if not self._lock.wait_for(lambda: len(self._beds) >= count, timeout):
                raise TimeoutError(f"{len(self._beds)} sleep on this clock, not {count}, after {timeout} s")

    def wake(self) -> None:
        with self._lock:
            for moved, loop in self._beds.items():
                loop.call_soon_threadsafe(moved.set)


def _check_advance(seconds: float) -> None:
    if seconds < 0:
        raise ValueError(f"cannot advance a clock by {seconds} seconds: pass zero or more")

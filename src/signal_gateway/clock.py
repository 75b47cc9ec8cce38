"""Clocks, so that a test can move the time of the code that takes a `Clock`; and times as RFC 3339 texts."""

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Protocol

from signal_gateway._machine import machine

__all__ = ["Clock", "MovableClock", "SystemClock", "parse_rfc3339", "rfc3339"]

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def rfc3339(moment: datetime) -> str:
    """Format an aware datetime in UTC with `Z`, with microseconds unless they are zero."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def parse_rfc3339(text: str) -> datetime:
    """Parse an RFC 3339 date-time and convert it to UTC. Digits beyond microseconds are cut off.

    Raises:
        ValueError: The text is not an RFC 3339 date-time, or is outside the years 1 to 9999.
    """
    if not _RFC3339.fullmatch(text):
        raise ValueError(f"{text!r} is not an RFC 3339 date-time such as 2026-01-31T12:00:00Z")
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise ValueError(f"{text!r} is outside the years 1 to 9999") from exc


class Clock(Protocol):
    """A source of wall-clock time, monotonic time and sleep."""

    def now(self) -> datetime:
        """Return the wall-clock time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go backwards, from an arbitrary start."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return when `monotonic()` has grown by `seconds`."""
        ...


class SystemClock:
    """The clocks of the machine. A test that patches the module `time` does not change `monotonic`."""

    def now(self) -> datetime:
        """Return the wall-clock time, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the monotonic time in seconds. A patch of `time.monotonic` has no effect."""
        return machine.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        await asyncio.sleep(seconds)


class MovableClock:
    """A clock that a test moves ahead; safe to share between threads.

    With `start` the clock stands still between two calls of `advance`. Without `start` it runs with the machine, ahead
    by the seconds that it was advanced.

    Attention: the time-outs of sockets and event loops follow the machine, not this clock.

    Args:
        start: The first value of `now()`, an aware datetime. None: the clock runs.

    Raises:
        ValueError: `start` has no time zone.
    """

    def __init__(self, start: datetime | None = None) -> None:
        if start is not None and start.tzinfo is None:
            raise ValueError(f"start must be an aware datetime, got {start!r}: pass tzinfo=datetime.UTC")
        self._start = None if start is None else start.astimezone(UTC)
        self._advanced = 0.0
        self._lock = threading.Lock()
        self._sleepers = _Sleepers()

    def now(self) -> datetime:
        """Return the start, or the wall-clock time of the machine, plus the advanced seconds."""
        begin = datetime.now(UTC) if self._start is None else self._start
        return begin + timedelta(seconds=self._advanced)

    def monotonic(self) -> float:
        """Return the advanced seconds, plus `time.monotonic()` if the clock runs."""
        return self._advanced if self._start is not None else machine.monotonic() + self._advanced

    async def sleep(self, seconds: float) -> None:
        """Return when `monotonic()` has grown by `seconds`: by `advance`, or by itself if the clock runs."""
        wake_at = self.monotonic() + seconds
        with self._sleepers.sleeper() as moved:
            while (remaining := wake_at - self.monotonic()) > 0:
                moved.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(remaining if self._start is None else None):
                        await moved.wait()

    def wait_for_sleepers(self, count: int = 1, *, timeout: float = 10.0) -> None:
        """Wait until `count` coroutines sleep on this clock, on any loops. Do not call it on one of these loops.

        Raises:
            TimeoutError: Fewer coroutines slept after `timeout` seconds.
        """
        self._sleepers.wait_for(count, timeout)

    def advance(self, seconds: float) -> None:
        """Move `now()` and `monotonic()` ahead, and wake the sleepers whose time has come.

        Args:
            seconds: The distance, zero or more.

        Raises:
            ValueError: `seconds` is negative.
        """
        if seconds < 0:
            raise ValueError(f"cannot advance a clock by {seconds} seconds: pass zero or more")
        with self._lock:
            self._advanced += seconds
        self._sleepers.wake()


class _Sleepers:
    """The coroutines that sleep on a clock, each on its own loop; any thread may wake them."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._events: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    @contextmanager
    def sleeper(self) -> Iterator[asyncio.Event]:
        """Yield an event that is set each time the clock is moved."""
        moved = asyncio.Event()
        with self._lock:
            self._events[moved] = asyncio.get_running_loop()
            self._lock.notify_all()
        try:
            yield moved
        finally:
            with self._lock:
                del self._events[moved]

    def wait_for(self, count: int, timeout: float) -> None:
        with self._lock:
            if not self._lock.wait_for(lambda: len(self._events) >= count, timeout):
                raise TimeoutError(f"{len(self._events)} coroutines sleep on this clock after {timeout} s, not {count}")

    def wake(self) -> None:
        with self._lock:
            for moved, loop in self._events.items():
                loop.call_soon_threadsafe(moved.set)

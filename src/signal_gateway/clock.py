"""Time as a dependency: what reads the clock takes one, so that a test can move it."""

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

__all__ = ["Clock", "ManualClock", "SystemClock"]


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> datetime:
        """Return the wall-clock time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go backwards, from an arbitrary start."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """Return the wall-clock time, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return `time.monotonic()`, in seconds."""
        return time.monotonic()


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

    def now(self) -> datetime:
        """Return the start plus everything it was advanced by."""
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Return the seconds it was advanced by since it was made."""
        return self._elapsed

    def advance(self, seconds: float) -> None:
        """Move both clocks forward.

        Args:
            seconds: How far; zero or more.

        Raises:
            ValueError: `seconds` is negative: time does not run backwards here.
        """
        if seconds < 0:
            raise ValueError(f"cannot advance a clock by {seconds} seconds: pass zero or more")
        with self._lock:
            self._elapsed += seconds

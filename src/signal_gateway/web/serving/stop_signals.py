"""StopSignals: the first SIGTERM or SIGINT requests a graceful stop, the second ends the process."""

import asyncio
import os
import signal
from types import FrameType, TracebackType
from typing import Self

__all__ = ["StopSignals"]

_NUMBERS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Handles SIGINT and SIGTERM as a context manager, on the main thread with a running loop.

    The second signal ends the process at once, even if the loop is blocked; the exit status is 128 plus the number of
    the signal. The default action of the system would not end the first process of a container.

    Attributes:
        requested: Set by the first signal.
    """

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self._is_first = True
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._on_signal) for number in _NUMBERS}
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        """Handle a signal; Python calls this on the main thread between any two instructions."""
        if not self._is_first:
            os._exit(128 + number)
        self._is_first = False
        self._loop.call_soon_threadsafe(self.requested.set)

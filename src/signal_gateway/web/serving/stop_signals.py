"""What SIGTERM and SIGINT mean to a service: the first asks it to end well, the second ends it."""

import asyncio
import os
import signal
from types import FrameType, TracebackType
from typing import Self

__all__ = ["StopSignals"]

_NUMBERS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Listens to SIGINT and SIGTERM as a context manager, on the main thread and with a loop running.

    The second signal ends the process at once, with 128 and its number as exit status, whatever the loop is doing. The
    system's default would not: it spares the first process of a container.

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
        """Run on the main thread, between two instructions of anything."""
        if not self._is_first:
            os._exit(128 + number)
        self._is_first = False
        self._loop.call_soon_threadsafe(self.requested.set)

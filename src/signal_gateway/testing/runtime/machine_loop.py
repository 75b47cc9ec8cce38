"""MachineLoop: an event loop with the clock of the machine, which tests cannot patch."""

import asyncio
from typing import Final

from signal_gateway.clock import SystemClock

__all__ = ["MachineLoop"]

_CLOCK: Final = SystemClock()


class MachineLoop(asyncio.SelectorEventLoop):
    """An event loop that survives a patched `time.monotonic`, and does not depend on the event loop policy.

    asyncio calls `time.monotonic` in each iteration, outside of any task: an exception there would end the loop.
    """

    def time(self) -> float:
        """Return the monotonic time of the machine, in seconds."""
        return _CLOCK.monotonic()

    def __del__(self) -> None:
        """Do nothing: the thread closes its loop, and a loop whose constructor failed has nothing to close."""

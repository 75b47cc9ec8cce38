"""wait_until: waits for a state that nothing announces, such as a counter of a background thread."""

import threading
import time
from collections.abc import Callable

DEADLINE = 60.0  # seconds, which no machine needs unless something is broken


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until the condition is true, at most 60 s."""
    pause, end = threading.Event(), time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "the condition stays false"
        pause.wait(0.001)

"""machine: clocks and random numbers for background threads, which no patch of a test reaches.

A test may patch `time.monotonic` or freeze the time for its own code, while a background thread delivers the events of
the whole run. The functions are attributes of a class, because freezegun replaces the globals of every module.
"""

import os
import random
import time
from datetime import date, datetime

__all__ = ["machine"]


class machine:  # noqa: N801 - a namespace, used like a module
    """Functions and types of the standard library, as they were at the import of this module."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)
    uniform = staticmethod(random.SystemRandom().uniform)
    getpid = staticmethod(os.getpid)
    date = date
    datetime = datetime

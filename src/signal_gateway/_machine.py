"""machine: clocks and types of the standard library for background threads, which no patch of a test reaches.

A test may patch `time.monotonic` or freeze the time for its own code, while a background thread delivers the events of
the whole run. The functions are attributes of a class, because freezegun replaces the globals of every module.
"""

import datetime as dt
import os
import time
from typing import TypeAlias

__all__ = ["machine"]


class machine:  # noqa: N801 - a namespace, used like a module
    """Functions and types of the standard library, as they were at the import of this module."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)
    getpid = staticmethod(os.getpid)
    date: TypeAlias = dt.date
    datetime: TypeAlias = dt.datetime
    clock_time: TypeAlias = dt.time

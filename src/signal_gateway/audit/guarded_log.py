"""GuardedLog: a logger for the flusher's thread, whose handlers can't end the thread, and `postponing_forks`."""

import functools
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

__all__ = ["GuardedLog", "postponing_forks"]

_FORK_TIMEOUT = 10.0  # seconds for which a fork waits for a log record; a log handler may block without an end


class GuardedLog(logging.LoggerAdapter[logging.Logger]):
    """A logger that raises nothing, whatever its handlers, filters or a patched clock raise.

    Only for the flusher's thread, where no KeyboardInterrupt of a person arrives. A fork waits until a record is
    written: a child would inherit the locks of files and handlers without the thread that holds them.

    Attributes:
        failures: Records that could not be logged.
    """

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__(logger, {})
        self.failures = 0
        _hold_forks()

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log a record, or count a failure."""
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
        try:
            with postponing_forks():
                super().log(level, msg, *args, **kwargs)
        except BaseException:  # noqa: BLE001 - a log record is not worth the delivery
            self.failures += 1


class _Forks:
    """The lock that a fork takes, and that a background thread holds while it holds locks of other libraries."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # re-entrant: a log handler may fork

    def hold(self) -> None:
        self.lock.acquire(timeout=_FORK_TIMEOUT)

    def release(self) -> None:
        with suppress(RuntimeError):  # not acquired in time
            self.lock.release()

    def begin_anew(self) -> None:
        self.lock = threading.RLock()


_forks = _Forks()


@contextmanager
def postponing_forks() -> Iterator[None]:
    """Make forks of other threads wait for the end of the block, at most 10 s."""
    lock = _forks.lock
    with lock:
        yield


@functools.cache
def _hold_forks() -> None:
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_forks.hold, after_in_parent=_forks.release, after_in_child=_forks.begin_anew)

"""Lifetime: where a store was made, and what the process does to it while it is open: interpreter exit and fork."""

import atexit
import functools
import os
import sys
import weakref
from collections.abc import Callable
from typing import Protocol

__all__ = ["Lifetime", "OpenStore", "open_stores"]

_EXIT_TIMEOUT = 5.0
_OWN_PACKAGE = __name__.partition(".")[0]


class OpenStore(Protocol):
    """What the process knows of a store that is open."""

    @property
    def service(self) -> str:
        """Whose events these are."""
        ...

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        ...

    @property
    def made_at(self) -> str:
        """File and line that made it."""
        ...

    def close(self, timeout: float) -> object:
        """Deliver what is left within so many seconds, and end."""
        ...

    def abandon(self) -> None:
        """Write nothing more: the process is a forked child."""
        ...

    def forget(self) -> None:
        """Start afresh in a forked child, with nothing of the parent's."""
        ...


_live: "weakref.WeakSet[OpenStore]" = weakref.WeakSet()


class Lifetime:
    """Closes a store at interpreter exit, and lets it forget everything in a forked child; holds it weakly.

    Args:
        store: A new store.

    Attributes:
        made_at: File and line of the first caller outside this package.
    """

    def __init__(self, store: OpenStore) -> None:
        self.made_at = _caller()
        self._close_at_exit = _closing(weakref.ref(store))
        atexit.register(self._close_at_exit)
        _forget_in_forked_children()
        _live.add(store)

    def end(self) -> None:
        """Leave the exit alone: the store is closed."""
        atexit.unregister(self._close_at_exit)


def open_stores() -> list[OpenStore]:
    """Return the audit stores of this process that nobody has closed."""
    return [store for store in list(_live) if not store.closed]


def _caller() -> str:
    frame = sys._getframe()
    while frame.f_globals.get("__name__", "").partition(".")[0] == _OWN_PACKAGE and frame.f_back is not None:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _closing(reference: "weakref.ref[OpenStore]") -> Callable[[], None]:
    def close() -> None:
        store = reference()
        if store is not None:
            store.close(_EXIT_TIMEOUT)

    return close


@functools.cache
def _forget_in_forked_children() -> None:
    os.register_at_fork(after_in_child=_forget_all)


def _forget_all() -> None:
    stores = list(_live)
    for store in stores:  # before anything that could fail: until then they write over their parent's
        store.abandon()
    for store in stores:
        store.forget()

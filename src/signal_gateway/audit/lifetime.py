"""Lifetime: closes an open store at interpreter exit, and resets it in a forked child."""

import atexit
import functools
import os
import sys
import weakref
from collections.abc import Callable
from typing import Protocol

__all__ = ["Lifetime", "OpenStore", "open_stores"]

_EXIT_TIMEOUT = 10.0
_OWN_PACKAGE = __name__.partition(".")[0]


class OpenStore(Protocol):
    """The interface of a store for the process: exit, fork and diagnostics."""

    @property
    def service(self) -> str:
        """Name of the service."""
        ...

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        ...

    @property
    def made_at(self) -> str:
        """File and line of the code that created the store."""
        ...

    def close(self, timeout: float) -> object:
        """Deliver pending events within `timeout` seconds, and end."""
        ...

    def abandon(self) -> None:
        """Release everything: the process is a forked child."""
        ...

    def forget(self) -> None:
        """Start again in a forked child, without the events of the parent."""
        ...


_live: "weakref.WeakSet[OpenStore]" = weakref.WeakSet()


class Lifetime:
    """Closes a store at interpreter exit, and resets it in a forked child. Holds a weak reference to the store.

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
        """Cancel the action at interpreter exit, because the store is closed."""
        atexit.unregister(self._close_at_exit)


def open_stores() -> list[OpenStore]:
    """Return the open audit stores of this process."""
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
    for store in stores:  # first, because until then a store may overwrite the data of its parent
        store.abandon()
    for store in stores:
        store.forget()

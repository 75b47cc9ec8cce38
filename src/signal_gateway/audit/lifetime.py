"""Lifetime: what the process does to a store that is open: interpreter exit and fork."""

import atexit
import functools
import os
import weakref
from collections.abc import Callable
from typing import Protocol

__all__ = ["Lifetime"]

_EXIT_TIMEOUT = 5.0


class _Store(Protocol):
    def close(self, timeout: float) -> object: ...

    def abandon(self) -> None: ...

    def forget(self) -> None: ...


_live: "weakref.WeakSet[_Store]" = weakref.WeakSet()


class Lifetime:
    """Closes a store at interpreter exit, and lets it forget everything in a forked child; holds it weakly.

    Args:
        store: A new store.
    """

    def __init__(self, store: _Store) -> None:
        self._close_at_exit = _closing(weakref.ref(store))
        atexit.register(self._close_at_exit)
        _forget_in_forked_children()
        _live.add(store)

    def end(self) -> None:
        """Leave the exit alone: the store is closed."""
        atexit.unregister(self._close_at_exit)


def _closing(reference: "weakref.ref[_Store]") -> Callable[[], None]:
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

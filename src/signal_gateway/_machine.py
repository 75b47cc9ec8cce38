"""machine: clocks and types of the standard library for background threads, which no patch of a test reaches.

A test may patch `time.monotonic` or freeze the time for its own code, while a background thread delivers the events of
the whole run. The functions are attributes of a class, because freezegun replaces the globals of every module.

gevent is different: it replaces threads, locks, queues and sockets by its own for the whole process, and an original
that waits stops every greenlet. `primitives` returns those that fit the process at the moment of the call.
"""

import datetime as dt
import os
import queue
import select
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["Primitives", "machine", "primitives"]


class machine:  # noqa: N801 - a namespace, used like a module
    """Functions and types of the standard library, as they were at the import of this module."""

    monotonic = staticmethod(time.monotonic)
    sleep = staticmethod(time.sleep)
    time = staticmethod(time.time)
    getpid = staticmethod(os.getpid)
    date: TypeAlias = dt.date
    datetime: TypeAlias = dt.datetime
    clock_time: TypeAlias = dt.time


@dataclass(frozen=True, slots=True)
class Primitives:
    """Threads, locks, queues and sockets that work together.

    Attributes:
        thread: Type of a thread.
        current_thread: Return the current thread.
        get_ident: Return the id of the current thread.
        event: Type of an event.
        rlock: Make a re-entrant lock.
        mailbox: Type of a queue whose `put` is safe in a signal handler.
        local: Type of data of a thread.
        new_socket: Type of a socket, without the classes that tests patch.
        getaddrinfo: Look an address up.
        poll: Wait for sockets; None on Windows.
        select: As `poll`, on every platform.
    """

    thread: type[threading.Thread]
    current_thread: Callable[[], threading.Thread]
    get_ident: Callable[[], int]
    event: type[threading.Event]
    rlock: Callable[[], Any]
    mailbox: type[Any]
    local: type[Any]
    new_socket: type[Any]
    getaddrinfo: Callable[..., Any]
    poll: Callable[[], Any] | None
    select: Callable[..., Any]


def primitives() -> Primitives:
    """Return the primitives as they were at the import of this module, or those of gevent if it replaced them since."""
    return _current() if _is_monkey_patched() else _AT_IMPORT


def _current() -> Primitives:
    return Primitives(
        thread=threading.Thread,
        current_thread=threading.current_thread,
        get_ident=threading.get_ident,
        event=threading.Event,
        rlock=threading.RLock,
        mailbox=queue.SimpleQueue,
        local=threading.local,
        new_socket=socket.SocketType,
        getaddrinfo=socket.getaddrinfo,
        poll=getattr(select, "poll", None),
        select=select.select,
    )


def _is_monkey_patched() -> bool:
    gevent_monkey = sys.modules.get("gevent.monkey")
    return gevent_monkey is not None and bool(gevent_monkey.is_module_patched("threading"))


_AT_IMPORT = _current()

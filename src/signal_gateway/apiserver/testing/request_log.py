"""RequestLog: the newest requests of a server, for the assertions of tests."""

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

__all__ = ["NO_RESPONSE", "LogEntry", "RequestLog"]

NO_RESPONSE: Final = 0
"""Code of a request whose connection a fault dropped before the server handled it."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One request for a resource. A watch is logged when it opens.

    Attributes:
        verb: get list watch create update patch delete deletecollection.
        resource: Plural, with the subresource after a slash.
        namespace: Empty for cluster-scoped objects and all namespaces.
        name: Name of the object, also of a created one; empty for collections and failed creates.
        code: HTTP status of the response, even if a fault dropped the connection before the client received it; 0 for
            a request whose connection a fault dropped before the server handled it.
        time: Time of the response, in UTC.
    """

    verb: str
    resource: str
    namespace: str
    name: str
    code: int
    time: datetime


class RequestLog:
    """The newest requests, oldest first. Safe to use from any thread.

    Args:
        capacity: Number of requests that the log keeps.
    """

    def __init__(self, *, capacity: int = 10_000) -> None:
        self._entries: deque[LogEntry] = deque(maxlen=capacity)
        self._lock = threading.Lock()

    def append(self, entry: LogEntry) -> None:
        """Add the newest entry."""
        with self._lock:
            self._entries.append(entry)

    def clear(self) -> None:
        """Delete all entries."""
        with self._lock:
            self._entries.clear()

    def select(
        self, *, verb: str | None = None, resource: str | None = None, name: str | None = None, code: int | None = None
    ) -> list[LogEntry]:
        """Return the entries that match all arguments, oldest first."""
        return [
            entry
            for entry in self
            if verb in (None, entry.verb)
            and resource in (None, entry.resource)
            and name in (None, entry.name)
            and code in (None, entry.code)
        ]

    def __iter__(self) -> Iterator[LogEntry]:
        with self._lock:
            return iter(tuple(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> LogEntry:
        return self._entries[index]

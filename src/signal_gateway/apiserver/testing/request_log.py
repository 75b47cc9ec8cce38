"""What was asked of the server, for tests to read."""

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

__all__ = ["NO_RESPONSE", "LogEntry", "RequestLog"]

NO_RESPONSE: Final = 0
"""The code of a request whose connection a fault dropped before it was carried out."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One answered request for a resource; a watch is logged when it opens.

    Attributes:
        verb: get list watch create update patch delete deletecollection.
        resource: Plural, with the subresource after a slash.
        namespace: Empty for cluster-scoped objects and all namespaces.
        name: Of the object, for a create of the new one; empty for collections, and for creates that failed.
        code: HTTP status of the answer, also of one that a fault kept from its client; 0 for a request that a fault
            dropped before it was carried out.
        time: When it was answered, in UTC.
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
        capacity: How many are kept.
    """

    def __init__(self, *, capacity: int = 10_000) -> None:
        self._entries: deque[LogEntry] = deque(maxlen=capacity)
        self._lock = threading.Lock()

    def append(self, entry: LogEntry) -> None:
        """Add the newest entry."""
        with self._lock:
            self._entries.append(entry)

    def clear(self) -> None:
        """Forget every entry."""
        with self._lock:
            self._entries.clear()

    def select(
        self, *, verb: str | None = None, resource: str | None = None, name: str | None = None, code: int | None = None
    ) -> list[LogEntry]:
        """Return the entries that have all of this, oldest first."""
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

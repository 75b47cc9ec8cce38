"""ChangeLog: the newest changes of one resource, as a watch replays them.

Watches read the log at their own pace and need no queue of their own. A watch that falls behind the start of the log
has expired.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from signal_gateway.apiserver.apimachinery.objects import JsonObject

__all__ = ["Change", "ChangeLog", "ObjectKey", "StoredObject"]

ObjectKey = tuple[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class StoredObject:
    """One version of one object. A write stores a new version and never changes an old one.

    Attributes:
        namespace: Empty for cluster-scoped objects.
        name: Unique within resource and namespace.
        revision: Revision of the cluster that wrote it: `metadata.resourceVersion` as a number.
        object: The object. Do not change it.
        raw: The object as JSON.
    """

    namespace: str
    name: str
    revision: int
    object: JsonObject
    raw: bytes

    @property
    def key(self) -> ObjectKey:
        """Return namespace and name, the order of lists."""
        return self.namespace, self.name


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """One write of one object.

    Attributes:
        type: Event type of a watch.
        current: The object after the write; for a deletion the last state, with the revision of the deletion.
        previous: The object before the write; `None` for a creation.
    """

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    current: StoredObject
    previous: StoredObject | None

    @property
    def revision(self) -> int:
        """Return the revision of the write."""
        return self.current.revision


class ChangeLog:
    """The newest changes of one resource, oldest first. Use it on the server's loop only.

    Args:
        start: Revision after which the log is complete.
        capacity: Number of changes that the log keeps at least. It keeps at most twice as many.
    """

    def __init__(self, start: int, *, capacity: int) -> None:
        self.start = start
        self.is_closed = False
        self._capacity = capacity
        self._changes: list[Change] = []
        self._listeners: set[asyncio.Event] = set()

    def append(self, change: Change) -> None:
        """Add the newest change and wake every listener."""
        self._changes.append(change)
        if len(self._changes) > 2 * self._capacity:
            self.start = self._changes[-self._capacity - 1].revision
            del self._changes[: -self._capacity]
        self._wake()

    def after(self, revision: int, *, limit: int | None = None) -> list[Change]:
        """Return the changes after a revision, oldest first, at most `limit`."""
        first = bisect_right(self._changes, revision, key=lambda change: change.revision)
        return self._changes[first : None if limit is None else first + limit]

    def close(self) -> None:
        """End the log, because the resource is no longer served."""
        self.is_closed = True
        self._wake()

    @contextmanager
    def listening(self) -> Iterator[asyncio.Event]:
        """Yield an event that each change sets. Clear the event before you read the log."""
        changed = asyncio.Event()
        self._listeners.add(changed)
        try:
            yield changed
        finally:
            self._listeners.discard(changed)

    def _wake(self) -> None:
        for changed in self._listeners:
            changed.set()

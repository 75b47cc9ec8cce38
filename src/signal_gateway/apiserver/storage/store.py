"""The cluster's memory: objects by key, one growing revision, and for each resource the log of its changes.

Everything here runs on the server's one loop. A stored object is never changed, only replaced, so that readers may
hold on to it. Watches read the logs at their own pace and keep no queue of their own: a slow one costs nothing and,
should the log have moved past it, is told that it expired.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from signal_gateway.apiserver.apimachinery.objects import JsonObject, encode

__all__ = ["Change", "ChangeLog", "ObjectStore", "StoredObject"]

ObjectKey = tuple[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class StoredObject:
    """One version of one object.

    Attributes:
        namespace: Empty for cluster-scoped objects.
        name: Unique within resource and namespace.
        revision: The cluster's revision that wrote it; `metadata.resourceVersion` in figures.
        object: The object. Not to be changed.
        raw: The object as JSON.
    """

    namespace: str
    name: str
    revision: int
    object: JsonObject
    raw: bytes

    @property
    def key(self) -> ObjectKey:
        """Return namespace and name, by which lists are ordered."""
        return self.namespace, self.name


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """One write of one object.

    Attributes:
        type: What happened, in the words of a watch.
        current: The object after it; for a deletion its last state with the deletion's revision.
        previous: The object before it; `None` for a creation.
    """

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    current: StoredObject
    previous: StoredObject | None

    @property
    def revision(self) -> int:
        """Return the cluster's revision of the write."""
        return self.current.revision


class ChangeLog:
    """The newest changes of one resource, oldest first.

    Args:
        start: Revision from which on nothing is missing.
        capacity: How many changes are kept at least; at most twice as many are.
    """

    def __init__(self, start: int, *, capacity: int) -> None:
        self.start = start
        self.is_closed = False
        self._capacity = capacity
        self._changes: list[Change] = []
        self._listeners: set[asyncio.Event] = set()

    def append(self, change: Change) -> None:
        """Add the newest change and wake everyone who listens."""
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
        """End the log: the resource is served no longer."""
        self.is_closed = True
        self._wake()

    @contextmanager
    def listening(self) -> Iterator[asyncio.Event]:
        """Give an event that is set at each change; clear it before reading."""
        news = asyncio.Event()
        self._listeners.add(news)
        try:
            yield news
        finally:
            self._listeners.discard(news)

    def _wake(self) -> None:
        for news in self._listeners:
            news.set()


class ObjectStore:
    """Every object of one cluster.

    Args:
        history: How many changes of each resource can be watched from the past.
    """

    def __init__(self, *, history: int) -> None:
        self.revision = 1
        self._history = history
        self._objects: dict[str, dict[ObjectKey, StoredObject]] = {}
        self._logs: dict[str, ChangeLog] = {}
        self._dependents: dict[str, dict[tuple[str, ObjectKey], None]] = {}

    def open(self, resource: str) -> None:
        """Begin the log of a resource, unless it has one: changes can be watched from now on."""
        if resource not in self._logs:
            self._logs[resource] = ChangeLog(self.revision, capacity=self._history)
            self._objects[resource] = {}

    def close(self, resource: str) -> None:
        """Forget a resource, and end its watches."""
        self._logs.pop(resource).close()
        del self._objects[resource]

    def log(self, resource: str) -> ChangeLog:
        """Return the changes of a resource."""
        return self._logs[resource]

    def get(self, resource: str, namespace: str, name: str) -> StoredObject | None:
        """Return one object, or `None`."""
        return self._objects[resource].get((namespace, name))

    def list(self, resource: str, namespace: str = "") -> Sequence[StoredObject]:
        """Return the objects of a resource ordered by namespace and name; of one namespace if it is given."""
        objects = self._objects[resource].values()
        chosen = [stored for stored in objects if stored.namespace == namespace] if namespace else list(objects)
        return sorted(chosen, key=_key_of)

    def list_at(self, resource: str, revision: int) -> Sequence[StoredObject] | None:
        """Return a resource's objects as they were at a past revision, or `None` if that is forgotten."""
        log = self._logs[resource]
        if revision < log.start:
            return None
        objects = dict(self._objects[resource])
        for change in reversed(log.after(revision)):
            if change.previous is None:
                objects.pop(change.current.key, None)
            else:
                objects[change.current.key] = change.previous
        return sorted(objects.values(), key=_key_of)

    def dependents(self, uid: str) -> Sequence[tuple[str, StoredObject]]:
        """Return the objects with an owner reference to this uid, each with its resource's key, oldest first."""
        found = [(resource, self._objects[resource].get(key)) for resource, key in self._dependents.get(uid, ())]
        return [(resource, stored) for resource, stored in found if stored is not None]

    def put(self, resource: str, object: JsonObject) -> StoredObject:
        """Write an object, new or changed, as the cluster's next revision.

        Args:
            resource: Key of its resource.
            object: The object with its name and namespace; it is given its resourceVersion and is the store's from
                now on.
        """
        objects = self._objects[resource]
        stored = self._next(object)
        previous = objects.get(stored.key)
        objects[stored.key] = stored
        self._note_owners(resource, stored, previous)
        self._logs[resource].append(Change("MODIFIED" if previous else "ADDED", stored, previous))
        return stored

    def remove(self, resource: str, stored: StoredObject) -> None:
        """Delete an object; watches see its last stored state with the deletion's own revision."""
        previous = self._objects[resource].pop(stored.key)
        self._note_owners(resource, None, previous)
        gone = self._next({**previous.object, "metadata": dict(previous.object["metadata"])})
        self._logs[resource].append(Change("DELETED", gone, previous))

    def _note_owners(self, resource: str, stored: StoredObject | None, previous: StoredObject | None) -> None:
        now, before = _owner_uids(stored), _owner_uids(previous)
        if now == before:
            return
        key = (stored or previous).key  # type: ignore[union-attr] # one of them is there
        for uid in before - now:
            self._dependents[uid].pop((resource, key), None)
            if not self._dependents[uid]:
                del self._dependents[uid]
        for uid in now - before:
            self._dependents.setdefault(uid, {})[resource, key] = None

    def _next(self, object: JsonObject) -> StoredObject:
        self.revision += 1
        metadata = object["metadata"]
        metadata["resourceVersion"] = str(self.revision)
        return StoredObject(metadata.get("namespace", ""), metadata["name"], self.revision, object, encode(object))


def _key_of(stored: StoredObject) -> ObjectKey:
    return stored.key


def _owner_uids(stored: StoredObject | None) -> set[str]:
    references = stored.object["metadata"].get("ownerReferences") if stored is not None else None
    return {reference["uid"] for reference in references} if references else set()

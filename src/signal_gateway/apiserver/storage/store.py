"""ObjectStore: the current objects of a cluster, and one revision that grows with each write.

The store runs on the server's loop only and never waits.
"""

from collections.abc import Sequence

from signal_gateway.apiserver.apimachinery.objects import JsonObject, encode
from signal_gateway.apiserver.storage.change_log import Change, ChangeLog, ObjectKey, StoredObject

__all__ = ["ObjectStore"]


class ObjectStore:
    """The objects of one cluster.

    Args:
        history: Number of changes of each resource that a watch can replay.
    """

    def __init__(self, *, history: int) -> None:
        self.revision = 1
        self._history = history
        self._objects: dict[str, dict[ObjectKey, StoredObject]] = {}
        self._logs: dict[str, ChangeLog] = {}
        self._dependents: dict[str, dict[tuple[str, ObjectKey], None]] = {}

    def open(self, resource: str) -> None:
        """Start to store a resource and to log its changes, unless the store does so already."""
        if resource not in self._logs:
            self._logs[resource] = ChangeLog(self.revision, capacity=self._history)
            self._objects[resource] = {}

    def close(self, resource: str) -> None:
        """Drop a resource with its objects and end its watches."""
        self._logs.pop(resource).close()
        del self._objects[resource]

    def log(self, resource: str) -> ChangeLog:
        """Return the change log of a resource."""
        return self._logs[resource]

    def get(self, resource: str, namespace: str, name: str) -> StoredObject | None:
        """Return one object, or `None` if it does not exist."""
        return self._objects[resource].get((namespace, name))

    def list(self, resource: str, namespace: str = "") -> Sequence[StoredObject]:
        """Return the objects of a resource, or of one namespace, ordered by namespace and name."""
        objects = self._objects[resource].values()
        chosen = [stored for stored in objects if stored.namespace == namespace] if namespace else list(objects)
        return sorted(chosen, key=_key_of)

    def list_at(self, resource: str, revision: int) -> Sequence[StoredObject] | None:
        """Return the objects of a resource at a past revision, or `None` if the log does not go back that far."""
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
        """Return the objects with an owner reference to this uid, each with the key of its resource, oldest first."""
        found = [(resource, self._objects[resource].get(key)) for resource, key in self._dependents.get(uid, ())]
        return [(resource, stored) for resource, stored in found if stored is not None]

    def put(self, resource: str, object: JsonObject) -> StoredObject:
        """Write a new or changed object as the next revision of the cluster.

        Args:
            resource: Key of its resource.
            object: The object with its name and namespace. The store sets the resourceVersion and keeps the object:
                do not change it afterwards.
        """
        objects = self._objects[resource]
        stored = self._next(object)
        previous = objects.get(stored.key)
        objects[stored.key] = stored
        self._index_owners(resource, stored, previous)
        self._logs[resource].append(Change("MODIFIED" if previous else "ADDED", stored, previous))
        return stored

    def remove(self, resource: str, stored: StoredObject) -> None:
        """Delete an object. Watches receive its last state with the revision of the deletion."""
        previous = self._objects[resource].pop(stored.key)
        self._index_owners(resource, None, previous)
        deleted = self._next({**previous.object, "metadata": dict(previous.object["metadata"])})
        self._logs[resource].append(Change("DELETED", deleted, previous))

    def _index_owners(self, resource: str, stored: StoredObject | None, previous: StoredObject | None) -> None:
        now, before = _owner_uids(stored), _owner_uids(previous)
        if now == before:
            return
        key = (stored or previous).key  # type: ignore[union-attr] # at least one is given
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

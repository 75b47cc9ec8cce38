"""Garbage collection: what becomes of an object whose owners go.

A real cluster's controller manager does this a moment later, and by the rules of
`k8s.io/kubernetes/pkg/controller/garbagecollector`; here it is done before the request that caused it is answered.
"""

from typing import Final, Literal, Protocol

from signal_gateway.apiserver.apimachinery.objects import JsonObject
from signal_gateway.apiserver.apimachinery.resources import Registry, Resource
from signal_gateway.apiserver.storage.store import ObjectStore, StoredObject

__all__ = ["FOREGROUND_FINALIZER", "ORPHAN_FINALIZER", "GarbageCollector", "Propagation"]

FOREGROUND_FINALIZER: Final = "foregroundDeletion"
ORPHAN_FINALIZER: Final = "orphan"

Propagation = Literal["Background", "Foreground", "Orphan"]


class Deletions(Protocol):
    """What the collector has done for it."""

    def delete(self, resource: Resource, stored: StoredObject, propagation: Propagation = "Background") -> object:
        """Delete an object."""
        ...

    def release(self, resource: Resource, stored: StoredObject, finalizer: str) -> None:
        """Take a finalizer off an object that is being deleted."""
        ...


class GarbageCollector:
    """Follows owner references. Runs on the server's loop; no method waits.

    Args:
        store: The cluster's objects.
        registry: The resources that are served: an owner of another kind is taken to be alive.
        deletions: Carries out what is decided here.
    """

    def __init__(self, store: ObjectStore, registry: Registry, deletions: Deletions) -> None:
        self._store = store
        self._registry = registry
        self._deletions = deletions

    def attend(self, resource: Resource, stored: StoredObject) -> None:
        """Delete an object all of whose owners are gone or wait for it; let it forget those if others are left."""
        metadata = stored.object["metadata"]
        references = metadata.get("ownerReferences")
        if not references or "deletionTimestamp" in metadata:
            return
        states = [self._state_of(reference, stored.namespace) for reference in references]
        if "alive" not in states:
            has_dependents = bool(self._store.dependents(metadata["uid"]))
            is_waited_for = "waiting" in states and has_dependents
            self._deletions.delete(resource, stored, "Foreground" if is_waited_for else "Background")
        elif states.count("alive") < len(states):
            alive = [reference for reference, state in zip(references, states, strict=True) if state == "alive"]
            self._put_references(resource, stored, alive)

    def owner_is_gone(self, uid: str) -> None:
        """Attend to what an object owned that has been removed."""
        for resource, dependent in self._dependents(uid):
            self.attend(resource, dependent)

    def dependent_is_gone(self, stored: StoredObject) -> None:
        """Let owners go that waited for an object which has been removed."""
        for reference in stored.object["metadata"].get("ownerReferences", []):
            owner = self._owner(reference, stored.namespace)
            if owner is not None and _waits_for_dependents(owner[1].object["metadata"]):
                self._finish_foreground(*owner)

    def delete_dependents(self, resource: Resource, owner: StoredObject) -> None:
        """Delete what an object owns, which waits for it with the foreground finalizer."""
        self.owner_is_gone(owner.object["metadata"]["uid"])
        self._finish_foreground(resource, owner)

    def orphan_dependents(self, resource: Resource, owner: StoredObject) -> None:
        """Make what an object owns forget it, then let the object go."""
        uid = owner.object["metadata"]["uid"]
        for resource_of_dependent, dependent in self._dependents(uid):
            references = dependent.object["metadata"]["ownerReferences"]
            others = [reference for reference in references if reference["uid"] != uid]
            self._put_references(resource_of_dependent, dependent, others)
        self._deletions.release(resource, owner, ORPHAN_FINALIZER)

    def _finish_foreground(self, resource: Resource, owner: StoredObject) -> None:
        uid = owner.object["metadata"]["uid"]
        current = self._store.get(resource.key, owner.namespace, owner.name)
        if current is None or current.object["metadata"]["uid"] != uid:
            return  # it went with the last of its dependents
        is_blocked = any(
            reference["uid"] == uid and reference.get("blockOwnerDeletion")
            for _, dependent in self._dependents(uid)
            for reference in dependent.object["metadata"]["ownerReferences"]
        )
        if not is_blocked:
            self._deletions.release(resource, current, FOREGROUND_FINALIZER)

    def _state_of(self, reference: JsonObject, namespace: str) -> Literal["alive", "waiting", "gone"]:
        if self._registry.find_kind(reference["apiVersion"], reference["kind"]) is None:
            return "alive"  # of a kind that nobody knows here: nothing can be said
        owner = self._owner(reference, namespace)
        if owner is None:
            return "gone"
        return "waiting" if _waits_for_dependents(owner[1].object["metadata"]) else "alive"

    def _owner(self, reference: JsonObject, namespace: str) -> tuple[Resource, StoredObject] | None:
        resource = self._registry.find_kind(reference["apiVersion"], reference["kind"])
        if resource is None:
            return None
        stored = self._store.get(resource.key, namespace if resource.namespaced else "", reference["name"])
        if stored is None or stored.object["metadata"]["uid"] != reference["uid"]:
            return None
        return resource, stored

    def _dependents(self, uid: str) -> list[tuple[Resource, StoredObject]]:
        found = ((self._registry.stored_under(key), stored) for key, stored in self._store.dependents(uid))
        return [(resource, stored) for resource, stored in found if resource is not None]

    def _put_references(self, resource: Resource, stored: StoredObject, references: list[JsonObject]) -> None:
        metadata = {key: value for key, value in stored.object["metadata"].items() if key != "ownerReferences"}
        if references:
            metadata["ownerReferences"] = references
        self._store.put(resource.key, stored.object | {"metadata": metadata})


def _waits_for_dependents(metadata: JsonObject) -> bool:
    return "deletionTimestamp" in metadata and FOREGROUND_FINALIZER in metadata.get("finalizers", [])

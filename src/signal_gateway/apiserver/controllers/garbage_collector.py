"""GarbageCollector: deletes or orphans the dependents of a deleted owner.

Its rules are those of `k8s.io/kubernetes/pkg/controller/garbagecollector`. A real cluster applies them a moment later;
here they apply before the request that triggers them gets its response.
"""

from typing import Literal

from signal_gateway.apiserver.apimachinery.objects import JsonObject
from signal_gateway.apiserver.apimachinery.resources import Registry, Resource
from signal_gateway.apiserver.controllers.deletion import FOREGROUND_FINALIZER, ORPHAN_FINALIZER, ObjectDeleter
from signal_gateway.apiserver.storage.change_log import StoredObject
from signal_gateway.apiserver.storage.store import ObjectStore

__all__ = ["GarbageCollector"]

_OwnerState = Literal["alive", "waiting", "gone"]


class GarbageCollector:
    """Follows owner references. Runs on the server's loop; no method waits.

    Args:
        store: The objects of the cluster.
        registry: The served resources. An owner of any other kind counts as alive.
        deleter: Deletes objects and removes their finalizers.
    """

    def __init__(self, store: ObjectStore, registry: Registry, deleter: ObjectDeleter) -> None:
        self._store = store
        self._registry = registry
        self._deleter = deleter

    def reconcile(self, resource: Resource, stored: StoredObject) -> None:
        """Delete an object without a living owner; drop its references to the other owners if one is alive."""
        metadata = stored.object["metadata"]
        references = metadata.get("ownerReferences")
        if not references or "deletionTimestamp" in metadata:
            return
        states = [self._state_of(reference, stored.namespace) for reference in references]
        if "alive" not in states:
            has_dependents = bool(self._store.dependents(metadata["uid"]))
            is_foreground = "waiting" in states and has_dependents
            self._deleter.delete(resource, stored, "Foreground" if is_foreground else "Background")
        elif states.count("alive") < len(states):
            alive = [reference for reference, state in zip(references, states, strict=True) if state == "alive"]
            self._put_references(resource, stored, alive)

    def reconcile_dependents(self, uid: str) -> None:
        """Reconcile the dependents of a removed or terminating owner."""
        for resource, dependent in self._dependents(uid):
            self.reconcile(resource, dependent)

    def release_owners(self, stored: StoredObject) -> None:
        """Finish the foreground deletion of owners that waited for a removed dependent."""
        for reference in stored.object["metadata"].get("ownerReferences", []):
            owner = self._owner(reference, stored.namespace)
            if owner is not None and _waits_for_dependents(owner[1].object["metadata"]):
                self._finish_foreground(*owner)

    def delete_dependents(self, resource: Resource, owner: StoredObject) -> None:
        """Delete the dependents of an owner that waits for them with the foreground finalizer."""
        self.reconcile_dependents(owner.object["metadata"]["uid"])
        self._finish_foreground(resource, owner)

    def orphan_dependents(self, resource: Resource, owner: StoredObject) -> None:
        """Drop the references of all dependents to an owner, then remove the orphan finalizer of the owner."""
        uid = owner.object["metadata"]["uid"]
        for resource_of_dependent, dependent in self._dependents(uid):
            references = dependent.object["metadata"]["ownerReferences"]
            others = [reference for reference in references if reference["uid"] != uid]
            self._put_references(resource_of_dependent, dependent, others)
        self._deleter.remove_finalizer(resource, owner, ORPHAN_FINALIZER)

    def _finish_foreground(self, resource: Resource, owner: StoredObject) -> None:
        uid = owner.object["metadata"]["uid"]
        current = self._store.get(resource.key, owner.namespace, owner.name)
        if current is None or current.object["metadata"]["uid"] != uid:
            return  # deleted together with its last dependent
        is_blocked = any(
            reference["uid"] == uid and reference.get("blockOwnerDeletion")
            for _, dependent in self._dependents(uid)
            for reference in dependent.object["metadata"]["ownerReferences"]
        )
        if not is_blocked:
            self._deleter.remove_finalizer(resource, current, FOREGROUND_FINALIZER)

    def _state_of(self, reference: JsonObject, namespace: str) -> _OwnerState:
        if self._registry.find_kind(reference["apiVersion"], reference["kind"]) is None:
            return "alive"  # the kind is not served, so the owner cannot be looked up
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

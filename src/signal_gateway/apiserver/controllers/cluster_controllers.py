"""ClusterControllers: the entry point of all controllers, for writes and deletions.

The controllers of a real cluster run a moment later. Here they run before the request gets its response, so a test
never has to wait for them. Watches receive the same sequence of events.
"""

from datetime import timedelta

from signal_gateway.apiserver.apiextensions.definitions import CRDS
from signal_gateway.apiserver.apimachinery.metadata import has_finalizers
from signal_gateway.apiserver.apimachinery.objects import JsonObject
from signal_gateway.apiserver.apimachinery.resources import Registry, Resource
from signal_gateway.apiserver.controllers.definition_controller import DefinitionController
from signal_gateway.apiserver.controllers.deletion import (
    FOREGROUND_FINALIZER,
    ORPHAN_FINALIZER,
    Propagation,
    has_grace_period,
    is_terminating,
    marked_for_deletion,
)
from signal_gateway.apiserver.controllers.garbage_collector import GarbageCollector
from signal_gateway.apiserver.controllers.namespace_controller import NamespaceController
from signal_gateway.apiserver.kinds import NAMESPACES
from signal_gateway.apiserver.storage.change_log import StoredObject
from signal_gateway.apiserver.storage.store import ObjectStore
from signal_gateway.clock import Clock

__all__ = ["ClusterControllers"]


class ClusterControllers:
    """Runs the controllers after writes, and deletes objects. Runs on the server's loop; no method waits.

    Args:
        store: The objects of the cluster.
        registry: The served resources; definitions add and remove theirs.
        clock: Source of deletion timestamps and condition times.
    """

    def __init__(self, store: ObjectStore, registry: Registry, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._garbage_collector = GarbageCollector(store, registry, self)
        self._namespaces = NamespaceController(store, registry, self, clock)
        self._definitions = DefinitionController(store, registry, self, clock)

    def reconcile(self, resource: Resource, stored: StoredObject) -> None:
        """Run the controllers that a created or changed object concerns."""
        self._garbage_collector.reconcile(resource, stored)
        if resource is CRDS and not is_terminating(stored):
            self._definitions.establish(stored)
        elif resource is CRDS:
            self._definitions.finalize(stored.name)
        elif resource is NAMESPACES:
            self._namespaces.finalize(stored.name)

    def delete(
        self,
        resource: Resource,
        stored: StoredObject,
        propagation: Propagation = "Background",
        *,
        grace_seconds: int = 0,
    ) -> StoredObject | None:
        """Delete an object, or mark it for deletion while finalizers or a grace period hold it.

        Args:
            resource: The resource of the object.
            stored: The object.
            propagation: Policy for its dependents.
            grace_seconds: Grace period; a later deletion with a shorter one ends it.

        Returns:
            The object with its deletion mark; `None` if it is gone.
        """
        current = self._store.get(resource.key, stored.namespace, stored.name)
        if current is None or current.object["metadata"]["uid"] != stored.object["metadata"]["uid"]:
            return None  # deleted together with its owner
        stored = current
        if is_terminating(stored):
            return self._shorten_grace_period(resource, stored, grace_seconds)
        if resource is NAMESPACES:
            return self._namespaces.terminate(stored)
        if resource is CRDS:
            return self._definitions.terminate(stored)
        finalizers = _finalizers_for(stored, propagation)
        if not finalizers and not grace_seconds:
            self.remove(resource, stored)
            return None
        marked_object = self._with_grace_period(resource, stored, grace_seconds)
        if finalizers:
            marked_object["metadata"]["finalizers"] = finalizers
        marked = self._store.put(resource.key, marked_object)
        if ORPHAN_FINALIZER in finalizers:
            self._garbage_collector.orphan_dependents(resource, marked)
        elif FOREGROUND_FINALIZER in finalizers:
            self._garbage_collector.delete_dependents(resource, marked)
        return marked

    def remove_finalizer(self, resource: Resource, stored: StoredObject, finalizer: str) -> None:
        """Remove a finalizer of a terminating object, and the object if nothing else holds it."""
        finalizers = [item for item in stored.object["metadata"]["finalizers"] if item != finalizer]
        metadata = stored.object["metadata"] | {"finalizers": finalizers}
        if finalizers or has_grace_period(metadata):
            self._store.put(resource.key, stored.object | {"metadata": metadata})
        else:
            self.remove(resource, stored)

    def remove(self, resource: Resource, stored: StoredObject) -> None:
        """Remove an object from the store, then run the controllers that waited for its end."""
        self._store.remove(resource.key, stored)
        self._garbage_collector.release_owners(stored)
        self._garbage_collector.reconcile_dependents(stored.object["metadata"]["uid"])
        if stored.namespace:
            self._namespaces.finalize(stored.namespace)
        if resource.is_custom:
            self._definitions.finalize(resource.key)

    def _shorten_grace_period(
        self, resource: Resource, stored: StoredObject, grace_seconds: int
    ) -> StoredObject | None:
        """Shorten the grace period of a terminating object; remove the object if nothing else holds it."""
        metadata = stored.object["metadata"]
        if grace_seconds >= metadata.get("deletionGracePeriodSeconds", 0):
            return stored
        marked = self._store.put(resource.key, self._with_grace_period(resource, stored, grace_seconds))
        if not grace_seconds and not has_finalizers(metadata):
            self.remove(resource, marked)
            return None
        return marked

    def _with_grace_period(self, resource: Resource, stored: StoredObject, grace_seconds: int) -> JsonObject:
        """Return an object marked for deletion at the end of its grace period."""
        marked = marked_for_deletion(stored, self._clock.now() + timedelta(seconds=grace_seconds))
        marked["metadata"]["deletionGracePeriodSeconds"] = grace_seconds
        if resource.has_generation:
            marked["metadata"]["generation"] += 1
        return marked


def _finalizers_for(stored: StoredObject, propagation: Propagation) -> list[str]:
    kept = [
        item
        for item in stored.object["metadata"].get("finalizers", [])
        if item not in (ORPHAN_FINALIZER, FOREGROUND_FINALIZER)
    ]
    added = {"Background": [], "Foreground": [FOREGROUND_FINALIZER], "Orphan": [ORPHAN_FINALIZER]}[propagation]
    return kept + added

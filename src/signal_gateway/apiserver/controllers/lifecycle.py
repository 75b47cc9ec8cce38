"""What a cluster does by itself: establish definitions, delete, and empty what is being terminated.

A real cluster's controllers do this a moment later; here it is done before the request that caused it is answered,
so that no test has to wait for it. WatchHandler see the same steps.
"""

from datetime import timedelta

from signal_gateway.apiserver.apiextensions.definitions import (
    CLEANUP_FINALIZER,
    CRDS,
    is_established,
    resources_of,
    status_of,
)
from signal_gateway.apiserver.apimachinery.metadata import has_finalizers
from signal_gateway.apiserver.apimachinery.objects import JsonObject, timestamp
from signal_gateway.apiserver.apimachinery.resources import Registry, Resource
from signal_gateway.apiserver.controllers.garbage_collector import (
    FOREGROUND_FINALIZER,
    ORPHAN_FINALIZER,
    GarbageCollector,
    Propagation,
)
from signal_gateway.apiserver.kinds import NAMESPACES
from signal_gateway.apiserver.storage.store import ObjectStore, StoredObject
from signal_gateway.clock import Clock

__all__ = ["Lifecycle", "has_grace", "is_terminating"]


def is_terminating(stored: StoredObject) -> bool:
    """Return whether an object is being deleted."""
    return "deletionTimestamp" in stored.object["metadata"]


def has_grace(metadata: JsonObject) -> bool:
    """Return whether a terminating object is given time, so that it stays even if nothing else holds it."""
    return bool(metadata.get("deletionGracePeriodSeconds"))


def _finalizers_for(stored: StoredObject, propagation: Propagation) -> list[str]:
    kept = [
        item
        for item in stored.object["metadata"].get("finalizers", [])
        if item not in (ORPHAN_FINALIZER, FOREGROUND_FINALIZER)
    ]
    added = {"Background": [], "Foreground": [FOREGROUND_FINALIZER], "Orphan": [ORPHAN_FINALIZER]}[propagation]
    return kept + added


class Lifecycle:
    """Carries out deletions, and what follows from a write.

    Args:
        store: The cluster's objects.
        registry: The resources that are served; definitions add theirs and take them away.
        clock: For `deletionTimestamp` and conditions.
    """

    def __init__(self, store: ObjectStore, registry: Registry, clock: Clock) -> None:
        self._store = store
        self._registry = registry
        self._clock = clock
        self._garbage = GarbageCollector(store, registry, self)

    def after_write(self, resource: Resource, stored: StoredObject) -> None:
        """Draw the consequences of an object that was created or changed."""
        self._garbage.attend(resource, stored)
        if resource is CRDS and not is_terminating(stored):
            self._establish(stored)
        elif resource is CRDS:
            self._finish_definition(stored.name)
        elif resource is NAMESPACES:
            self._finish_namespace(stored.name)

    def delete(
        self,
        resource: Resource,
        stored: StoredObject,
        propagation: Propagation = "Background",
        *,
        grace_seconds: int = 0,
    ) -> StoredObject | None:
        """Delete an object, or mark it as being deleted while something holds it.

        Args:
            resource: Its resource.
            stored: The object.
            propagation: What becomes of what it owns.
            grace_seconds: How long it stays, if nobody deletes it with less before.

        Returns:
            The object as it was when it was marked; `None` if it went at once.
        """
        current = self._store.get(resource.key, stored.namespace, stored.name)
        if current is None or current.object["metadata"]["uid"] != stored.object["metadata"]["uid"]:
            return None  # it went with its owner meanwhile
        stored = current
        if is_terminating(stored):
            return self._hurry(resource, stored, grace_seconds)
        if resource is NAMESPACES:
            return self._terminate_namespace(stored)
        if resource is CRDS:
            return self._terminate_definition(stored)
        finalizers = _finalizers_for(stored, propagation)
        if not finalizers and not grace_seconds:
            self.remove(resource, stored)
            return None
        marked_object = self._marked(resource, stored, grace_seconds)
        if finalizers:
            marked_object["metadata"]["finalizers"] = finalizers
        marked = self._store.put(resource.key, marked_object)
        if ORPHAN_FINALIZER in finalizers:
            self._garbage.orphan_dependents(resource, marked)
        elif FOREGROUND_FINALIZER in finalizers:
            self._garbage.delete_dependents(resource, marked)
        return marked

    def release(self, resource: Resource, stored: StoredObject, finalizer: str) -> None:
        """Take a finalizer off an object that is being deleted, and remove it if that was the last."""
        finalizers = [item for item in stored.object["metadata"]["finalizers"] if item != finalizer]
        metadata = stored.object["metadata"] | {"finalizers": finalizers}
        if finalizers or has_grace(metadata):
            self._store.put(resource.key, stored.object | {"metadata": metadata})
        else:
            self.remove(resource, stored)

    def _hurry(self, resource: Resource, stored: StoredObject, grace_seconds: int) -> StoredObject | None:
        """Shorten the time that a terminating object is given; take it away if that was all it waited for."""
        metadata = stored.object["metadata"]
        if grace_seconds >= metadata.get("deletionGracePeriodSeconds", 0):
            return stored
        marked = self._store.put(resource.key, self._marked(resource, stored, grace_seconds))
        if not grace_seconds and not has_finalizers(metadata):
            self.remove(resource, marked)
            return None
        return marked

    def remove(self, resource: Resource, stored: StoredObject) -> None:
        """Take an object out of the store, and let go what only waited for it."""
        self._store.remove(resource.key, stored)
        self._garbage.dependent_is_gone(stored)
        self._garbage.owner_is_gone(stored.object["metadata"]["uid"])
        if stored.namespace:
            self._finish_namespace(stored.namespace)
        if resource.is_custom:
            self._finish_definition(resource.key)

    def _marked(self, resource: Resource, stored: StoredObject, grace_seconds: int = 0) -> JsonObject:
        until = self._clock.now() + timedelta(seconds=grace_seconds)
        metadata = stored.object["metadata"] | {"deletionTimestamp": timestamp(until)}
        if resource is not NAMESPACES and resource is not CRDS:
            metadata["deletionGracePeriodSeconds"] = grace_seconds
            if resource.has_generation:
                metadata["generation"] += 1
        return stored.object | {"metadata": metadata}

    def _establish(self, stored: StoredObject) -> None:
        definition = stored.object
        self._store.open(stored.name)
        if not is_established(definition):
            status = status_of(definition, (other.object for other in self._store.list(CRDS.key)), self._clock)
            if definition["status"].get("conditions") and not is_established({"status": status}):
                return
            definition = definition | {"metadata": dict(definition["metadata"]), "status": status}
            self._store.put(CRDS.key, definition)
        if is_established(definition):
            self._registry.remove(definition["spec"]["group"], definition["spec"]["names"]["plural"])
            for resource in resources_of(definition):
                self._registry.add(resource)

    def _terminate_namespace(self, stored: StoredObject) -> StoredObject:
        marked = self._store.put(
            NAMESPACES.key, self._marked(NAMESPACES, stored) | {"status": {"phase": "Terminating"}}
        )
        for resource in self._registry.namespaced():
            for content in self._store.list(resource.key, marked.name):
                self.delete(resource, content)
        self._finish_namespace(marked.name)
        return marked

    def _finish_namespace(self, name: str) -> None:
        stored = self._store.get(NAMESPACES.key, "", name)
        if stored is None or not is_terminating(stored) or has_finalizers(stored.object["metadata"]):
            return
        if not any(self._store.list(resource.key, name) for resource in self._registry.namespaced()):
            self._store.remove(NAMESPACES.key, stored)

    def _terminate_definition(self, stored: StoredObject) -> StoredObject:
        definition = self._marked(CRDS, stored)
        finalizers = definition["metadata"].get("finalizers", [])
        definition["metadata"]["finalizers"] = [*finalizers, CLEANUP_FINALIZER]
        marked = self._store.put(CRDS.key, definition)
        for resource in resources_of(definition)[:1]:
            for instance in self._store.list(resource.key):
                self.delete(resource, instance)
        self._finish_definition(marked.name)
        return marked

    def _finish_definition(self, name: str) -> None:
        stored = self._store.get(CRDS.key, "", name)
        if stored is None or not is_terminating(stored) or self._store.list(name):
            return
        finalizers = stored.object["metadata"].get("finalizers", [])
        if set(finalizers) <= {CLEANUP_FINALIZER}:
            self._registry.remove(stored.object["spec"]["group"], stored.object["spec"]["names"]["plural"])
            self._store.close(name)
            self._store.remove(CRDS.key, stored)

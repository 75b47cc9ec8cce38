"""DefinitionController: establishes CustomResourceDefinitions, and removes them with their custom resources.

Its rules are those of `k8s.io/apiextensions-apiserver/pkg/controller/establish` and `.../finalizer`.
"""

from signal_gateway.apiserver.apiextensions.definitions import (
    CLEANUP_FINALIZER,
    CRDS,
    is_established,
    resources_of,
    status_of,
)
from signal_gateway.apiserver.apimachinery.resources import Registry
from signal_gateway.apiserver.controllers.deletion import ObjectDeleter, is_terminating, marked_for_deletion
from signal_gateway.apiserver.storage.change_log import StoredObject
from signal_gateway.apiserver.storage.store import ObjectStore
from signal_gateway.clock import Clock

__all__ = ["DefinitionController"]


class DefinitionController:
    """Serves the resources of definitions. Runs on the server's loop; no method waits.

    Args:
        store: The objects of the cluster.
        registry: The served resources; the controller adds and removes custom resources.
        deleter: Deletes the custom resources of a terminating definition.
        clock: Source of deletion timestamps and condition times.
    """

    def __init__(self, store: ObjectStore, registry: Registry, deleter: ObjectDeleter, clock: Clock) -> None:
        self._store = store
        self._registry = registry
        self._deleter = deleter
        self._clock = clock

    def establish(self, stored: StoredObject) -> None:
        """Set the conditions of a definition, and serve its resources if its names are accepted."""
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

    def terminate(self, stored: StoredObject) -> StoredObject:
        """Mark a definition for deletion, delete its custom resources, and return the marked definition."""
        definition = marked_for_deletion(stored, self._clock.now())
        finalizers = definition["metadata"].get("finalizers", [])
        definition["metadata"]["finalizers"] = [*finalizers, CLEANUP_FINALIZER]
        marked = self._store.put(CRDS.key, definition)
        for resource in resources_of(definition)[:1]:
            for custom_resource in self._store.list(resource.key):
                self._deleter.delete(resource, custom_resource)
        self.finalize(marked.name)
        return marked

    def finalize(self, name: str) -> None:
        """Remove a definition if it is terminating, without custom resources and without other finalizers."""
        stored = self._store.get(CRDS.key, "", name)
        if stored is None or not is_terminating(stored) or self._store.list(name):
            return
        finalizers = stored.object["metadata"].get("finalizers", [])
        if set(finalizers) <= {CLEANUP_FINALIZER}:
            self._registry.remove(stored.object["spec"]["group"], stored.object["spec"]["names"]["plural"])
            self._store.close(name)
            self._store.remove(CRDS.key, stored)

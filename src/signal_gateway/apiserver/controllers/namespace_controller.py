"""NamespaceController: empties a terminating namespace, then removes it."""

from signal_gateway.apiserver.apimachinery.metadata import has_finalizers
from signal_gateway.apiserver.apimachinery.resources import Registry
from signal_gateway.apiserver.controllers.deletion import ObjectDeleter, is_terminating, marked_for_deletion
from signal_gateway.apiserver.kinds import NAMESPACES
from signal_gateway.apiserver.storage.change_log import StoredObject
from signal_gateway.apiserver.storage.store import ObjectStore
from signal_gateway.clock import Clock

__all__ = ["NamespaceController"]


class NamespaceController:
    """Deletes namespaces with their content. Runs on the server's loop; no method waits.

    Args:
        store: The objects of the cluster.
        registry: The served resources.
        deleter: Deletes the content.
        clock: Source of deletion timestamps.
    """

    def __init__(self, store: ObjectStore, registry: Registry, deleter: ObjectDeleter, clock: Clock) -> None:
        self._store = store
        self._registry = registry
        self._deleter = deleter
        self._clock = clock

    def terminate(self, stored: StoredObject) -> StoredObject:
        """Mark a namespace for deletion, delete its content, and return the marked namespace."""
        marked_object = marked_for_deletion(stored, self._clock.now()) | {"status": {"phase": "Terminating"}}
        marked = self._store.put(NAMESPACES.key, marked_object)
        for resource in self._registry.namespaced():
            for content in self._store.list(resource.key, marked.name):
                self._deleter.delete(resource, content)
        self.finalize(marked.name)
        return marked

    def finalize(self, name: str) -> None:
        """Remove a namespace if it is terminating, empty and without finalizers."""
        stored = self._store.get(NAMESPACES.key, "", name)
        if stored is None or not is_terminating(stored) or has_finalizers(stored.object["metadata"]):
            return
        if not any(self._store.list(resource.key, name) for resource in self._registry.namespaced()):
            self._store.remove(NAMESPACES.key, stored)

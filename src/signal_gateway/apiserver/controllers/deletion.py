"""The terms of a deletion: propagation policies, their finalizers, and the deletion mark of an object."""

from datetime import datetime
from typing import Final, Literal, Protocol

from signal_gateway.apiserver.apimachinery.objects import JsonObject, timestamp
from signal_gateway.apiserver.apimachinery.resources import Resource
from signal_gateway.apiserver.storage.change_log import StoredObject

__all__ = [
    "FOREGROUND_FINALIZER",
    "ORPHAN_FINALIZER",
    "ObjectDeleter",
    "Propagation",
    "has_grace_period",
    "is_terminating",
    "marked_for_deletion",
]

FOREGROUND_FINALIZER: Final = "foregroundDeletion"
ORPHAN_FINALIZER: Final = "orphan"

Propagation = Literal["Background", "Foreground", "Orphan"]


class ObjectDeleter(Protocol):
    """The deletions that a controller may trigger."""

    def delete(self, resource: Resource, stored: StoredObject, propagation: Propagation = "Background") -> object:
        """Delete an object."""
        ...

    def remove_finalizer(self, resource: Resource, stored: StoredObject, finalizer: str) -> None:
        """Remove a finalizer of a terminating object, and the object with its last one."""
        ...


def is_terminating(stored: StoredObject) -> bool:
    """Return whether an object is marked for deletion."""
    return "deletionTimestamp" in stored.object["metadata"]


def has_grace_period(metadata: JsonObject) -> bool:
    """Return whether a terminating object stays for a grace period, even without finalizers."""
    return bool(metadata.get("deletionGracePeriodSeconds"))


def marked_for_deletion(stored: StoredObject, at: datetime) -> JsonObject:
    """Return a copy of an object with a deletion timestamp."""
    return stored.object | {"metadata": stored.object["metadata"] | {"deletionTimestamp": timestamp(at)}}

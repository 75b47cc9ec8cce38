"""EventWorkload: the Kubernetes object that a stored event is about."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

__all__ = ["EventWorkload", "workload_of"]

# resources that are no workload; the workload of such an event, if it has one, is in event_data
_NO_WORKLOADS: Final = ("Signal", "RemediationRequest", "LegalHold")


class EventWorkload(NamedTuple):
    """The object that an event is about.

    Attributes:
        kind: Such as `Deployment`.
        name: Without the namespace.
        namespace: Empty for an object of the cluster.
    """

    kind: str
    name: str
    namespace: str

    @property
    def path(self) -> str:
        """The workload as `namespace/kind/name`."""
        return f"{self.namespace}/{self.kind}/{self.name}" if self.namespace else f"{self.kind}/{self.name}"


def workload_of(event: Mapping[str, Any]) -> EventWorkload | None:
    """Return the workload of an event; None if it has none.

    The resource of the envelope is the workload, unless its kind is the default of DataStorage, the category, or a
    resource of the gateway itself. Older gateways name the workload in `event_data` alone. Without a namespace, a name
    with one slash is `namespace/name`.

    Args:
        event: Event as DataStorage returns it.
    """
    kind, name, namespace = (event.get(member) for member in ("resource_type", "resource_id", "namespace"))
    if kind in _NO_WORKLOADS or kind == event.get("event_category"):
        data = event.get("event_data")
        data = data if isinstance(data, dict) else {}
        kind, name = data.get("resource_kind"), data.get("resource_name")
        namespace = data.get("namespace") or namespace
    if not (isinstance(kind, str) and isinstance(name, str) and kind and name):
        return None
    namespace = namespace if isinstance(namespace, str) else ""
    head, _, last = name.partition("/")
    if not namespace and head and last and "/" not in last:
        return EventWorkload(kind, last, head)
    return EventWorkload(kind, name.removeprefix(f"{namespace}/") if namespace else name, namespace)

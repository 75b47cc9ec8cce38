"""Workloads: an object such as a Deployment, with the objects that its controllers would create."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from signal_gateway.errors import HarnessError

__all__ = ["MANAGED_LABEL", "Workload", "parse_workload_reference", "workload_objects"]

MANAGED_LABEL: Final = "kubernaut.ai/managed"

_API_VERSIONS: Final = {
    "Deployment": "apps/v1",
    "ReplicaSet": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
    "Pod": "v1",
    "Node": "v1",
}
_CHILD_OF: Final = {
    "Deployment": "ReplicaSet",
    "ReplicaSet": "Pod",
    "StatefulSet": "Pod",
    "DaemonSet": "Pod",
    "CronJob": "Job",
    "Job": "Pod",
}
_CLUSTER_SCOPED: Final = ("Node",)
_CONTAINER: Final = {"name": "main", "image": "example.com/main:1"}
_SCHEDULE: Final = "0 * * * *"


@dataclass(frozen=True, slots=True)
class Workload:
    """The names of the objects of a workload.

    Attributes:
        namespace: The namespace; empty for a cluster-scoped kind.
        kind: The kind of the top object.
        name: The name of the top object.
        pods: The names of its pods; its own name if it is a pod.
    """

    namespace: str
    kind: str
    name: str
    pods: tuple[str, ...]


def parse_workload_reference(reference: str) -> tuple[str, str, str]:
    """Split a reference such as `prod/Deployment/api` or `Node/worker-1`.

    Returns:
        Namespace (empty for a cluster-scoped kind), kind and name.

    Raises:
        HarnessError: The reference has another form, or its kind is not supported.
    """
    parts = reference.split("/")
    namespace, kind, name = parts if len(parts) == 3 else ("", *parts) if len(parts) == 2 else ("", "", "")
    if kind not in _API_VERSIONS or not name:
        kinds = ", ".join(_API_VERSIONS)
        raise HarnessError(
            f'{reference!r} is no workload: write "namespace/Kind/name" or "Node/name"; the kinds are {kinds}'
        )
    if bool(namespace) == (kind in _CLUSTER_SCOPED):
        should = "have no namespace" if kind in _CLUSTER_SCOPED else "be in a namespace"
        raise HarnessError(f"{reference!r} is no workload: a {kind} must {should}")
    return namespace, kind, name


def workload_objects(
    namespace: str, kind: str, name: str, *, labels: dict[str, str], pods: int
) -> Iterator[tuple[dict[str, Any], bool]]:
    """Yield the objects of a workload from the top down. The owner of each one is the last owner before it.

    Args:
        namespace: The namespace; empty for a cluster-scoped kind.
        kind: The kind of the top object.
        name: The name of the top object.
        labels: The labels of the top object.
        pods: The number of pods.

    Yields:
        An object, and whether it owns the objects after it.
    """
    yield _object(kind, name, namespace, labels | _labels(name)), kind in _CHILD_OF
    above, own = kind, name
    while (child := _CHILD_OF.get(above)) is not None and child != "Pod":
        own = f"{own}-{_suffix(child)}"
        yield _object(child, own, namespace, _labels(name)), True
        above = child
    if above in _CHILD_OF:
        for number in range(pods):
            yield _object("Pod", f"{own}-{number}", namespace, _labels(name)), False


def _suffix(kind: str) -> str:
    return "5d4f8c7b9" if kind == "ReplicaSet" else "29000000"


def _labels(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": name}


def _object(kind: str, name: str, namespace: str, labels: dict[str, str]) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "labels": labels}
    if namespace:
        metadata["namespace"] = namespace
    document: dict[str, Any] = {"apiVersion": _API_VERSIONS[kind], "kind": kind, "metadata": metadata}
    if kind != "Node":
        document["spec"] = _spec(kind, _labels(labels["app.kubernetes.io/name"]))
    return document


def _spec(kind: str, labels: dict[str, str]) -> dict[str, Any]:
    restart = {"restartPolicy": "Never"} if kind in ("Job", "CronJob") else {}
    pod = {"containers": [_CONTAINER], **restart}
    template = {"metadata": {"labels": labels}, "spec": pod}
    match kind:
        case "Pod":
            return pod
        case "Job":
            return {"template": template}
        case "CronJob":
            return {"schedule": _SCHEDULE, "jobTemplate": {"spec": {"template": template}}}
        case "StatefulSet":
            return {"selector": {"matchLabels": labels}, "serviceName": "main", "template": template}
        case _:
            return {"selector": {"matchLabels": labels}, "template": template}

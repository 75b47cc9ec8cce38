"""Nodes and leases: defaults and checks."""

from signal_gateway.apiserver.apimachinery.objects import JsonObject
from signal_gateway.apiserver.apimachinery.status import Cause
from signal_gateway.apiserver.kinds.schema.strategy import ModelStrategy

__all__ = ["LEASES", "NODES"]

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
_SYSTEM = (
    "machineID",
    "systemUUID",
    "bootID",
    "kernelVersion",
    "osImage",
    "containerRuntimeVersion",
    "kubeletVersion",
    "kubeProxyVersion",
    "operatingSystem",
    "architecture",
)


def _default_node(new: JsonObject, old: JsonObject | None) -> None:
    spec, status = new.setdefault("spec", {}), new.setdefault("status", {})
    status.setdefault("daemonEndpoints", {"kubeletEndpoint": {"Port": 0}})
    status.setdefault("nodeInfo", dict.fromkeys(_SYSTEM, ""))
    if "capacity" in status:
        status.setdefault("allocatable", dict(status["capacity"]))
    taints = spec.get("taints", [])
    if old is None and not any(taint.get("key") == _NOT_READY["key"] for taint in taints):
        spec["taints"] = [*taints, dict(_NOT_READY)]  # as admission does


def _check_node(new: JsonObject, _old: JsonObject | None) -> list[Cause]:
    return [
        Cause.not_supported(f"metadata.taints[{index}].effect", taint["effect"], _EFFECTS)
        for index, taint in enumerate(new["spec"].get("taints", []))
        if taint["effect"] not in ("", *_EFFECTS)
    ]


def _default_lease(new: JsonObject, _old: JsonObject | None) -> None:
    new.setdefault("spec", {})


def _check_lease(new: JsonObject, _old: JsonObject | None) -> list[Cause]:
    spec = new["spec"]
    duration, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    causes = []
    if duration is not None and duration <= 0:
        causes.append(Cause.invalid("spec.leaseDurationSeconds", duration, "must be greater than 0"))
    if transitions is not None and transitions < 0:
        causes.append(Cause.invalid("spec.leaseTransitions", transitions, "must be greater than or equal to 0"))
    return causes


NODES = ModelStrategy("core_v1.Node", _default_node, _check_node)
LEASES = ModelStrategy("coordination_v1.Lease", _default_lease, _check_lease)

"""Nodes: defaults and validation."""

from signal_gateway.apiserver.apimachinery.objects import JsonObject
from signal_gateway.apiserver.apimachinery.status import Cause
from signal_gateway.apiserver.kinds.schema.strategy import ModelStrategy

__all__ = ["NODES"]

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


def _validate_node(new: JsonObject, _old: JsonObject | None) -> list[Cause]:
    return [
        Cause.not_supported(f"metadata.taints[{index}].effect", taint["effect"], _EFFECTS)
        for index, taint in enumerate(new["spec"].get("taints", []))
        if taint["effect"] not in ("", *_EFFECTS)
    ]


NODES = ModelStrategy("core_v1.Node", _default_node, _validate_node)

"""Pods, and the pod templates of workloads: defaults and validation.

After `pkg/apis/core/v1/defaults.go` and `pkg/apis/core/validation/validation.go` of Kubernetes.
"""

import re
from typing import Any

from signal_gateway.apiserver.apimachinery.objects import JsonObject, copy_json, encode
from signal_gateway.apiserver.apimachinery.quantities import quantity_value
from signal_gateway.apiserver.apimachinery.status import Cause

__all__ = ["default_pod", "default_template", "grace_period", "validate_pod", "validate_pod_spec"]

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    f"with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_RESTART_POLICIES = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_CONTAINERS = ("initContainers", "containers")

_EVICTION_SECONDS = 300
_FILE_MODE = 0o644

_MUTABLE_RULE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def default_pod(new: JsonObject, old: JsonObject | None) -> None:
    """Set the defaults of a pod, the tolerations that admission adds, and the status of a pod before it runs."""
    spec = new.setdefault("spec", {})
    default_pod_spec(spec)
    spec.setdefault("enableServiceLinks", True)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    spec.setdefault("priority", 0)
    tolerations = spec.setdefault("tolerations", [])
    for taint in ("not-ready", "unreachable"):
        key = f"node.kubernetes.io/{taint}"
        if not any(_tolerates(toleration, key) for toleration in tolerations):
            toleration = {"key": key, "operator": "Exists", "effect": "NoExecute"}
            tolerations.append(toleration | {"tolerationSeconds": _EVICTION_SECONDS})
    if old is None:
        new["status"] = {"phase": "Pending", "qosClass": _qos_class(spec)}


def _tolerates(toleration: JsonObject, key: str) -> bool:
    """Return whether a toleration already covers this taint of a node."""
    return toleration.get("key") in (None, key) and toleration.get("effect") in (None, "NoExecute")


def default_template(template: JsonObject) -> None:
    """Set the defaults of a pod template."""
    metadata = template.setdefault("metadata", {})
    metadata["creationTimestamp"] = None  # as servers before 1.33 write it
    default_pod_spec(template.setdefault("spec", {}))


def default_pod_spec(spec: JsonObject) -> None:
    """Set the defaults of a pod spec."""
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")
    if "serviceAccountName" in spec:
        spec.setdefault("serviceAccount", spec["serviceAccountName"])
    elif "serviceAccount" in spec:
        spec["serviceAccountName"] = spec["serviceAccount"]
    for volume in spec.get("volumes", []):
        _default_volume(volume)
    for field in _CONTAINERS:
        for container in spec.get(field, []):
            _default_container(container)


def _default_volume(volume: JsonObject) -> None:
    if volume.keys() <= {"name"}:
        volume["emptyDir"] = {}
    for source in ("configMap", "secret", "downwardAPI", "projected"):
        if source in volume:
            volume[source].setdefault("defaultMode", _FILE_MODE)
    if "hostPath" in volume:
        volume["hostPath"].setdefault("type", "")


def _default_container(container: JsonObject) -> None:
    resources = container.setdefault("resources", {})
    if limits := resources.get("limits"):
        resources["requests"] = limits | resources.get("requests", {})
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    tag = container.get("image", "").rpartition("/")[2].partition("@")[0].partition(":")[2]
    is_fixed = tag not in ("", "latest") or "@" in container.get("image", "")
    container.setdefault("imagePullPolicy", "IfNotPresent" if is_fixed else "Always")
    for port in container.get("ports", []):
        port.setdefault("protocol", "TCP")
    for variable in container.get("env", []):
        reference = variable.get("valueFrom", {}).get("fieldRef")
        if reference is not None:
            reference.setdefault("apiVersion", "v1")
    for name in _PROBES:
        if name in container:
            _default_probe(container[name])
    for handler in container.get("lifecycle", {}).values():
        if isinstance(handler, dict):
            _default_handler(handler)


def _default_probe(probe: JsonObject) -> None:
    for field, seconds_or_times in (
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ):
        if not probe.get(field):
            probe[field] = seconds_or_times
    _default_handler(probe)


def _default_handler(handler: JsonObject) -> None:
    if "httpGet" in handler:
        handler["httpGet"].setdefault("path", "/")
        handler["httpGet"].setdefault("scheme", "HTTP")


def _qos_class(spec: JsonObject) -> str:
    """Return the QoS class of a pod, by `pkg/apis/core/v1/helper/qos`."""
    containers = [container for field in _CONTAINERS for container in spec.get(field, [])]
    resources = [container.get("resources", {}) for container in containers]
    if not any(entry.get("limits") or entry.get("requests") for entry in resources):
        return "BestEffort"
    is_guaranteed = all(
        entry.get("limits", {}).keys() >= {"cpu", "memory"} and entry["limits"] == entry.get("requests")
        for entry in resources
    )
    return "Guaranteed" if is_guaranteed else "Burstable"


def grace_period(pod: JsonObject, requested: int | None) -> int:
    """Return the grace period of a deletion in seconds: 0 for a pod without a running container."""
    if not pod["spec"].get("nodeName") or pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    seconds: int = pod["spec"]["terminationGracePeriodSeconds"] if requested is None else requested
    return max(seconds, 0)


def validate_pod(new: JsonObject, old: JsonObject | None) -> list[Cause]:
    """Return the causes why a pod is invalid: on an update, only changes that are not allowed."""
    if old is None:
        return validate_pod_spec(new["spec"], "spec")
    return _validate_change(new["spec"], old["spec"])


def validate_pod_spec(spec: JsonObject, path: str, *, restart_policies: tuple[str, ...] = ()) -> list[Cause]:
    """Return the causes why a pod spec is invalid.

    Args:
        spec: A pod spec with its defaults.
        path: Its path in the object.
        restart_policies: The policies that its workload allows; empty for all.
    """
    causes: list[Cause] = []
    volumes = [volume.get("name", "") for volume in spec.get("volumes", [])]
    causes += _validate_names(volumes, f"{path}.volumes")
    names = [container.get("name", "") for field in _CONTAINERS for container in spec.get(field, [])]
    for field in _CONTAINERS:
        for index, container in enumerate(spec.get(field, [])):
            causes += _validate_container(container, volumes, f"{path}.{field}[{index}]")
    causes += _validate_names(names[len(spec.get("initContainers", [])) :], f"{path}.containers")
    policy = spec["restartPolicy"]
    if policy not in (restart_policies or _RESTART_POLICIES):
        allowed = restart_policies or _RESTART_POLICIES
        causes.append(Cause.not_supported(f"{path}.restartPolicy", policy, allowed))
    if spec["dnsPolicy"] not in _DNS_POLICIES:
        causes.append(Cause.not_supported(f"{path}.dnsPolicy", spec["dnsPolicy"], _DNS_POLICIES))
    return causes


def _validate_names(names: list[str], path: str) -> list[Cause]:
    causes = []
    for index, name in enumerate(names):
        if name and (len(name) > 63 or not re.fullmatch(_LABEL, name)):
            causes.append(Cause.invalid(f"{path}[{index}].name", name, _LABEL_RULE))
        elif name and name in names[:index]:
            causes.append(Cause.duplicate(f"{path}[{index}].name", name))
    return causes


def _validate_container(container: JsonObject, volumes: list[str], path: str) -> list[Cause]:
    causes: list[Cause] = []
    if not container.get("image"):
        causes.append(Cause.required(f"{path}.image"))
    if container["imagePullPolicy"] not in _PULL_POLICIES:
        causes.append(Cause.not_supported(f"{path}.imagePullPolicy", container["imagePullPolicy"], _PULL_POLICIES))
    for index, port in enumerate(container.get("ports", [])):
        causes += _validate_port(port, f"{path}.ports[{index}]")
    for index, mount in enumerate(container.get("volumeMounts", [])):
        if mount["name"] and mount["name"] not in volumes:
            causes.append(Cause.not_found(f"{path}.volumeMounts[{index}].name", mount["name"]))
    limits = container["resources"].get("limits", {})
    for resource, amount in container["resources"].get("requests", {}).items():
        if resource in limits and quantity_value(amount) > quantity_value(limits[resource]):
            rule = f"must be less than or equal to {resource} limit of {limits[resource]}"
            causes.append(Cause.invalid(f"{path}.resources.requests", amount, rule))
    return causes


def _validate_port(port: JsonObject, path: str) -> list[Cause]:
    causes = []
    number = port.get("containerPort", 0)
    if not number:
        causes.append(Cause.required(f"{path}.containerPort"))
    elif not 0 < number < 65536:
        causes.append(Cause.invalid(f"{path}.containerPort", number, "must be between 1 and 65535, inclusive"))
    if port["protocol"] not in _PROTOCOLS:
        causes.append(Cause.not_supported(f"{path}.protocol", port["protocol"], _PROTOCOLS))
    return causes


def _validate_change(new: JsonObject, old: JsonObject) -> list[Cause]:
    lengths = [len(spec.get("containers", [])) for spec in (new, old)]
    if lengths[0] != lengths[1]:
        return [Cause.forbidden("spec.containers", "pod updates may not add or remove containers")]
    if encode(_immutable_fields(new, old)) != encode(_immutable_fields(old, old)):
        return [Cause.forbidden("spec", _MUTABLE_RULE)]
    return []


def _immutable_fields(spec: JsonObject, old: JsonObject) -> JsonObject:
    """Return a spec without its mutable fields."""
    kept = copy_json(spec)
    kept.pop("activeDeadlineSeconds", None)
    for field in _CONTAINERS:
        for container in kept.get(field, []):
            container.pop("image", None)
    before: list[Any] = old.get("tolerations", [])
    if all(toleration in kept.get("tolerations", []) for toleration in before):
        kept["tolerations"] = before
    return kept

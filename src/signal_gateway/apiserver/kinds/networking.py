"""Network policies and ingresses (networking.k8s.io): defaults and validation.

After `pkg/apis/networking/v1/defaults.go` and `pkg/apis/networking/validation` of Kubernetes.
"""

from collections.abc import Iterator

from signal_gateway.apiserver.apimachinery.objects import JsonObject
from signal_gateway.apiserver.apimachinery.status import Cause
from signal_gateway.apiserver.kinds.schema.strategy import ModelStrategy

__all__ = ["INGRESSES", "NETWORK_POLICIES"]

_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")


def _default_network_policy(new: JsonObject, _old: JsonObject | None) -> None:
    spec = new.setdefault("spec", {})
    spec.setdefault("podSelector", {})
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
    for rule in (*spec.get("ingress", []), *spec.get("egress", [])):
        for port in rule.get("ports", []):
            port.setdefault("protocol", "TCP")


def _validate_network_policy(new: JsonObject, _old: JsonObject | None) -> list[Cause]:
    return [
        Cause.not_supported(f"spec.policyTypes[{index}]", type, ("Ingress", "Egress"))
        for index, type in enumerate(new["spec"]["policyTypes"])
        if type not in ("Ingress", "Egress")
    ]


def _default_ingress(new: JsonObject, old: JsonObject | None) -> None:
    new.setdefault("spec", {})
    if old is None:
        new["status"] = {"loadBalancer": {}}


def _validate_ingress(new: JsonObject, _old: JsonObject | None) -> list[Cause]:
    spec = new["spec"]
    if not spec.get("rules") and "defaultBackend" not in spec:
        detail = "either `defaultBackend` or `rules` must be specified"
        return [Cause("FieldValueInvalid", "spec", f"Invalid value: []networking.IngressRule(nil): {detail}")]
    causes = []
    for path, rule in _paths_of(spec):
        if rule["pathType"] not in ("", *_PATH_TYPES):
            causes.append(Cause.not_supported(f"{path}.pathType", rule["pathType"], _PATH_TYPES))
        causes += _validate_backend(rule["backend"], f"{path}.backend")
    return causes + (
        _validate_backend(spec["defaultBackend"], "spec.defaultBackend") if "defaultBackend" in spec else []
    )


def _paths_of(spec: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    for index, rule in enumerate(spec.get("rules", [])):
        for place, path in enumerate(rule.get("http", {}).get("paths", [])):
            yield f"spec.rules[{index}].http.paths[{place}]", path


def _validate_backend(backend: JsonObject, path: str) -> list[Cause]:
    port = backend.get("service", {}).get("port", {})
    if "service" in backend and not port.get("name") and not port.get("number"):
        return [Cause.required(path, "port name or number is required")]
    return []


NETWORK_POLICIES = ModelStrategy("networking_v1.NetworkPolicy", _default_network_policy, _validate_network_policy)
INGRESSES = ModelStrategy("networking_v1.Ingress", _default_ingress, _validate_ingress)

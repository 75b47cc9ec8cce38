"""Services, endpoints, network policies and ingresses: defaults and checks.

After `pkg/apis/core/v1/defaults.go`, `pkg/apis/networking` and their validation in Kubernetes. Addresses and node
ports are drawn from the object's uid: they are valid and stable, but nothing keeps two services from asking for the
same one.
"""

import ipaddress
import uuid
from collections.abc import Iterator

from signal_gateway.apiserver.apimachinery.objects import JsonObject
from signal_gateway.apiserver.apimachinery.status import Cause
from signal_gateway.apiserver.kinds.schema.strategy import ModelStrategy

__all__ = ["ENDPOINTS", "INGRESSES", "NETWORK_POLICIES", "SERVICES"]

_CLUSTER_NETWORK = ipaddress.ip_network("10.96.0.0/12")
_FIRST_NODE_PORT, _NODE_PORTS = 30000, 2768
_SERVICE_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_PORT_RULE = "must be between 1 and 65535, inclusive"


def _default_service(new: JsonObject, old: JsonObject | None) -> None:
    spec = new.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    if spec["sessionAffinity"] == "ClientIP":
        spec.setdefault("sessionAffinityConfig", {"clientIP": {"timeoutSeconds": 10800}})
    for port in spec.get("ports", []):
        port.setdefault("protocol", "TCP")
        if not port.get("targetPort"):
            port["targetPort"] = port.get("port", 0)
    if old is None:
        new["status"] = {"loadBalancer": {}}
    if spec["type"] != "ExternalName":
        _allocate(new, old)


def _allocate(new: JsonObject, old: JsonObject | None) -> None:
    spec = new["spec"]
    before = old["spec"] if old is not None else {}
    drawn = uuid.UUID(new["metadata"]["uid"]).int
    address = _CLUSTER_NETWORK[1 + drawn % (_CLUSTER_NETWORK.num_addresses - 2)]
    spec.setdefault("clusterIP", before.get("clusterIP", str(address)))
    spec.setdefault("clusterIPs", [spec["clusterIP"]])
    spec.setdefault("internalTrafficPolicy", "Cluster")
    if spec["clusterIP"] != "None":
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
    if spec["type"] not in ("NodePort", "LoadBalancer"):
        return
    spec.setdefault("externalTrafficPolicy", "Cluster")
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    known = {port["port"]: port.get("nodePort") for port in before.get("ports", [])}
    for index, port in enumerate(spec.get("ports", [])):
        if not port.get("nodePort"):
            port["nodePort"] = known.get(port.get("port")) or _FIRST_NODE_PORT + (drawn + index) % _NODE_PORTS


def _check_service(new: JsonObject, old: JsonObject | None) -> list[Cause]:
    spec = new["spec"]
    ports = spec.get("ports", [])
    causes = []
    if spec["type"] not in _SERVICE_TYPES:
        causes.append(Cause.not_supported("spec.type", spec["type"], _SERVICE_TYPES))
    if spec["type"] == "ExternalName":
        causes += [] if spec.get("externalName") else [Cause.required("spec.externalName")]
    elif not ports and spec.get("clusterIP") != "None":
        causes.append(Cause.required("spec.ports"))
    for index, port in enumerate(ports):
        path = f"spec.ports[{index}]"
        if len(ports) > 1 and not port.get("name"):
            causes.append(Cause.required(f"{path}.name"))
        for field in ("port", "targetPort"):
            if isinstance(port.get(field), int) and not 0 < port[field] < 65536:
                causes.append(Cause.invalid(f"{path}.{field}", port[field], _PORT_RULE))
        if port["protocol"] not in _PROTOCOLS:
            causes.append(Cause.not_supported(f"{path}.protocol", port["protocol"], _PROTOCOLS))
    return causes + _check_address(spec, old["spec"] if old is not None else {})


def _check_address(new: JsonObject, old: JsonObject) -> list[Cause]:
    if new["type"] == "ExternalName" or new["clusterIP"] == old.get("clusterIP", new["clusterIP"]):
        return []
    return [Cause.invalid("spec.clusterIPs[0]", [new["clusterIP"]], "may not change once set")]


def _default_endpoints(new: JsonObject, _old: JsonObject | None) -> None:
    for subset in new.get("subsets", []):
        for port in subset.get("ports", []):
            port.setdefault("protocol", "TCP")


def _check_endpoints(new: JsonObject, _old: JsonObject | None) -> list[Cause]:
    causes = []
    for index, subset in enumerate(new.get("subsets", [])):
        path = f"subsets[{index}]"
        for field in ("addresses", "notReadyAddresses"):
            for place, address in enumerate(subset.get(field, [])):
                if not _is_address(address["ip"]):
                    detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
                    causes.append(Cause.invalid(f"{path}.{field}[{place}].ip", address["ip"], detail))
        for place, port in enumerate(subset.get("ports", [])):
            if not 0 < port["port"] < 65536:
                causes.append(Cause.invalid(f"{path}.ports[{place}].port", port["port"], _PORT_RULE))
    return causes


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _default_network_policy(new: JsonObject, _old: JsonObject | None) -> None:
    spec = new.setdefault("spec", {})
    spec.setdefault("podSelector", {})
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
    for rule in (*spec.get("ingress", []), *spec.get("egress", [])):
        for port in rule.get("ports", []):
            port.setdefault("protocol", "TCP")


def _check_network_policy(new: JsonObject, _old: JsonObject | None) -> list[Cause]:
    return [
        Cause.not_supported(f"spec.policyTypes[{index}]", type, ("Ingress", "Egress"))
        for index, type in enumerate(new["spec"]["policyTypes"])
        if type not in ("Ingress", "Egress")
    ]


def _default_ingress(new: JsonObject, old: JsonObject | None) -> None:
    new.setdefault("spec", {})
    if old is None:
        new["status"] = {"loadBalancer": {}}


def _check_ingress(new: JsonObject, _old: JsonObject | None) -> list[Cause]:
    spec = new["spec"]
    if not spec.get("rules") and "defaultBackend" not in spec:
        detail = "either `defaultBackend` or `rules` must be specified"
        return [Cause("FieldValueInvalid", "spec", f"Invalid value: []networking.IngressRule(nil): {detail}")]
    causes = []
    for path, rule in _paths_of(spec):
        if rule["pathType"] not in ("", *_PATH_TYPES):
            causes.append(Cause.not_supported(f"{path}.pathType", rule["pathType"], _PATH_TYPES))
        causes += _check_backend(rule["backend"], f"{path}.backend")
    return causes + (_check_backend(spec["defaultBackend"], "spec.defaultBackend") if "defaultBackend" in spec else [])


def _paths_of(spec: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    for index, rule in enumerate(spec.get("rules", [])):
        for place, path in enumerate(rule.get("http", {}).get("paths", [])):
            yield f"spec.rules[{index}].http.paths[{place}]", path


def _check_backend(backend: JsonObject, path: str) -> list[Cause]:
    port = backend.get("service", {}).get("port", {})
    if "service" in backend and not port.get("name") and not port.get("number"):
        return [Cause.required(path, "port name or number is required")]
    return []


SERVICES = ModelStrategy("core_v1.Service", _default_service, _check_service)
ENDPOINTS = ModelStrategy("core_v1.Endpoints", _default_endpoints, _check_endpoints)
NETWORK_POLICIES = ModelStrategy("networking_v1.NetworkPolicy", _default_network_policy, _check_network_policy)
INGRESSES = ModelStrategy("networking_v1.Ingress", _default_ingress, _check_ingress)

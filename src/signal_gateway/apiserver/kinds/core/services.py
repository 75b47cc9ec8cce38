"""Services and endpoints: defaults and validation.

After `pkg/apis/core/v1/defaults.go` and `pkg/apis/core/validation/validation.go` of Kubernetes. Addresses and node
ports are derived from the object's uid: they are valid and stable, but two services may have the same one.
"""

import ipaddress
import uuid

from signal_gateway.apiserver.apimachinery.objects import JsonObject
from signal_gateway.apiserver.apimachinery.status import Cause
from signal_gateway.apiserver.kinds.schema.strategy import ModelStrategy

__all__ = ["ENDPOINTS", "SERVICES"]

_CLUSTER_NETWORK = ipaddress.ip_network("10.96.0.0/12")
_FIRST_NODE_PORT, _NODE_PORTS = 30000, 2768
_SERVICE_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
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
    number = uuid.UUID(new["metadata"]["uid"]).int
    address = _CLUSTER_NETWORK[1 + number % (_CLUSTER_NETWORK.num_addresses - 2)]
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
            port["nodePort"] = known.get(port.get("port")) or _FIRST_NODE_PORT + (number + index) % _NODE_PORTS


def _validate_service(new: JsonObject, old: JsonObject | None) -> list[Cause]:
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
    return causes + _validate_address(spec, old["spec"] if old is not None else {})


def _validate_address(new: JsonObject, old: JsonObject) -> list[Cause]:
    if new["type"] == "ExternalName" or new["clusterIP"] == old.get("clusterIP", new["clusterIP"]):
        return []
    return [Cause.invalid("spec.clusterIPs[0]", [new["clusterIP"]], "may not change once set")]


def _default_endpoints(new: JsonObject, _old: JsonObject | None) -> None:
    for subset in new.get("subsets", []):
        for port in subset.get("ports", []):
            port.setdefault("protocol", "TCP")


def _validate_endpoints(new: JsonObject, _old: JsonObject | None) -> list[Cause]:
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


SERVICES = ModelStrategy("core_v1.Service", _default_service, _validate_service)
ENDPOINTS = ModelStrategy("core_v1.Endpoints", _default_endpoints, _validate_endpoints)

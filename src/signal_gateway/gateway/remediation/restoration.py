"""Restoration: a RemediationRequest rebuilt from its `gateway.crd.created` event."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from signal_gateway.clock import parse_rfc3339
from signal_gateway.errors import SignalGatewayError
from signal_gateway.gateway.remediation.requests import remediation_request_manifest
from signal_gateway.gateway.signals.signal import Signal, Target

__all__ = ["RestoredRequest", "restored_request"]

_NEEDED: Final = (
    *("remediation_request", "signal_name", "signal_type", "severity", "fingerprint", "resource_kind", "resource_name"),
    *("signal_labels", "signal_annotations", "original_payload"),
)
_UNKNOWN: Final = "1970-01-01T00:00:00Z"
# a path in the object, by the member of `restoration` that it comes from
_PATHS: Final = {
    "api_version": ("spec", "targetResource", "apiVersion"),
    "source": ("spec", "signalSource"),
    "fired_at": ("spec", "firingTime"),
    "received_at": ("spec", "receivedTime"),
    "request": ("metadata", "annotations"),
}


@dataclass(frozen=True, slots=True)
class RestoredRequest:
    """A RemediationRequest as the gateway created it.

    Attributes:
        request: The object in the API's JSON shape.
        missing: The fields that the trail does not have, or has in part, in words.
    """

    request: dict[str, Any]
    missing: tuple[str, ...]


def restored_request(event: Mapping[str, Any]) -> RestoredRequest:
    """Rebuild a RemediationRequest.

    Args:
        event: The `gateway.crd.created` event, in wire format. One of an older release, or of a DataStorage that drops
            members, lacks some.

    Raises:
        SignalGatewayError: The event lacks what no RemediationRequest is without.
    """
    data = event["event_data"]
    if absent := [name for name in _NEEDED if name not in data]:
        raise SignalGatewayError(
            f"no RemediationRequest can be rebuilt from the event {event['event_id']}: its event_data has no"
            f" {', '.join(absent)}"
        )
    kept: dict[str, str] = data.get("restoration", {})
    namespace, _, name = data["remediation_request"].partition("/")
    signal = Signal(
        name=data["signal_name"],
        severity=data["severity"],
        status="firing",
        source=kept.get("source", ""),
        target=Target(
            data["resource_kind"],
            data["resource_name"],
            kept.get("target_namespace", None if kept else data.get("namespace")),
            kept.get("api_version", ""),
        ),
        cluster_id=kept.get("cluster_id"),
        namespace=kept.get("namespace", None if kept else data.get("namespace")),
        labels=data["signal_labels"],
        annotations=data["signal_annotations"],
        fired_at=parse_rfc3339(kept.get("fired_at", _UNKNOWN)),
        received_at=parse_rfc3339(kept.get("received_at", _UNKNOWN)),
        payload=data["original_payload"],
    )
    request = remediation_request_manifest(
        signal,
        name=name,
        namespace=namespace,
        signal_type=data["signal_type"],
        idempotency_key=kept.get("request", ""),
        created_at=kept.get("created_at", ""),
    )
    request["spec"]["signalFingerprint"] = data["fingerprint"]
    missing = [_removed(request, path) for member, path in _PATHS.items() if member not in kept]
    if "remediation_request_uid" in data:
        request["metadata"]["uid"] = data["remediation_request_uid"]
    else:
        missing.append("metadata.uid")
    if not kept:
        missing.append(
            "spec.clusterID, and the namespaces may be those of the signal: the event is of an older"
            " release, or DataStorage dropped a part of it"
        )
    if data.get("truncated"):
        missing.append(f"spec.originalPayload: cut, SHA-256 {data['original_payload_sha256']}")
    if kept.get("cut"):
        missing.append(f"{kept['cut']}: the first entries only")
    missing.append("status: it belongs to the controller")
    return RestoredRequest(request, tuple(missing))


def _removed(request: dict[str, Any], path: tuple[str, ...]) -> str:
    """Remove a field that is not known, and return its path."""
    parent = request
    for name in path[:-1]:
        parent = parent[name]
    del parent[path[-1]]
    return ".".join(path)

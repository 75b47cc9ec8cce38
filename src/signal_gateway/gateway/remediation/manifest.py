"""The RemediationRequest that a signal leads to, and the signal that led to a RemediationRequest."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from signal_gateway.gateway.audit.truncate import cut_mapping, cut_utf8
from signal_gateway.gateway.signals.signal import Signal
from signal_gateway.gateway.signals.target import Target
from signal_gateway.gateway.timestamps import parse_rfc3339, rfc3339
from signal_gateway.kubernetes import GROUP, VERSION

__all__ = ["CreatedFrom", "created_from", "mark_in", "remediation_request_manifest"]

_REQUEST_ANNOTATION = "signal-gateway/request"
_CREATED_AT_ANNOTATION = "kubernaut.ai/created-at"
_LABELS = {"app.kubernetes.io/managed-by": "gateway-service", "app.kubernetes.io/component": "remediation"}
_MAX_OBJECT_BYTES = 1024 * 1024
# Together below 1 MiB even when written as JSON within JSON, which at most doubles them; labels are in it twice.
_SHARE_BYTES = 128 * 1024


@dataclass(frozen=True, slots=True)
class CreatedFrom:
    """What a RemediationRequest tells of its creation.

    Attributes:
        signal: The signal that led to it, but for its sender.
        signal_type: What the signal's adapter calls its signals.
        decided_at: When a gateway decided to create it.
    """

    signal: Signal
    signal_type: str
    decided_at: datetime


def remediation_request_manifest(
    signal: Signal, *, name: str, namespace: str, signal_type: str, mark: str, created_at: str
) -> dict[str, Any]:
    """Build the object to create.

    Labels, annotations and the payload are whole, unless the object would pass 1 MiB.

    Args:
        signal: A firing signal.
        name: Name of the object.
        namespace: The controller namespace.
        signal_type: What the signal's adapter calls its signals, such as `alert`.
        mark: Value of the annotation by which a create is known again as ours, after its answer was lost.
        created_at: Now, in RFC 3339.
    """
    assert signal.target is not None, "a firing signal has a target"
    payload = orjson.dumps(signal.payload)
    labels, annotations = dict(signal.labels), dict(signal.annotations)
    if len(payload) + len(orjson.dumps([labels, annotations])) > _MAX_OBJECT_BYTES // 4:
        payload = payload[:_SHARE_BYTES]
        labels, annotations = cut_mapping(labels, _SHARE_BYTES), cut_mapping(annotations, _SHARE_BYTES)

    target = {"kind": signal.target.kind, "name": signal.target.name, "apiVersion": signal.target.api_version}
    if signal.target.namespace is not None:
        target["namespace"] = signal.target.namespace
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "RemediationRequest",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": dict(_LABELS),
            "annotations": {_CREATED_AT_ANNOTATION: created_at, _REQUEST_ANNOTATION: mark},
        },
        "spec": {
            "signalFingerprint": signal.fingerprint,
            "signalName": signal.name,
            "severity": signal.severity,
            "signalType": signal_type,
            "targetType": "kubernetes",
            "signalSource": signal.source,
            "targetResource": target,
            "firingTime": rfc3339(signal.fired_at),
            "receivedTime": rfc3339(signal.received_at),
            "signalLabels": labels,
            "signalAnnotations": annotations,
            "providerData": orjson.dumps({"labels": labels, "namespace": signal.namespace}).decode(),
            "originalPayload": cut_utf8(payload, len(payload)),
        }
        | ({"clusterID": signal.cluster_id} if signal.cluster_id is not None else {}),
    }


def mark_in(request: Mapping[str, Any]) -> str | None:
    """Return for which signal of which request a RemediationRequest was created; None if no gateway did that."""
    mark: str | None = (request["metadata"].get("annotations") or {}).get(_REQUEST_ANNOTATION)
    return mark


def created_from(request: Mapping[str, Any]) -> CreatedFrom:
    """Read what `remediation_request_manifest` wrote.

    Args:
        request: A RemediationRequest with a mark, as the API sent it.
    """
    metadata, spec = request["metadata"], request["spec"]
    target = spec["targetResource"]
    signal = Signal(
        name=spec["signalName"],
        severity=spec["severity"],
        status="firing",
        source=spec["signalSource"],
        target=Target(target["kind"], target["name"], target.get("namespace"), target["apiVersion"]),
        cluster_id=spec.get("clusterID"),
        namespace=orjson.loads(spec["providerData"])["namespace"],
        labels=spec.get("signalLabels") or {},
        annotations=spec.get("signalAnnotations") or {},
        fired_at=parse_rfc3339(spec["firingTime"]),
        received_at=parse_rfc3339(spec["receivedTime"]),
        payload=_payload(spec["originalPayload"]),
    )
    return CreatedFrom(
        signal,
        signal_type=spec["signalType"],
        decided_at=parse_rfc3339(metadata["annotations"].get(_CREATED_AT_ANNOTATION, spec["receivedTime"])),
    )


def _payload(text: str) -> dict[str, Any]:
    try:
        payload: dict[str, Any] = orjson.loads(text)
    except orjson.JSONDecodeError:  # it was too large, and is cut
        return {"json": text}
    return payload

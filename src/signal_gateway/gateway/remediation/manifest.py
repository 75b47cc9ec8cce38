"""The RemediationRequest that a signal leads to."""

from typing import Any

import orjson

from signal_gateway.gateway.signals.signal import Signal
from signal_gateway.gateway.timestamps import rfc3339
from signal_gateway.gateway.truncation import cut_mapping, cut_text
from signal_gateway.kubernetes import GROUP, VERSION

__all__ = ["REQUEST_ANNOTATION", "remediation_request_manifest"]

REQUEST_ANNOTATION = "signal-gateway/request"

_CREATED_AT_ANNOTATION = "kubernaut.ai/created-at"
_LABELS = {"app.kubernetes.io/managed-by": "gateway-service", "app.kubernetes.io/component": "remediation"}
_MAX_OBJECT_BYTES = 1024 * 1024
# Together below 1 MiB even when written as JSON within JSON, which at most doubles them; labels are in it twice.
_SHARE_BYTES = 128 * 1024


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
    payload = orjson.dumps(signal.payload).decode()
    labels, annotations = dict(signal.labels), dict(signal.annotations)
    if len(payload) + len(orjson.dumps([labels, annotations])) > _MAX_OBJECT_BYTES // 4:
        payload = cut_text(payload, _SHARE_BYTES)
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
            "annotations": {_CREATED_AT_ANNOTATION: created_at, REQUEST_ANNOTATION: mark},
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
            "originalPayload": payload,
        }
        | ({"clusterID": signal.cluster_id} if signal.cluster_id is not None else {}),
    }

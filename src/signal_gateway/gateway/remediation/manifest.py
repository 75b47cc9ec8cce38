"""The name and the content of the RemediationRequest of a signal, and the signal of a RemediationRequest."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import orjson

from signal_gateway.clock import parse_rfc3339, rfc3339
from signal_gateway.gateway.audit.events import cut_mapping, cut_utf8
from signal_gateway.gateway.signals.signal import Signal, Target
from signal_gateway.kubernetes import GROUP, VERSION, RemediationRecord

__all__ = [
    "MAX_CLASHES",
    "CreatedFrom",
    "created_from",
    "idempotency_key_in",
    "newest_ended",
    "remediation_request_manifest",
    "remediation_request_name",
]

MAX_CLASHES = 8

_REQUEST_ANNOTATION = "signal-gateway/request"
_CREATED_AT_ANNOTATION = "kubernaut.ai/created-at"
_LABELS = {"app.kubernetes.io/managed-by": "gateway-service", "app.kubernetes.io/component": "remediation"}
_MAX_OBJECT_BYTES = 1024 * 1024
# Below 1 MiB together, even as JSON within JSON, which at most doubles them; the labels are in the object twice.
_SHARE_BYTES = 128 * 1024


@dataclass(frozen=True, slots=True)
class CreatedFrom:
    """The origin of a RemediationRequest, read from the object.

    Attributes:
        signal: The signal that the object was created for, without its sender.
        signal_type: `signalType` of the adapter.
        decided_at: Time of the decision to create the object.
    """

    signal: Signal
    signal_type: str
    decided_at: datetime


def remediation_request_name(
    *, namespace_uid: str, fingerprint: str, previous_uid: str | None = None, clashes: int = 0
) -> str:
    """Derive the name of the next RemediationRequest of a problem.

    The same cluster, problem and history give the same name in every replica.

    Args:
        namespace_uid: uid of the controller namespace; it differs in every cluster.
        fingerprint: The fingerprint of the problem.
        previous_uid: uid of the newest ended RemediationRequest of the problem, if any.
        clashes: Number of names before this one that other problems had taken.

    Returns:
        A name that matches `^rr-[a-f0-9]{12}-[a-f0-9]{8}$`.
    """
    history = f"{namespace_uid}:{fingerprint}:{previous_uid or ''}:{clashes}"
    return f"rr-{fingerprint[:12]}-{sha256(history.encode()).hexdigest()[:8]}"


def newest_ended(
    records: Iterable[RemediationRecord], *, namespace_uid: str, fingerprint: str
) -> RemediationRecord | None:
    """Return the newest ended RemediationRequest of a problem; None if there is none.

    creationTimestamp has a resolution of one second, and a RemediationRequest can end sooner. But each name is derived
    from the uid before it, so the chain of names, from the newest timestamp on, gives the order.

    Args:
        records: RemediationRequests of the fingerprint; active ones are skipped.
        namespace_uid: uid of the controller namespace.
        fingerprint: The fingerprint of the problem.
    """
    ended: dict[str, RemediationRecord] = {}
    for record in records:
        if not record.is_active:
            ended[record.name] = record
    if not ended:
        return None
    newest = max(ended.values(), key=lambda record: (record.created_at, record.name))
    while True:
        del ended[newest.name]
        names = (
            remediation_request_name(
                namespace_uid=namespace_uid, fingerprint=fingerprint, previous_uid=newest.uid, clashes=clashes
            )
            for clashes in range(MAX_CLASHES)
        )
        successor = next((ended[name] for name in names if name in ended), None)
        if successor is None:
            return newest
        newest = successor


def remediation_request_manifest(
    signal: Signal, *, name: str, namespace: str, signal_type: str, idempotency_key: str, created_at: str
) -> dict[str, Any]:
    """Build the object to create.

    Labels, annotations and payload are complete, unless the object would exceed 1 MiB.

    Args:
        signal: A firing signal.
        name: Name of the object.
        namespace: The controller namespace.
        signal_type: `signalType` of the adapter, such as `alert`.
        idempotency_key: Value of the annotation that identifies our own create after a lost response.
        created_at: The current time in RFC 3339.
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
            "annotations": {_CREATED_AT_ANNOTATION: created_at, _REQUEST_ANNOTATION: idempotency_key},
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


def idempotency_key_in(request: Mapping[str, Any]) -> str | None:
    """Return the idempotency key of a RemediationRequest; None if no gateway created it."""
    key: str | None = (request["metadata"].get("annotations") or {}).get(_REQUEST_ANNOTATION)
    return key


def created_from(request: Mapping[str, Any]) -> CreatedFrom:
    """Read the origin of a RemediationRequest from the object that `remediation_request_manifest` built.

    Args:
        request: A RemediationRequest with an idempotency key, as the API sent it.
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
    except orjson.JSONDecodeError:  # the payload was too large and is truncated
        return {"json": text}
    return payload

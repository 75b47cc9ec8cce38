"""The audit events of a gateway: one pure function per event type.

The resource of each event is the workload: `resource_type` is its kind, `resource_id` its `namespace/name` or name, and
`namespace` its namespace. A signal without a target is a `Signal` by its name. `event_data` has the name of the alert
(`signal_name`) and the `fingerprint`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, Literal
from uuid import UUID

import orjson

from signal_gateway.audit.event import MAX_CORRELATION_ID_LENGTH, MAX_SEVERITY_LENGTH, AuditEvent
from signal_gateway.clock import rfc3339
from signal_gateway.gateway.signals.signal import InvalidSignal, RejectedSignal, Signal, Target
from signal_gateway.kubernetes import RemediationRecord

__all__ = [
    "CRD_CONFLICT",
    "CRD_CREATED",
    "CRD_FAILED",
    "SIGNAL_DEDUPLICATED",
    "SIGNAL_RECEIVED",
    "SIGNAL_REJECTED",
    "SIGNAL_RESOLVED",
    "active_conflict",
    "created_events",
    "creation_failed",
    "cut_mapping",
    "cut_text",
    "cut_utf8",
    "failure_correlation_id",
    "out_of_scope",
    "signal_deduplicated",
    "signal_rejected",
    "signal_resolved",
    "with_uid",
]


def cut_text(text: str, max_bytes: int) -> str:
    """Return the longest prefix of a text with at most `max_bytes` of UTF-8."""
    encoded = text.encode()
    return text if len(encoded) <= max_bytes else cut_utf8(encoded, max_bytes)


def cut_utf8(encoded: bytes, max_bytes: int) -> str:
    """Return the longest prefix of a UTF-8 text with at most `max_bytes`, without decoding the rest."""
    return encoded[:max_bytes].decode(errors="ignore")


def cut_mapping(mapping: Mapping[str, str], max_bytes: int) -> dict[str, str]:
    """Return the first entries of a mapping whose JSON has at most `max_bytes`. Each entry is kept whole or dropped.

    Args:
        mapping: A map of strings, such as labels.
        max_bytes: Highest size of the result as JSON.
    """
    remaining = max_bytes - len("{}")
    kept = {}
    for key, value in mapping.items():
        remaining -= len(orjson.dumps(key)) + len(orjson.dumps(value)) + len(":,")
        if remaining < 0:
            break
        kept[key] = value
    return kept


SIGNAL_RECEIVED = "gateway.signal.received"
SIGNAL_DEDUPLICATED = "gateway.signal.deduplicated"
SIGNAL_REJECTED = "gateway.signal.rejected"
SIGNAL_RESOLVED = "gateway.signal.resolved"
CRD_CREATED = "gateway.crd.created"
CRD_FAILED = "gateway.crd.failed"
CRD_CONFLICT = "gateway.crd.conflict"

_CREATION_SEQUENCE = {SIGNAL_RECEIVED: 0, CRD_CREATED: 1}

_MAX_PAYLOAD_BYTES = 64 * 1024
# Beside a cut payload, which written as JSON within JSON may take twice its bytes, both fit into an event's 256 KiB.
_MAX_MAPPING_BYTES = 56 * 1024
_MAX_MESSAGE_BYTES = 1024
_MAX_ACTOR_LENGTH = 255
_MAX_RESOURCE_TYPE_LENGTH = 100
_MAX_RESOURCE_ID_LENGTH = 255  # a namespace and a name of the greatest length are longer; event_data has both
_MAX_CODE_LENGTH = 50
_REJECTED = "rejected"  # in event_data: the envelope knows success, failure and pending
_UNKNOWN_UID = "00000000-0000-0000-0000-000000000000"


def created_events(
    signal: Signal, *, signal_type: str, name: str, namespace: str, idempotency_key: str, at: datetime
) -> tuple[AuditEvent, AuditEvent]:
    """Return the events of a creation before the creation, so that no object is created without a valid event.

    The UID of the object is not known yet: the events have a placeholder of the same size, which `with_uid` replaces.
    The second event has all that the object can be rebuilt from; see `remediation.restoration`.

    Returns:
        `gateway.signal.received` and `gateway.crd.created`, correlated by the RemediationRequest's name.
    """
    data = _signal_data(signal, signal_type) | {
        "remediation_request": f"{namespace}/{name}",
        "remediation_request_uid": _UNKNOWN_UID,
        "deduplication_status": "new",
        "occurrence_count": 1,
    }
    received = _event(SIGNAL_RECEIVED, signal, data, correlation_id=name, at=at)
    created = _event(
        CRD_CREATED,
        signal,
        data | {"restoration": _restoration(signal, data, idempotency_key=idempotency_key, at=at)},
        correlation_id=name,
        at=at,
    )
    return received, created


def _restoration(signal: Signal, data: Mapping[str, Any], *, idempotency_key: str, at: datetime) -> dict[str, str]:
    """Return the texts of a RemediationRequest that no other member of its event has."""
    assert signal.target is not None, "a firing signal has a target"
    cut = [
        field
        for field, kept, whole in (
            ("spec.signalLabels", data["signal_labels"], signal.labels),
            ("spec.signalAnnotations", data["signal_annotations"], signal.annotations),
        )
        if len(kept) < len(whole)
    ]
    texts = {
        "api_version": signal.target.api_version,
        "target_namespace": signal.target.namespace,
        "namespace": signal.namespace,
        "source": signal.source,
        "cluster_id": signal.cluster_id,
        "fired_at": rfc3339(signal.fired_at),
        "received_at": rfc3339(signal.received_at),
        "created_at": rfc3339(at),
        "request": idempotency_key,
        "cut": " and ".join(cut) or None,
    }
    return {name: text for name, text in texts.items() if text is not None}


def with_uid(event: AuditEvent, record: RemediationRecord, *, at: datetime) -> AuditEvent:
    """Return an event of a creation with the UID of the created object, and with an id that is derived from the UID.

    The id is a UUIDv7 (RFC 9562, 5.7) whose random part is a hash; the events of a creation sort in their order.

    Args:
        event: One of `created_events`.
        record: The RemediationRequest.
        at: Time of the response from the API server.
    """
    milliseconds = int(record.created_at.timestamp() * 1000)
    digest = sha256(f"{record.uid}:{event.event_type}".encode()).digest()
    tail = int.from_bytes(digest[:8], "big") >> 2
    sequence = _CREATION_SEQUENCE[event.event_type]
    changes: dict[str, Any] = {
        "event_id": str(UUID(int=milliseconds << 80 | 7 << 76 | sequence << 64 | 0b10 << 62 | tail)),
        "event_data": event.event_data | {"remediation_request_uid": record.uid},
    }
    if event.event_type == CRD_CREATED:
        changes["event_timestamp"] = at
    return event.model_copy(update=changes)


def signal_deduplicated(
    signal: Signal, *, signal_type: str, name: str, namespace: str, uid: str, count: int, at: datetime
) -> AuditEvent:
    """Return the event of a duplicate, counted as occurrence number `count`."""
    data = _signal_data(signal, signal_type) | {
        "remediation_request": f"{namespace}/{name}",
        "remediation_request_uid": uid,
        "deduplication_status": "duplicate",
        "occurrence_count": count,
    }
    return _event(SIGNAL_DEDUPLICATED, signal, data, correlation_id=name, at=at)


def creation_failed(
    signal: Signal, *, signal_type: str, message: str, code: str, can_be_retried: bool, at: datetime
) -> AuditEvent:
    """Return the event of one failed attempt to create a RemediationRequest.

    Args:
        signal: The signal to remediate.
        signal_type: `signal_type` of the adapter.
        message: The error message of the API server.
        code: Short code of the failure.
        can_be_retried: Whether a later attempt may succeed.
        at: Time of the failure.
    """
    details = {
        "message": cut_text(message.replace("\0", ""), _MAX_MESSAGE_BYTES),
        "code": code,
        "component": "gateway",
        "retry_possible": can_be_retried,
    }
    return _event(
        CRD_FAILED,
        signal,
        _signal_data(signal, signal_type) | {"error_details": details},
        correlation_id=failure_correlation_id(signal),
        outcome="failure",
        at=at,
        error_code=code,
        error_message=details["message"],
    )


def failure_correlation_id(signal: Signal) -> str:
    """Return the correlation id of a signal that was not handled: `name:namespace:kind:name`, cut to 255 characters."""
    assert signal.target is not None, "a firing signal has a target"
    origin = f"{signal.name}:{signal.target.namespace or ''}:{signal.target.kind}:{signal.target.name}"
    return origin[:MAX_CORRELATION_ID_LENGTH]


def active_conflict(
    signal: Signal, *, signal_type: str, kept: RemediationRecord, rivals: Sequence[RemediationRecord], at: datetime
) -> AuditEvent:
    """Return the event of a conflict: several RemediationRequests of one problem are active.

    Args:
        signal: The signal that found the conflict.
        signal_type: `signal_type` of the adapter.
        kept: The RemediationRequest that counts the signals.
        rivals: The other ones; the event names the first 20.
        at: Time of the discovery.
    """
    names = ", ".join(rival.name for rival in rivals[:20])
    details = {
        "message": f"{kept.name} handles the problem, and so do {names}: cancel all but one",
        "code": "several_active",
        "component": "gateway",
        "retry_possible": False,
    }
    data = _signal_data(signal, signal_type) | {
        "remediation_request": f"{kept.namespace}/{kept.name}",
        "remediation_request_uid": kept.uid,
        "error_details": details,
    }
    return _event(
        CRD_CONFLICT,
        signal,
        data,
        correlation_id=kept.name,
        outcome="failure",
        at=at,
        error_code="several_active",
        error_message=details["message"],
    )


def out_of_scope(signal: Signal, rejection: RejectedSignal, *, signal_type: str, at: datetime) -> AuditEvent:
    """Return the event of a signal with a target out of scope.

    Args:
        signal: The signal.
        rejection: The reason for the rejection.
        signal_type: `signal_type` of the adapter.
        at: Time of the decision.
    """
    assert signal.fingerprint is not None, "a firing signal has a fingerprint"
    details = {
        "message": cut_text(rejection.message, _MAX_MESSAGE_BYTES),
        "code": rejection.reason,
        "component": "gateway",
        "retry_possible": False,
    }
    return _event(
        SIGNAL_REJECTED,
        signal,
        _signal_data(signal, signal_type) | {"outcome": _REJECTED, "error_details": details},
        correlation_id=signal.fingerprint,
        outcome="failure",
        at=at,
        error_code=rejection.reason[:_MAX_CODE_LENGTH],
        error_message=details["message"],
    )


def signal_resolved(
    signal: Signal, *, signal_type: str, active_name: str | None, idempotency_key: str, at: datetime
) -> AuditEvent:
    """Return the event of a resolved signal.

    Args:
        signal: The signal.
        signal_type: `signal_type` of the adapter.
        active_name: Name of the active RemediationRequest of the problem, if there is one.
        idempotency_key: Request id and index of the signal; the correlation id of a signal without a fingerprint.
        at: Time of processing.
    """
    return _event(
        SIGNAL_RESOLVED,
        signal,
        _signal_data(signal, signal_type),
        correlation_id=active_name or signal.fingerprint or idempotency_key,
        at=at,
    )


def signal_rejected(
    invalid: InvalidSignal | RejectedSignal, *, signal_type: str, idempotency_key: str, at: datetime
) -> AuditEvent:
    """Return the event of an invalid or rejected signal.

    Without a fingerprint, the `idempotency_key` (request id and index) is the correlation id.
    """
    message = cut_text(invalid.message, _MAX_MESSAGE_BYTES)
    data: dict[str, Any] = {
        "signal_type": signal_type,
        "signal_name": invalid.name or "",
        "fingerprint": "",
        "severity": invalid.severity,
        "outcome": _REJECTED,
        "signal_labels": cut_mapping(invalid.labels, _MAX_MAPPING_BYTES),
        **invalid.sender.ids,
        "error_details": {
            "message": message,
            "code": invalid.reason,
            "component": "gateway",
            "retry_possible": False,
        },
    }
    if invalid.labels:
        data["signal_labels"] = cut_mapping(invalid.labels, _MAX_MAPPING_BYTES)
    resource = invalid.resource if isinstance(invalid, RejectedSignal) else ""
    path, _, name = resource.rpartition("/")
    namespace, _, kind = path.rpartition("/")
    return _event(
        SIGNAL_REJECTED,
        invalid,
        data,
        correlation_id=idempotency_key,
        target=Target(kind, name, namespace or None, "") if kind else None,
        at=at,
        outcome="failure",
        error_code=invalid.reason[:_MAX_CODE_LENGTH],
        error_message=message,
    )


def _event(
    event_type: str,
    signal: Signal | InvalidSignal | RejectedSignal,
    data: Mapping[str, Any],
    *,
    correlation_id: str,
    at: datetime,
    target: Target | None = None,
    outcome: Literal["success", "failure"] = "success",
    **fields: Any,
) -> AuditEvent:
    sender = signal.sender.name
    namespace = None
    if isinstance(signal, Signal):
        target, namespace = signal.target, signal.namespace
    resource_type, resource_id = "Signal", signal.name or correlation_id
    if target is not None:
        resource_type, namespace = target.kind, target.namespace
        resource_id = target.name if namespace is None else f"{namespace}/{target.name}"
    return AuditEvent(
        event_type=event_type,
        event_timestamp=at,
        event_category="gateway",
        event_action=event_type.rpartition(".")[2],
        event_outcome=outcome,
        correlation_id=correlation_id,
        event_data={"event_type": event_type, "namespace": namespace or "", **data},
        actor_type="external" if sender is None else "user",
        actor_id=signal.source if sender is None else sender[:_MAX_ACTOR_LENGTH],
        resource_type=resource_type[:_MAX_RESOURCE_TYPE_LENGTH],
        resource_id=resource_id[:_MAX_RESOURCE_ID_LENGTH],
        namespace=namespace,
        severity=signal.severity[:MAX_SEVERITY_LENGTH],
        **fields,
    )


def _signal_data(signal: Signal, signal_type: str) -> dict[str, Any]:
    """Return the members for a signal. `original_payload` is always an object: a cut payload is text under `json`."""
    data: dict[str, Any] = {
        "signal_type": signal_type,
        "signal_name": signal.name,
        "fingerprint": signal.fingerprint or "",
        "severity": signal.severity,
        "signal_labels": cut_mapping(signal.labels, _MAX_MAPPING_BYTES),
        "signal_annotations": cut_mapping(signal.annotations, _MAX_MAPPING_BYTES),
        "original_payload": signal.payload,
    }
    encoded = orjson.dumps(signal.payload)
    if len(encoded) > _MAX_PAYLOAD_BYTES:
        data["original_payload"] = {"json": cut_utf8(encoded, _MAX_PAYLOAD_BYTES)}
        data |= {"original_payload_sha256": sha256(encoded).hexdigest(), "truncated": True}
    data |= signal.sender.ids
    if signal.target is not None:
        data |= {"resource_kind": signal.target.kind, "resource_name": signal.target.name}
    return data

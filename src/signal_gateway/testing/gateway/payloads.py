"""Webhook payloads as the real senders send them, field by field."""

import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypedDict
from urllib.parse import quote_plus
from uuid import uuid4

from signal_gateway.testing.gateway.go_text import quoted, rfc3339

__all__ = [
    "AlertPayload",
    "AlertmanagerWebhook",
    "KubernetesEventPayload",
    "alert",
    "alert_fingerprint",
    "alertmanager_webhook",
    "kubernetes_event",
]

_FNV_OFFSET: Final = 14695981039346656037
_FNV_PRIME: Final = 1099511628211
_SEPARATOR: Final = b"\xff"
_NOT_ENDED: Final = "0001-01-01T00:00:00Z"  # Go's zero time
_LABEL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_DEFAULT_NAMESPACE: Final = "default"
_EVENT_TYPES: Final = ("Normal", "Warning", "Error")
_API_VERSIONS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"), "apps/v1"),
    **dict.fromkeys(("Job", "CronJob"), "batch/v1"),
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "PodDisruptionBudget": "policy/v1",
    "DeploymentConfig": "apps.openshift.io/v1",
}


class AlertPayload(TypedDict):
    """One alert of an Alertmanager webhook."""

    status: str
    labels: dict[str, str]
    annotations: dict[str, str]
    startsAt: str
    endsAt: str
    generatorURL: str
    fingerprint: str


class AlertmanagerWebhook(TypedDict):
    """What Alertmanager posts for one group of alerts, version 4."""

    receiver: str
    status: str
    alerts: list[AlertPayload]
    groupLabels: dict[str, str]
    commonLabels: dict[str, str]
    commonAnnotations: dict[str, str]
    externalURL: str
    version: Literal["4"]
    groupKey: str
    truncatedAlerts: int


class ObjectReference(TypedDict, total=False):
    """The object that an event is about."""

    kind: str
    namespace: str
    name: str
    uid: str
    apiVersion: str


class KubernetesEventPayload(TypedDict):
    """A core/v1 Event as the API server stores it."""

    apiVersion: Literal["v1"]
    kind: Literal["Event"]
    metadata: dict[str, str]
    involvedObject: ObjectReference
    reason: str
    message: str
    source: dict[str, str]
    firstTimestamp: str
    lastTimestamp: str
    count: int
    type: str
    eventTime: None
    reportingComponent: str
    reportingInstance: str


def alert(
    name: str,
    *,
    status: str = "firing",
    severity: str | None = "warning",
    annotations: Mapping[str, str] | None = None,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    **labels: str,
) -> AlertPayload:
    """Make one alert, as Alertmanager 0.25 and later puts it into a webhook.

    Args:
        name: The label `alertname`.
        status: `firing` or `resolved`.
        severity: The label `severity`; None for an alert without one.
        annotations: Such as `summary`.
        starts_at: When it began to fire, aware; now by default, five minutes before its end if it is resolved.
        ends_at: When it ended, aware; only for a resolved alert, now by default.
        **labels: Further labels, such as `namespace="prod", pod="api-7c9"`.

    Raises:
        ValueError: An argument is something that Alertmanager would never send; the message says which and why.
        TypeError: A label or an annotation is not a string.
    """
    if status not in ("firing", "resolved"):
        raise ValueError(f'status is "firing" or "resolved", not {status!r}')
    if status == "firing" and ends_at is not None:
        raise ValueError(f'a firing alert has no end, got ends_at={ends_at!r}: pass status="resolved" too')
    if "alertname" in labels:
        raise ValueError("alertname is the alert's name, its first argument: leave the label out")
    all_labels = {"alertname": name, **({} if severity is None else {"severity": severity}), **labels}
    for label, value in all_labels.items():
        _check_label(label, value)
    all_annotations = dict(annotations or {})
    for annotation, text in all_annotations.items():
        if not isinstance(text, str):
            raise TypeError(f"annotation {annotation} must be a string, got {text!r}")

    if status == "resolved":
        ends_at = _aware("ends_at", ends_at or datetime.now(UTC))
        starts_at = _aware("starts_at", starts_at or ends_at - timedelta(minutes=5))
        if ends_at < starts_at:
            raise ValueError(
                f"the alert would end at {ends_at} before it starts at {starts_at}: pass an earlier starts_at"
            )
    else:
        starts_at = _aware("starts_at", starts_at or datetime.now(UTC))
    return {
        "status": status,
        "labels": dict(sorted(all_labels.items())),
        "annotations": dict(sorted(all_annotations.items())),
        "startsAt": rfc3339(starts_at),
        "endsAt": _NOT_ENDED if ends_at is None else rfc3339(ends_at),
        "generatorURL": f"http://prometheus.example:9090/graph?g0.expr={quote_plus(name)}&g0.tab=1",
        "fingerprint": alert_fingerprint(all_labels),
    }


def alert_fingerprint(labels: Mapping[str, str]) -> str:
    """Return Alertmanager's fingerprint of an alert's labels: 16 hex digits.

    It is the 64-bit FNV-1a hash over the labels in order of their names, name and value each followed by a byte
    0xFF (`LabelSet.Fingerprint` of prometheus/common).

    Args:
        labels: All labels of the alert.
    """
    digest = _FNV_OFFSET
    for name, value in sorted(labels.items(), key=lambda label: label[0].encode()):
        for byte in name.encode() + _SEPARATOR + value.encode() + _SEPARATOR:
            digest = (digest ^ byte) * _FNV_PRIME & 0xFFFF_FFFF_FFFF_FFFF
    return f"{digest:016x}"


def alertmanager_webhook(
    *alerts: AlertPayload,
    receiver: str = "signal-gateway",
    group_by: Sequence[str] = ("alertname",),
    external_url: str = "http://alertmanager.example:9093",
    truncated: int = 0,
) -> AlertmanagerWebhook:
    """Make what Alertmanager posts for one group of alerts, payload version 4.

    Attention: Alertmanager groups by the values of `group_by`, so alerts that differ in one of these labels come in
    several webhooks from it. Here such a label is left out of the group, as if it had not been grouped by.

    Args:
        *alerts: At least one, in the order in which they are listed.
        receiver: Name of the route's receiver.
        group_by: The labels that the route groups by.
        external_url: Where people find this Alertmanager.
        truncated: How many alerts `max_alerts` cut off.

    Raises:
        ValueError: There is no alert, or `truncated` is negative.
        TypeError: Something else than an alert was passed, or a string as `group_by`.
    """
    if not alerts:
        raise ValueError("Alertmanager never sends a webhook without alerts: pass at least one alert(...)")
    for number, one in enumerate(alerts):
        if not isinstance(one, Mapping) or "labels" not in one:
            raise TypeError(f"argument {number} is no alert, got {one!r}: pass what alert(...) returns, one by one")
    if isinstance(group_by, str):
        raise TypeError(f'group_by is a sequence of label names, got {group_by!r}: pass ("{group_by}",)')
    if truncated < 0:
        raise ValueError(f"truncated counts the alerts cut off, got {truncated}: pass zero or more")

    common_labels = _common([one["labels"] for one in alerts])
    group_labels = {label: common_labels[label] for label in sorted(group_by) if label in common_labels}
    group = ", ".join(f"{label}={quoted(value)}" for label, value in group_labels.items())
    return {
        "receiver": receiver,
        "status": "firing" if any(one["status"] == "firing" for one in alerts) else "resolved",
        "alerts": list(alerts),
        "groupLabels": group_labels,
        "commonLabels": common_labels,
        "commonAnnotations": _common([one["annotations"] for one in alerts]),
        "externalURL": external_url,
        "version": "4",
        "groupKey": f"{{}}:{{{group}}}",
        "truncatedAlerts": truncated,
    }


def kubernetes_event(
    reason: str,
    *,
    kind: str,
    name: str,
    namespace: str | None,
    message: str = "",
    type: str = "Warning",
    count: int = 1,
    at: datetime | None = None,
) -> KubernetesEventPayload:
    """Make a core/v1 Event about an object.

    Args:
        reason: Why it was sent, such as `BackOff`.
        kind: The object's kind, such as `Pod`.
        name: The object's name.
        namespace: The object's namespace; None for a cluster-scoped kind, whose events live in `default`.
        message: For people.
        type: `Normal`, `Warning` or `Error`.
        count: How often it happened.
        at: When it happened last, aware; now by default.

    Raises:
        ValueError: An argument is something that is never in an Event; the message says which and why.
    """
    for field, value in (("reason", reason), ("kind", kind), ("name", name)):
        if not value:
            raise ValueError(f"{field} must not be empty: every Event has one")
    if type not in _EVENT_TYPES:
        raise ValueError(f"type is one of {', '.join(_EVENT_TYPES)}, not {type!r}")
    if count < 1:
        raise ValueError(f"count is how often it happened, got {count}: pass 1 or more")

    moment = _aware("at", at or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)
    timestamp = rfc3339(moment)
    involved: ObjectReference = {"kind": kind, "name": name, "uid": str(uuid4())}
    if namespace:
        involved["namespace"] = namespace
    involved["apiVersion"] = _API_VERSIONS.get(kind, "v1")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{name}.{secrets.token_hex(8)}",
            "namespace": namespace or _DEFAULT_NAMESPACE,
            "uid": str(uuid4()),
            "creationTimestamp": timestamp,
        },
        "involvedObject": involved,
        "reason": reason,
        "message": message,
        "source": {"component": "kubelet"},
        "firstTimestamp": timestamp,
        "lastTimestamp": timestamp,
        "count": count,
        "type": type,
        "eventTime": None,
        "reportingComponent": "kubelet",
        "reportingInstance": "",
    }


def _check_label(label: str, value: object) -> None:
    if not _LABEL_NAME.fullmatch(label):
        raise ValueError(f"{label!r} is no label name: letters, digits and _, and no digit first")
    if not isinstance(value, str):
        raise TypeError(f"label {label} must be a string, got {value!r}: pass {label}={str(value)!r}")
    if not value:
        raise ValueError(f"label {label} is empty, and Alertmanager drops empty labels: leave it out")


def _aware(what: str, moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"{what} must be an aware datetime, got {moment!r}: pass tzinfo=datetime.UTC")
    return moment


def _common(maps: Sequence[Mapping[str, str]]) -> dict[str, str]:
    first, *others = maps
    return {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}

"""Payloads for tests, with the fields of the real senders: Alertmanager webhooks and Kubernetes Events."""

import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypedDict
from urllib.parse import quote_plus
from uuid import uuid4

from signal_gateway.testing.gateway.go_text import go_quoted, go_time

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
    """The webhook payload of Alertmanager for one group of alerts, version 4."""

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
    """The object of an Event."""

    kind: str
    namespace: str
    name: str
    uid: str
    apiVersion: str


class KubernetesEventPayload(TypedDict):
    """A core/v1 Event in the form that the API server stores."""

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
    """Create one alert in the format of Alertmanager 0.25 and later.

    Args:
        name: The label `alertname`.
        status: `firing` or `resolved`.
        severity: The label `severity`; None for an alert without one.
        annotations: The annotations, such as `summary`.
        starts_at: The aware start time. Default: now, or five minutes before the end of a resolved alert.
        ends_at: The aware end time of a resolved alert. Default: now.
        **labels: More labels, such as `namespace="prod", pod="api-7c9"`.

    Raises:
        ValueError: Alertmanager never sends such an argument. The message names the argument and the reason.
        TypeError: A label or an annotation is not a string.
    """
    if status not in ("firing", "resolved"):
        raise ValueError(f'status is "firing" or "resolved", not {status!r}')
    if status == "firing" and ends_at is not None:
        raise ValueError(f'a firing alert has no end, got ends_at={ends_at!r}: pass status="resolved" too')
    if "alertname" in labels:
        raise ValueError("the label alertname is the first argument of alert(): leave the label out")
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
        "startsAt": go_time(starts_at),
        "endsAt": _NOT_ENDED if ends_at is None else go_time(ends_at),
        "generatorURL": f"http://prometheus.example:9090/graph?g0.expr={quote_plus(name)}&g0.tab=1",
        "fingerprint": alert_fingerprint(all_labels),
    }


def alert_fingerprint(labels: Mapping[str, str]) -> str:
    """Return the fingerprint of Alertmanager for the labels of an alert: 16 hex digits.

    The fingerprint is the 64-bit FNV-1a hash over the labels in order of their names. A byte 0xFF follows each name and
    each value (`LabelSet.Fingerprint` of prometheus/common).

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
    """Create the webhook payload of Alertmanager for one group of alerts, version 4.

    Attention: Alertmanager groups by the values of `group_by`, and sends alerts that differ in one of these labels in
    separate webhooks. This function leaves such a label out of the group labels instead.

    Args:
        *alerts: One or more alerts, in order.
        receiver: The name of the receiver of the route.
        group_by: The names of the labels by which the route groups.
        external_url: The external URL of Alertmanager.
        truncated: The number of alerts that `max_alerts` cut off.

    Raises:
        ValueError: There is no alert, or `truncated` is negative.
        TypeError: An argument is no alert, or `group_by` is a string.
    """
    if not alerts:
        raise ValueError("Alertmanager never sends a webhook without alerts: pass at least one alert(...)")
    for number, one in enumerate(alerts):
        if not isinstance(one, Mapping) or "labels" not in one:
            raise TypeError(f"argument {number} is no alert, got {one!r}: pass results of alert(...), one by one")
    if isinstance(group_by, str):
        raise TypeError(f'group_by is a sequence of label names, got {group_by!r}: pass ("{group_by}",)')
    if truncated < 0:
        raise ValueError(f"truncated is the number of alerts cut off, got {truncated}: pass zero or more")

    common_labels = _common([one["labels"] for one in alerts])
    group_labels = {label: common_labels[label] for label in sorted(group_by) if label in common_labels}
    group = ", ".join(f"{label}={go_quoted(value)}" for label, value in group_labels.items())
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
    """Create a core/v1 Event about an object.

    Args:
        reason: The reason of the Event, such as `BackOff`.
        kind: The kind of the object, such as `Pod`.
        name: The name of the object.
        namespace: The namespace of the object; None for a cluster-scoped kind, which has its Events in `default`.
        message: The text for people.
        type: `Normal`, `Warning` or `Error`.
        count: The number of occurrences.
        at: The aware time of the last occurrence. Default: now.

    Raises:
        ValueError: An Event never has such an argument. The message names the argument and the reason.
    """
    for field, value in (("reason", reason), ("kind", kind), ("name", name)):
        if not value:
            raise ValueError(f"{field} must not be empty: every Event has one")
    if type not in _EVENT_TYPES:
        raise ValueError(f"type is one of {', '.join(_EVENT_TYPES)}, not {type!r}")
    if count < 1:
        raise ValueError(f"count is the number of occurrences, got {count}: pass 1 or more")

    moment = _aware("at", at or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)
    timestamp = go_time(moment)
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


def _aware(argument: str, moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"{argument} must be an aware datetime, got {moment!r}: pass tzinfo=datetime.UTC")
    return moment


def _common(maps: Sequence[Mapping[str, str]]) -> dict[str, str]:
    first, *others = maps
    return {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}

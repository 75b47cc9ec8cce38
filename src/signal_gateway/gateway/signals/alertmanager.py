"""AlertmanagerAdapter: parses the webhook of Alertmanager, payload version 4, and of Grafana, payload version 1.

Sources: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config and
https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, Literal, Protocol

import orjson

from signal_gateway.clock import parse_rfc3339
from signal_gateway.gateway.signals.adapter import (
    CLOCK_SKEW,
    MAX_NAME_LENGTH,
    MAX_SEVERITY_LENGTH,
    InvalidItem,
    ParsedPayload,
    ParsedSignal,
    RejectedItem,
)
from signal_gateway.gateway.signals.body_schemas import WEBHOOK_VERSIONS, webhook_schema
from signal_gateway.gateway.signals.candidates import candidates_from_labels
from signal_gateway.gateway.signals.knowledge import EXPORTED, NOT_NAMING_LABELS
from signal_gateway.gateway.signals.label_table import LabelTable, namespace_from_labels
from signal_gateway.gateway.signals.signal import (
    InvalidPayload,
    InvalidSignal,
    RejectedSignal,
    Signal,
    Target,
    cluster_target,
    excerpt,
    is_object_name,
    json_object,
    storable_labels,
    storable_text,
    unrepresentable,
)
from signal_gateway.kubernetes import Kinds

__all__ = ["AlertmanagerAdapter", "DiscoveredKinds"]

_MAX_CLUSTER_LENGTH = 253


class DiscoveredKinds(Protocol):
    """The kinds of a cluster, kept current by discovery."""

    def kinds(self) -> Kinds:
        """Return the kinds that the API server listed last."""
        ...


class AlertmanagerAdapter:
    """Parses the webhooks of Alertmanager.

    Args:
        discovery: The kinds of the cluster; they decide which labels name a target.
        table: The meaning of labels and exporters; by default the built-in one.
        multi_cluster: Whether the label `cluster` identifies the cluster of an alert.
        cluster_signals: `notify` gives an alert about no object the cluster as its target; `reject` rejects it.
    """

    name = "prometheus"
    signal_type = "alert"

    def __init__(
        self,
        *,
        discovery: DiscoveredKinds,
        table: LabelTable | None = None,
        multi_cluster: bool = False,
        cluster_signals: Literal["reject", "notify"] = "reject",
    ) -> None:
        self._discovery = discovery
        self._table = table or LabelTable()
        self._multi_cluster = multi_cluster
        self._cluster_signals = cluster_signals

    @property
    def body_schema(self) -> Mapping[str, Any]:
        """The JSON Schema of a body."""
        return webhook_schema()

    def parse(self, body: bytes, *, received_at: datetime) -> Sequence[ParsedSignal]:
        """Parse one webhook: one result per alert, in payload order.

        Labels and annotations of an alert override the common ones of its group. Unknown members are ignored.

        Raises:
            InvalidPayload: The body is not a webhook of a known version, or has no alerts.
        """
        payload = json_object(body)
        version = payload.get("version")
        if version not in WEBHOOK_VERSIONS:
            raise InvalidPayload(
                f'"version" is {excerpt(version)}, and only "4" and "1" are supported: '
                "send the payload of an Alertmanager webhook_config, or of a Grafana webhook."
            )
        alerts = payload.get("alerts")
        if not isinstance(alerts, list) or not alerts:
            raise InvalidPayload('"alerts" must be a list with at least one alert.')

        try:
            common_labels, common_annotations = (
                _strings(payload, "commonLabels"),
                _strings(payload, "commonAnnotations"),
            )
        except InvalidItem as exc:
            raise InvalidPayload(exc.message) from exc
        group, truncated = payload.get("groupKey"), payload.get("truncatedAlerts")
        signals = ParsedPayload()
        for alert in alerts:
            signals.append(self._read(alert, common_labels, common_annotations, received_at))
        if isinstance(group, str) and group:
            signals.group = f"{payload.get('receiver')}\n{group}"
        if isinstance(truncated, int) and truncated > 0:
            signals.truncated = truncated
        return signals

    def _read(
        self,
        alert: object,
        common_labels: Mapping[str, str],
        common_annotations: Mapping[str, str],
        received_at: datetime,
    ) -> ParsedSignal:
        labels: dict[str, str] = {}
        try:
            if not isinstance(alert, dict):
                raise InvalidItem("shape", "The alert is not a JSON object.")
            labels = {**common_labels, **_strings(alert, "labels")}
            annotations = {**common_annotations, **_strings(alert, "annotations")}
            return self._signal(alert, labels, annotations, received_at)
        except (InvalidItem, RejectedItem) as exc:
            name = storable_text(labels.get("alertname"), MAX_NAME_LENGTH)
            severity = storable_text(labels.get("severity"), MAX_SEVERITY_LENGTH) or "unknown"
            if isinstance(exc, RejectedItem):
                return RejectedSignal(
                    reason=exc.reason,
                    message=exc.message,
                    source=self.name,
                    resource="",
                    name=name or "unknown",
                    severity=severity,
                    labels=storable_labels(labels),
                    notification=_notification(labels, alert) if isinstance(alert, dict) else None,
                )
            return InvalidSignal(
                reason=exc.reason,
                message=exc.message,
                source=self.name,
                name=name,
                severity=severity,
                labels=storable_labels(labels or (alert.get("labels") if isinstance(alert, dict) else None)),
            )

    def _signal(
        self, alert: dict[str, Any], labels: dict[str, str], annotations: dict[str, str], received_at: datetime
    ) -> Signal:
        for part in (alert, labels, annotations):
            obstacle = unrepresentable(part)
            if obstacle is not None:
                raise RejectedItem("unrepresentable", f"The alert cannot be stored: {obstacle}.")

        status = alert.get("status")
        if status != "firing" and status != "resolved":
            raise InvalidItem("status", f'"status" is {excerpt(status)}; it must be "firing" or "resolved".')
        name = labels.get("alertname", "")
        if not 1 <= len(name) <= MAX_NAME_LENGTH:
            raise RejectedItem(
                "name", f'The label "alertname" has {len(name)} characters; it must have 1 to {MAX_NAME_LENGTH}.'
            )
        severity = labels.get("severity") or "unknown"
        if len(severity) > MAX_SEVERITY_LENGTH:
            raise RejectedItem(
                "severity",
                f'The label "severity" has {len(severity)} characters; it may have at most {MAX_SEVERITY_LENGTH}.',
            )

        is_firing = status == "firing"
        fired_at = _fired_at(alert)
        if is_firing and fired_at > received_at + CLOCK_SKEW:
            raise RejectedItem(
                "from_the_future",
                f'"startsAt" is {excerpt(alert["startsAt"])}, over two minutes in the future: synchronize the clocks.',
            )
        cluster_id = (labels.get("cluster") or None) if self._multi_cluster else None
        if cluster_id is not None and len(cluster_id) > _MAX_CLUSTER_LENGTH:
            raise RejectedItem(
                "cluster",
                f'The label "cluster" has {len(cluster_id)} characters; it may have at most {_MAX_CLUSTER_LENGTH}.',
            )
        namespace, candidates = self._namespace_and_candidates(labels, must_be_valid=is_firing)
        if self._cluster_signals == "notify" and severity != "none":
            candidates = (*candidates, cluster_target(name))  # the last resort
        if not candidates and is_firing:
            raise RejectedItem("no_target", _NO_TARGET)
        says_target = bool(candidates) and not getattr(candidates[0], "must_exist", False)
        return Signal(
            name=name,
            severity=severity,
            status="firing" if is_firing else "resolved",
            source=self.name,
            target=candidates[0] if says_target else None,
            candidates=candidates[1:] if says_target else candidates,
            cluster_id=cluster_id,
            namespace=namespace,
            labels=labels,
            annotations=annotations,
            fired_at=fired_at,
            received_at=received_at,
            payload=alert,
            notification=_notification(labels, alert),
        )

    def _namespace_and_candidates(
        self, labels: Mapping[str, str], *, must_be_valid: bool
    ) -> tuple[str | None, tuple[Target, ...]]:
        try:
            namespace = namespace_from_labels(labels)
        except ValueError as exc:
            if must_be_valid:
                raise RejectedItem("namespace", f"The labels do not name a target: {exc}.") from exc
            return None, ()
        kinds = self._discovery.kinds()
        candidates = candidates_from_labels(labels, kinds, self._table)
        if not candidates and must_be_valid:
            _check_names(labels, kinds, self._table)
        return namespace, candidates


_NO_TARGET: Final = (
    "No label names a Kubernetes object: add a label such as deployment, statefulset, pod or node with the name of the "
    "object as its value, if the alert is about one."
)
_NAME_RULE: Final = (
    "a name has at most 253 characters, only lower-case letters, digits, '-' and '.', and begins and ends with a "
    "letter or digit (RFC 1123)"
)


def _check_names(labels: Mapping[str, str], kinds: Kinds, table: LabelTable) -> None:
    """Raise the reason if a label has the name of a kind, and its value cannot be the name of an object."""
    for key, value in sorted(labels.items()):
        word = key.removeprefix(EXPORTED)
        is_kind = word not in NOT_NAMING_LABELS and (word in table.synonyms or kinds.called(word) is not None)
        if is_kind and value and not is_object_name(value.rpartition("/")[2]):
            message = f"The label {key}={excerpt(value)} cannot name a Kubernetes object: {_NAME_RULE}."
            raise RejectedItem("no_target", message)


def _notification(labels: Mapping[str, str], alert: Mapping[str, Any]) -> str:
    """Return what identifies an alert in the notifications of its group.

    Alertmanager's own `fingerprint` is a hash of the labels, too, but a sender can choose it freely.
    """
    starts_at, status = alert.get("startsAt"), alert.get("status")
    identity = [labels, starts_at if isinstance(starts_at, str) else None, status if isinstance(status, str) else None]
    return sha256(orjson.dumps(identity, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _fired_at(alert: Mapping[str, Any]) -> datetime:
    starts_at = alert.get("startsAt")
    try:
        return parse_rfc3339(starts_at if isinstance(starts_at, str) else "")
    except ValueError as exc:
        raise InvalidItem(
            "starts_at", f'"startsAt" is {excerpt(starts_at)}; it must be a date-time such as 2026-01-31T12:00:00Z.'
        ) from exc


def _strings(alert: Mapping[str, Any], member: str) -> dict[str, str]:
    mapping = alert.get(member)
    if mapping is None:
        return {}
    if not isinstance(mapping, dict):
        raise InvalidItem("shape", f'"{member}" must be an object whose values are strings.')
    for key, value in mapping.items():
        if not isinstance(value, str):
            text = f'"{member}" must be an object whose values are strings; {excerpt(key)} is {excerpt(value)}.'
            raise InvalidItem("shape", text)
    return mapping

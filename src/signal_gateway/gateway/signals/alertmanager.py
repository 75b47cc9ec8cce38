"""AlertmanagerAdapter: parses the webhook of Alertmanager, payload version 4.

Source: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from signal_gateway.clock import parse_rfc3339
from signal_gateway.gateway.signals.adapter import (
    CLOCK_SKEW,
    MAX_NAME_LENGTH,
    MAX_SEVERITY_LENGTH,
    InvalidItem,
    InvalidPayload,
    ParsedSignal,
    excerpt,
    json_object,
    storable_text,
    unrepresentable,
)
from signal_gateway.gateway.signals.body_schemas import ALERTMANAGER_VERSION, webhook_schema
from signal_gateway.gateway.signals.candidates import (
    Candidate,
    LabelTable,
    candidates_from_labels,
    namespace_from_labels,
)
from signal_gateway.gateway.signals.signal import InvalidSignal, Signal
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
    """

    name = "prometheus"
    signal_type = "alert"

    def __init__(
        self, *, discovery: DiscoveredKinds, table: LabelTable | None = None, multi_cluster: bool = False
    ) -> None:
        self._discovery = discovery
        self._table = table or LabelTable()
        self._multi_cluster = multi_cluster

    @property
    def body_schema(self) -> Mapping[str, Any]:
        """The JSON Schema of a body."""
        return webhook_schema()

    def parse(self, body: bytes, *, received_at: datetime) -> Sequence[ParsedSignal]:
        """Parse one webhook: one result per alert, in payload order.

        Labels and annotations of an alert override the common ones of its group. Unknown members are ignored.

        Raises:
            InvalidPayload: The body is not a webhook of version 4, or has no alerts.
        """
        payload = json_object(body)
        version = payload.get("version")
        if version != ALERTMANAGER_VERSION:
            raise InvalidPayload(
                f'"version" is {excerpt(version)}, and only "{ALERTMANAGER_VERSION}" is supported: '
                "send the payload of an Alertmanager webhook_config."
            )
        alerts = payload.get("alerts")
        if not isinstance(alerts, list) or not alerts:
            raise InvalidPayload('"alerts" must be a list with at least one alert.')

        common_labels = _common(payload, "commonLabels")
        common_annotations = _common(payload, "commonAnnotations")
        return [self._read(alert, common_labels, common_annotations, received_at) for alert in alerts]

    def _read(
        self,
        alert: object,
        common_labels: Mapping[str, str],
        common_annotations: Mapping[str, str],
        received_at: datetime,
    ) -> Signal | InvalidSignal:
        labels: dict[str, str] = {}
        try:
            if not isinstance(alert, dict):
                raise InvalidItem("shape", "The alert is not a JSON object.")
            labels = {**common_labels, **_strings(alert, "labels")}
            annotations = {**common_annotations, **_strings(alert, "annotations")}
            return self._signal(alert, labels, annotations, received_at)
        except InvalidItem as exc:
            return InvalidSignal(
                reason=exc.reason,
                message=exc.message,
                source=self.name,
                name=storable_text(labels.get("alertname"), MAX_NAME_LENGTH),
                severity=storable_text(labels.get("severity"), MAX_SEVERITY_LENGTH) or "unknown",
            )

    def _signal(
        self, alert: dict[str, Any], labels: dict[str, str], annotations: dict[str, str], received_at: datetime
    ) -> Signal:
        for part in (alert, labels, annotations):
            obstacle = unrepresentable(part)
            if obstacle is not None:
                raise InvalidItem("unrepresentable", f"The alert cannot be stored: {obstacle}.")

        status = alert.get("status")
        if status != "firing" and status != "resolved":
            raise InvalidItem("status", f'"status" is {excerpt(status)}; it must be "firing" or "resolved".')
        name = labels.get("alertname", "")
        if not 1 <= len(name) <= MAX_NAME_LENGTH:
            raise InvalidItem(
                "name", f'The label "alertname" has {len(name)} characters; it must have 1 to {MAX_NAME_LENGTH}.'
            )
        severity = labels.get("severity") or "unknown"
        if len(severity) > MAX_SEVERITY_LENGTH:
            raise InvalidItem(
                "severity",
                f'The label "severity" has {len(severity)} characters; it may have at most {MAX_SEVERITY_LENGTH}.',
            )

        is_firing = status == "firing"
        fired_at = _fired_at(alert)
        if is_firing and fired_at > received_at + CLOCK_SKEW:
            raise InvalidItem(
                "from_the_future",
                f'"startsAt" is {excerpt(alert["startsAt"])}, over two minutes in the future: synchronize the clocks.',
            )
        cluster_id = (labels.get("cluster") or None) if self._multi_cluster else None
        if cluster_id is not None and len(cluster_id) > _MAX_CLUSTER_LENGTH:
            raise InvalidItem(
                "cluster",
                f'The label "cluster" has {len(cluster_id)} characters; it may have at most {_MAX_CLUSTER_LENGTH}.',
            )
        namespace, candidates = self._namespace_and_candidates(labels, must_have_target=is_firing)
        says_target = bool(candidates) and not candidates[0].must_exist
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
        )

    def _namespace_and_candidates(
        self, labels: Mapping[str, str], *, must_have_target: bool
    ) -> tuple[str | None, tuple[Candidate, ...]]:
        try:
            namespace = namespace_from_labels(labels)
        except ValueError as exc:
            if must_have_target:
                raise InvalidItem("namespace", f"The labels do not name a target: {exc}.") from exc
            return None, ()
        candidates = candidates_from_labels(labels, self._discovery.kinds(), self._table)
        if not candidates and must_have_target:
            raise InvalidItem(
                "no_target",
                "No label names a Kubernetes object: add a label such as deployment, statefulset, pod or node "
                "with the name of the object as its value.",
            )
        return namespace, candidates


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


def _common(payload: Mapping[str, Any], member: str) -> dict[str, str]:
    try:
        return _strings(payload, member)
    except InvalidItem as exc:
        raise InvalidPayload(exc.message) from exc

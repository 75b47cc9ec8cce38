"""KubernetesEventAdapter: parses a core/v1 Event, as an event exporter posts it, one per request.

Source: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

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
from signal_gateway.gateway.signals.body_schemas import EVENT_TYPES, event_schema
from signal_gateway.gateway.signals.signal import (
    InvalidSignal,
    RejectedSignal,
    Signal,
    Target,
    is_namespace,
    is_object_name,
)

__all__ = ["KubernetesEventAdapter"]

_NORMAL: Final = "Normal"
_KIND: Final = re.compile(r"[A-Z][A-Za-z0-9]{0,62}")


class KubernetesEventAdapter:
    """Parses core/v1 Events.

    Args:
        max_age: Highest age of the newest time of an Event.
    """

    name = "kubernetes-event"
    signal_type = "alert"
    source = "kubernetes-events"

    def __init__(self, *, max_age: timedelta) -> None:
        self._max_age = max_age

    @property
    def body_schema(self) -> Mapping[str, Any]:
        """The JSON Schema of a body."""
        return event_schema()

    def parse(self, body: bytes, *, received_at: datetime) -> Sequence[ParsedSignal]:
        """Parse one Event: its reason becomes the name, its type the severity, its involved object the target.

        Raises:
            InvalidPayload: The body is not an Event.
        """
        event = json_object(body)
        involved = event.get("involvedObject")
        if event.get("kind", "Event") != "Event" or not isinstance(involved, dict):
            raise InvalidPayload("The body is not a core/v1 Event: it needs an involvedObject.")
        try:
            return [self._read(event, involved, received_at)]
        except InvalidItem as exc:
            return [
                InvalidSignal(
                    reason=exc.reason,
                    message=exc.message,
                    source=self.source,
                    name=storable_text(_text_or_none(event.get("reason")), MAX_NAME_LENGTH),
                    severity=storable_text(_text_or_none(event.get("type")), MAX_SEVERITY_LENGTH) or "unknown",
                )
            ]

    def _read(self, event: dict[str, Any], involved: dict[str, Any], received_at: datetime) -> ParsedSignal:
        obstacle = unrepresentable(event)
        if obstacle is not None:
            raise InvalidItem("unrepresentable", f"The event cannot be stored: {obstacle}.")
        reason, type = _text(event, "reason") or "", _text(event, "type")
        if not 1 <= len(reason) <= MAX_NAME_LENGTH:
            raise InvalidItem("name", f'"reason" has {len(reason)} characters; it must have 1 to {MAX_NAME_LENGTH}.')
        if type not in EVENT_TYPES:
            raise InvalidItem("severity", f'"type" is {excerpt(type)}; it must be one of {", ".join(EVENT_TYPES)}.')
        target = _target(involved)
        if type == _NORMAL:
            return RejectedSignal(
                reason="normal_event",
                message=f"{reason} is a Normal event; only warnings and errors start a remediation.",
                source=self.source,
                resource=str(target),
                name=reason,
                severity=type,
                labels=_labels(event, target),
            )
        happened_at = max(_times(event), default=None)
        if happened_at is None:
            raise InvalidItem("time", "The event has no time: set lastTimestamp, firstTimestamp or eventTime.")
        if happened_at > received_at + CLOCK_SKEW:
            raise InvalidItem("from_the_future", f"The event is of {happened_at}, in the future: synchronize clocks.")
        if received_at - happened_at > self._max_age:
            seconds = self._max_age.total_seconds()
            raise InvalidItem("too_old", f"The event is of {happened_at}, older than {seconds:g} s.")
        return Signal(
            name=reason,
            severity=type,
            status="firing",
            source=self.source,
            target=target,
            namespace=target.namespace,
            labels=_labels(event, target),
            annotations={"message": message} if (message := _text(event, "message")) else {},
            fired_at=happened_at,
            received_at=received_at,
            payload=event,
        )


def _target(involved: Mapping[str, Any]) -> Target:
    kind, name, namespace = (_text(involved, field) or "" for field in ("kind", "name", "namespace"))
    if not _KIND.fullmatch(kind) or not is_object_name(name):
        raise InvalidItem(
            "no_target", f"involvedObject is {excerpt(kind)} {excerpt(name)}, which is not a valid kind and name."
        )
    if namespace and not is_namespace(namespace):
        raise InvalidItem("namespace", f"involvedObject.namespace is not valid: {excerpt(namespace)}.")
    api_version = _text(involved, "apiVersion") or "v1"
    return Target(kind=kind, name=name, namespace=namespace or None, api_version=api_version[:MAX_NAME_LENGTH])


def _times(event: Mapping[str, Any]) -> Iterator[datetime]:
    series = event.get("series")
    last_observed = series.get("lastObservedTime") if isinstance(series, dict) else None
    named = [(field, event.get(field)) for field in ("lastTimestamp", "firstTimestamp", "eventTime")]
    for field, value in [*named, ("series.lastObservedTime", last_observed)]:
        if value is None:
            continue
        try:
            yield parse_rfc3339(value if isinstance(value, str) else "")
        except ValueError as exc:
            raise InvalidItem("time", f'"{field}" is {excerpt(value)}; it must be a date-time.') from exc


def _labels(event: Mapping[str, Any], target: Target) -> dict[str, str]:
    source = event.get("source")
    component = _text(event, "reportingComponent") or (_text(source, "component") if isinstance(source, dict) else None)
    labels = {
        "reason": _text(event, "reason"),
        "type": _text(event, "type"),
        "kind": target.kind,
        "name": target.name,
        "namespace": target.namespace,
        "component": component,
    }
    return {key: value for key, value in labels.items() if value}


def _text(mapping: Mapping[str, Any], field: str) -> str | None:
    value = mapping.get(field)
    if value is not None and not isinstance(value, str):
        raise InvalidItem("shape", f'"{field}" must be a string.')
    return value


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None

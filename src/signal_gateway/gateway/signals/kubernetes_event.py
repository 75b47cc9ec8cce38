"""KubernetesEventAdapter: parses Events of `v1` and `events.k8s.io/v1`, alone, in a list, or as changes of a watch.

Sources: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/,
https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes, and for the lines of
eventrouter RFC 5424 (syslog messages) and RFC 6587 (their number of bytes before them).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from signal_gateway.clock import parse_rfc3339
from signal_gateway.gateway.signals.adapter import (
    CLOCK_SKEW,
    MAX_NAME_LENGTH,
    MAX_SEVERITY_LENGTH,
    InvalidItem,
    ParsedSignal,
    RejectedItem,
)
from signal_gateway.gateway.signals.body_schemas import EVENT_TYPES, event_schema
from signal_gateway.gateway.signals.signal import (
    InvalidPayload,
    InvalidSignal,
    RejectedSignal,
    Signal,
    Target,
    excerpt,
    is_namespace,
    is_object_name,
    json_object,
    storable_labels,
    storable_text,
    unrepresentable,
)

__all__ = ["KubernetesEventAdapter"]

_NORMAL: Final = "Normal"
_LISTS: Final = ("EventList", "List")
_CHANGES: Final = ("ADDED", "MODIFIED", "UPDATED", "DELETED", "BOOKMARK")
_NO_OCCURRENCES: Final = ("DELETED", "BOOKMARK")
_NOT_AN_EVENT: Final = (
    "{} is not a Kubernetes Event of v1 or events.k8s.io/v1: it needs an involvedObject, or a regarding object."
)
_TIMES: Final = ("lastTimestamp", "firstTimestamp", "eventTime", "deprecatedLastTimestamp", "deprecatedFirstTimestamp")
# a line of eventrouter: a syslog message with its number of bytes, or a line of glog; then one JSON object
_LINE: Final = re.compile(rb"(?:\d+ <\d{1,3}>1 |[IWEF]\d{4} )[^{]*(\{.*)")
_FIRST_LINE: Final = re.compile(rb"\s*(?:\d+ <|[IWEF]\d{4} )")
_KIND: Final = re.compile(r"[A-Z][A-Za-z0-9]{0,62}")


class KubernetesEventAdapter:
    """Parses Kubernetes Events.

    Args:
        max_age: Highest age of the newest time of an Event.
    """

    name = "kubernetes-event"
    signal_type = "alert"
    source = "kubernetes-events"
    takes_untyped_bodies = True  # eventrouter sends no content type

    def __init__(self, *, max_age: timedelta) -> None:
        self._max_age = max_age

    @property
    def body_schema(self) -> Mapping[str, Any]:
        """The JSON Schema of a body."""
        return event_schema()

    def parse(self, body: bytes, *, received_at: datetime) -> Sequence[ParsedSignal]:
        """Parse the Events of one request: one result per Event.

        The reason becomes the name, the type the severity, and the involved (regarding) object the target. The body is
        an Event, a list of Events, or a change of an Event: a watch event of the Kubernetes API (`type`, `object`), or
        the form of eventrouter (`verb`, `event`). eventrouter's own lines, syslog messages or glog, have one change
        each.

        Raises:
            InvalidPayload: The body is none of these, or a list without an Event.
        """
        if _FIRST_LINE.match(body):
            lines = enumerate(filter(None, map(bytes.strip, body.splitlines())), 1)
            return [self._parse_line(line, number, received_at) for number, line in lines]
        document = json_object(body)
        if document.get("kind") not in _LISTS:
            event = _changed_object(document)
            if not _is_event(event):
                raise InvalidPayload(_NOT_AN_EVENT.format("The body"))
            return [self._parse_item(document, received_at)]
        items = document.get("items")
        if not isinstance(items, list) or not items:
            raise InvalidPayload('"items" must be a list with at least one Event.')
        return [self._parse_item(item, received_at) for item in items]

    def _parse_line(self, line: bytes, number: int, received_at: datetime) -> ParsedSignal:
        """Parse one line of eventrouter; `number` counts the lines of the body from 1."""
        found = _LINE.fullmatch(line)
        message = f"Line {number} is not a line of eventrouter: a syslog message of RFC 5424, or a line of glog."
        if found is not None:
            try:
                return self._parse_item(orjson.loads(found[1]), received_at)
            except orjson.JSONDecodeError:
                message = f"Line {number} is not JSON after its frame."
        return InvalidSignal(reason="shape", message=message, source=self.source)

    def _parse_item(self, item: object, received_at: datetime) -> ParsedSignal:
        event: Mapping[str, Any] = {}
        try:
            if not isinstance(item, dict) or not _is_event(event := _changed_object(item)):
                raise InvalidItem("shape", _NOT_AN_EVENT.format("The item"))
            change = item.get("verb") if event is item.get("event") else item.get("type")
            if event is not item and change in _NO_OCCURRENCES:
                raise RejectedItem("no_occurrence", f"The change {change} of an Event is no occurrence of it.")
            return self._read(event, received_at)
        except (InvalidItem, RejectedItem) as exc:
            name = storable_text(_text_or_none(event.get("reason")), MAX_NAME_LENGTH)
            severity = storable_text(_text_or_none(event.get("type")), MAX_SEVERITY_LENGTH) or "unknown"
            invalid = InvalidSignal(
                reason=exc.reason,
                message=exc.message,
                source=self.source,
                name=name,
                severity=severity,
                labels=storable_labels(_reference(event)),
            )
            return invalid if isinstance(exc, InvalidItem) else _rejected(invalid, resource="")

    def _read(self, event: Mapping[str, Any], received_at: datetime) -> ParsedSignal:
        obstacle = unrepresentable(event)
        if obstacle is not None:
            raise RejectedItem("unrepresentable", f"The event cannot be stored: {obstacle}.")
        reason, type = _text(event, "reason") or "", _text(event, "type")
        if not 1 <= len(reason) <= MAX_NAME_LENGTH:
            raise RejectedItem("name", f'"reason" has {len(reason)} characters; it must have 1 to {MAX_NAME_LENGTH}.')
        if type not in EVENT_TYPES:
            raise RejectedItem("severity", f'"type" is {excerpt(type)}; it must be one of {", ".join(EVENT_TYPES)}.')
        target = _target(event)
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
            raise RejectedItem("time", "The event has no time: set lastTimestamp, firstTimestamp or eventTime.")
        if happened_at > received_at + CLOCK_SKEW:
            raise RejectedItem("from_the_future", f"The event is of {happened_at}, in the future: synchronize clocks.")
        if received_at - happened_at > self._max_age:
            seconds = self._max_age.total_seconds()
            raise RejectedItem("too_old", f"The event is of {happened_at}, older than {seconds:g} s.")
        return Signal(
            name=reason,
            severity=type,
            status="firing",
            source=self.source,
            target=target,
            namespace=target.namespace,
            labels=_labels(event, target),
            annotations={"message": message} if (message := _text(event, "message") or _text(event, "note")) else {},
            fired_at=happened_at,
            received_at=received_at,
            payload=event,
        )


def _changed_object(document: Mapping[str, Any]) -> Any:
    """Return the object of a watch event or of eventrouter's form; the document itself if it is neither."""
    if document.get("type") in _CHANGES and "object" in document:
        return document["object"]
    return document["event"] if document.get("verb") in _CHANGES and "event" in document else document


def _is_event(value: object) -> bool:
    return isinstance(value, dict) and value.get("kind", "Event") == "Event" and bool(_member(value))


def _member(event: Mapping[str, Any]) -> str:
    """Return the member with the object of an Event, `regarding` for `events.k8s.io/v1`; empty if there is none."""
    return next((it for it in ("involvedObject", "regarding") if isinstance(event.get(it), dict)), "")


def _reference(event: Mapping[str, Any]) -> Any:
    return event.get(_member(event))


def _rejected(invalid: InvalidSignal, *, resource: str) -> RejectedSignal:
    return RejectedSignal(
        reason=invalid.reason,
        message=invalid.message,
        source=invalid.source,
        resource=resource,
        name=invalid.name or "unknown",
        severity=invalid.severity,
        labels=invalid.labels,
    )


def _target(event: Mapping[str, Any]) -> Target:
    member, involved = _member(event), _reference(event)
    kind, name, namespace = (_text(involved, field) or "" for field in ("kind", "name", "namespace"))
    if not _KIND.fullmatch(kind) or not is_object_name(name):
        raise RejectedItem(
            "no_target", f"{member} is {excerpt(kind)} {excerpt(name)}, which is not a valid kind and name."
        )
    if namespace and not is_namespace(namespace):
        raise RejectedItem("namespace", f"{member}.namespace is not valid: {excerpt(namespace)}.")
    api_version = _text(involved, "apiVersion") or "v1"
    return Target(kind=kind, name=name, namespace=namespace or None, api_version=api_version[:MAX_NAME_LENGTH])


def _times(event: Mapping[str, Any]) -> Iterator[datetime]:
    series = event.get("series")
    last_observed = series.get("lastObservedTime") if isinstance(series, dict) else None
    named = [(field, event.get(field)) for field in _TIMES]
    for field, value in [*named, ("series.lastObservedTime", last_observed)]:
        if value is None:
            continue
        try:
            yield parse_rfc3339(value if isinstance(value, str) else "")
        except ValueError as exc:
            raise InvalidItem("time", f'"{field}" is {excerpt(value)}; it must be a date-time.') from exc


def _labels(event: Mapping[str, Any], target: Target) -> dict[str, str]:
    component = _text(event, "reportingComponent") or _text(event, "reportingController")
    for source in (event.get("source"), event.get("deprecatedSource")):
        component = component or (_text(source, "component") if isinstance(source, dict) else None)
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

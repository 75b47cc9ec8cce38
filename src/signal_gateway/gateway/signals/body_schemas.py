"""JSON Schemas of the payloads, for the OpenAPI description. The adapters validate without them."""

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["EVENT_TYPES", "WEBHOOK_VERSIONS", "event_schema", "webhook_schema"]

WEBHOOK_VERSIONS: Final = ("4", "1")
"""The payload version of Alertmanager, and that of Grafana, which has the same shape."""
EVENT_TYPES: Final = ("Warning", "Error", "Normal")

_TIME: Final = {"type": "string", "format": "date-time"}
_NULL: Final = {"type": "null"}
_STRINGS: Final = {"type": "object", "additionalProperties": {"type": "string"}}


def webhook_schema() -> Mapping[str, Any]:
    """Return the schema of the Alertmanager webhook; further members are allowed."""
    alert = {
        "type": "object",
        "properties": {
            "status": {"enum": ["firing", "resolved"]},
            "labels": {
                **_STRINGS,
                "description": "Together with the common labels, they name the Kubernetes object of the alert, with "
                "labels such as deployment or pod, and its namespace. Without such a label the alert is rejected.",
            },
            "annotations": {"anyOf": [_STRINGS, _NULL]},
            "startsAt": {
                **_TIME,
                "description": "A firing alert is rejected if it is more than two minutes in the future.",
            },
        },
        "required": ["status", "labels", "startsAt"],
    }
    return {
        "type": "object",
        "description": "Alertmanager's webhook_config, payload version 4, or Grafana's webhook, payload version 1.",
        "properties": {
            "version": {"enum": list(WEBHOOK_VERSIONS)},
            "alerts": {"type": "array", "items": alert, "minItems": 1},
            "commonLabels": {"anyOf": [_STRINGS, _NULL], "description": "The labels of an alert override them."},
            "commonAnnotations": {"anyOf": [_STRINGS, _NULL], "description": "The labels of an alert override them."},
            "groupKey": {
                "description": "With the receiver, it identifies the group. A request of the same group after a failed "
                "one repeats its alerts: an alert with the same labels, status and startsAt is not counted again.",
            },
            "truncatedAlerts": {"description": "Number of alerts that the sender left out."},
        },
        "required": ["version", "alerts"],
    }


def event_schema() -> Mapping[str, Any]:
    """Return the schema of the bodies with Kubernetes Events; further members are allowed."""
    event = {"anyOf": [_event("involvedObject"), _event("regarding")]}
    change = {"enum": ["ADDED", "MODIFIED", "UPDATED", "DELETED", "BOOKMARK"]}
    return {
        "description": "A Kubernetes Event of v1 or events.k8s.io/v1, a list of Events, or a change of an Event. An "
        "Event is rejected if it is old, Normal, or about no valid object.",
        "anyOf": [
            *event["anyOf"],
            {
                "type": "object",
                "properties": {
                    "kind": {"enum": ["EventList", "List"]},
                    "items": {"type": "array", "items": event, "minItems": 1},
                },
                "required": ["kind", "items"],
            },
            {"type": "object", "properties": {"type": change, "object": event}, "required": ["type", "object"]},
            {"type": "object", "properties": {"verb": change, "event": event}, "required": ["verb", "event"]},
        ],
    }


def _event(reference: str) -> Mapping[str, Any]:
    time = {"anyOf": [_TIME, _NULL]}
    text = {"type": ["string", "null"]}
    source = {"anyOf": [{"type": "object", "properties": {"component": text}}, _NULL]}
    times = ("lastTimestamp", "firstTimestamp", "eventTime", "deprecatedLastTimestamp", "deprecatedFirstTimestamp")
    texts = ("reason", "message", "note", "reportingComponent", "reportingController")
    return {
        "type": "object",
        "properties": {
            "kind": {"const": "Event"},
            "type": {**text, "description": f"One of {', '.join(EVENT_TYPES)}; an Event of another type is rejected."},
            reference: {
                "type": "object",
                "properties": dict.fromkeys(("kind", "name", "namespace", "apiVersion"), text),
            },
            **dict.fromkeys(texts, text),
            **dict.fromkeys(times, time),
            "series": {"anyOf": [{"type": "object", "properties": {"lastObservedTime": time}}, _NULL]},
            "source": source,
            "deprecatedSource": source,
        },
        "required": [reference],
    }

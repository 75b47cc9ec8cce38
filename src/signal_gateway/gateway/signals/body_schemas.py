"""JSON Schemas of the payloads, for the OpenAPI description. The adapters validate without them."""

from collections.abc import Mapping
from typing import Any, Final

from signal_gateway.gateway.signals.adapter import MAX_NAME_LENGTH, MAX_SEVERITY_LENGTH

__all__ = ["ALERTMANAGER_VERSION", "EVENT_TYPES", "event_schema", "webhook_schema"]

ALERTMANAGER_VERSION: Final = "4"
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
                "labels such as deployment or pod, and its namespace.",
                "properties": {
                    "alertname": {"type": "string", "minLength": 1, "maxLength": MAX_NAME_LENGTH},
                    "severity": {"type": "string", "maxLength": MAX_SEVERITY_LENGTH},
                },
            },
            "annotations": {"anyOf": [_STRINGS, _NULL]},
            "startsAt": {**_TIME, "description": "For a firing alert: at most two minutes in the future."},
        },
        "required": ["status", "labels", "startsAt"],
    }
    return {
        "type": "object",
        "description": "Alertmanager's webhook_config, payload version 4.",
        "properties": {
            "version": {"const": ALERTMANAGER_VERSION},
            "alerts": {"type": "array", "items": alert, "minItems": 1},
            "commonLabels": {"anyOf": [_STRINGS, _NULL], "description": "The labels of an alert override them."},
            "commonAnnotations": {"anyOf": [_STRINGS, _NULL], "description": "The labels of an alert override them."},
        },
        "required": ["version", "alerts"],
    }


def event_schema() -> Mapping[str, Any]:
    """Return the schema of a core/v1 Event; further members are allowed."""
    time = {"anyOf": [_TIME, _NULL]}
    text = {"type": ["string", "null"]}
    return {
        "type": "object",
        "description": "A core/v1 Event. Unless its type is Normal, it needs a recent time.",
        "properties": {
            "kind": {"const": "Event"},
            "type": {"enum": list(EVENT_TYPES)},
            "reason": {"type": "string", "minLength": 1, "maxLength": MAX_NAME_LENGTH},
            "message": text,
            "involvedObject": {
                "type": "object",
                "properties": {
                    "kind": {"type": "string", "pattern": "^[A-Z][A-Za-z0-9]{0,62}$"},
                    "name": {"type": "string", "maxLength": 253, "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"},
                    "namespace": {"type": ["string", "null"], "maxLength": 63},
                    "apiVersion": text,
                },
                "required": ["kind", "name"],
            },
            "lastTimestamp": time,
            "firstTimestamp": time,
            "eventTime": time,
            "series": {"anyOf": [{"type": "object", "properties": {"lastObservedTime": time}}, _NULL]},
            "reportingComponent": text,
            "source": {"anyOf": [{"type": "object", "properties": {"component": text}}, _NULL]},
        },
        "required": ["type", "reason", "involvedObject"],
    }

"""Events: defaults and validation, and conversion between core/v1 and events.k8s.io/v1.

Both versions have the same objects, with different names of the same fields.

After `pkg/apis/core/validation/events.go` and `pkg/apis/events/v1/conversion.go` of Kubernetes.
"""

from collections.abc import Mapping

from signal_gateway.apiserver.apimachinery.objects import JsonObject
from signal_gateway.apiserver.apimachinery.status import Cause
from signal_gateway.apiserver.kinds.schema.strategy import ModelStrategy

__all__ = ["CORE_EVENTS", "EVENTS", "from_core", "to_core"]

_CORE_NAMES: Mapping[str, str] = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}


def to_core(event: JsonObject) -> JsonObject:
    """Convert an event from events.k8s.io/v1 to core/v1."""
    renamed = {_CORE_NAMES.get(name, name): value for name, value in event.items()}
    _add_empty_fields(renamed, "")
    return renamed | {"apiVersion": "v1"}


def from_core(event: JsonObject) -> JsonObject:
    """Convert an event from core/v1 to events.k8s.io/v1."""
    names = {core: name for name, core in _CORE_NAMES.items()}
    renamed = {names.get(name, name): value for name, value in event.items() if value not in ("", None)}
    if not renamed.get("regarding"):
        renamed.pop("regarding", None)
    for name in ("eventTime", "deprecatedFirstTimestamp", "deprecatedLastTimestamp"):
        renamed.setdefault(name, None)
    return renamed | {"apiVersion": "events.k8s.io/v1"}


def _default_core(new: JsonObject, _old: JsonObject | None) -> None:
    _add_empty_fields(new, "")


def _add_empty_fields(event: JsonObject, text: str) -> None:
    """Add the fields that the server always writes in a core/v1 event."""
    event.setdefault("involvedObject", {})
    event.setdefault("source", {})
    for name in ("firstTimestamp", "lastTimestamp", "eventTime"):
        event.setdefault(name, None)
    event.setdefault("reportingComponent", text)
    event.setdefault("reportingInstance", text)


def _validate_core(new: JsonObject, _old: JsonObject | None) -> list[Cause]:
    namespace, about = new["metadata"].get("namespace", ""), new["involvedObject"].get("namespace", "")
    causes = []
    if (about or "default") != namespace:
        detail = "does not match event.namespace"
        causes.append(Cause.invalid("involvedObject.namespace", about, detail))
    return causes + (_validate_event_time_fields(new) if new.get("eventTime") else [])


def _validate_event_time_fields(event: JsonObject) -> list[Cause]:
    """Return a cause for each missing field that an event with an eventTime requires."""
    names = {"reportingComponent": "reportingController", "reportingInstance": "reportingInstance", "action": "action"}
    causes = [Cause.required(shown) for name, shown in names.items() if not event.get(name)]
    return causes + ([] if event.get("reason") else [Cause.required("reason")])


def _validate_event(new: JsonObject, old: JsonObject | None) -> list[Cause]:
    causes = []
    if old is None and not new.get("eventTime"):
        causes.append(Cause.required("eventTime"))
    if old is None and new.get("type") not in ("Normal", "Warning"):
        type = new.get("type", "")
        causes.append(Cause.invalid("type", type, f"has invalid value: {type}"))
    return causes + _validate_core(to_core(new), old)


CORE_EVENTS = ModelStrategy("core_v1.Event", _default_core, _validate_core)
EVENTS = ModelStrategy("events_v1.Event", validator=_validate_event)

"""Events: the same objects in core/v1 and in events.k8s.io/v1, under different names for the same fields.

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
    """Return an events.k8s.io/v1 event as core/v1 has it."""
    renamed = {_CORE_NAMES.get(name, name): value for name, value in event.items()}
    _write_out(renamed, "")
    return renamed | {"apiVersion": "v1"}


def from_core(event: JsonObject) -> JsonObject:
    """Return a core/v1 event as events.k8s.io/v1 has it."""
    names = {core: name for name, core in _CORE_NAMES.items()}
    renamed = {names.get(name, name): value for name, value in event.items() if value not in ("", None)}
    if not renamed.get("regarding"):
        renamed.pop("regarding", None)
    for name in ("eventTime", "deprecatedFirstTimestamp", "deprecatedLastTimestamp"):
        renamed.setdefault(name, None)
    return renamed | {"apiVersion": "events.k8s.io/v1"}


def _default_core(new: JsonObject, _old: JsonObject | None) -> None:
    _write_out(new, "")


def _write_out(event: JsonObject, text: str) -> None:
    """Fill in what a core event always shows."""
    event.setdefault("involvedObject", {})
    event.setdefault("source", {})
    for name in ("firstTimestamp", "lastTimestamp", "eventTime"):
        event.setdefault(name, None)
    event.setdefault("reportingComponent", text)
    event.setdefault("reportingInstance", text)


def _check_core(new: JsonObject, _old: JsonObject | None) -> list[Cause]:
    namespace, about = new["metadata"].get("namespace", ""), new["involvedObject"].get("namespace", "")
    causes = []
    if (about or "default") != namespace:
        detail = "does not match event.namespace"
        causes.append(Cause.invalid("involvedObject.namespace", about, detail))
    return causes + (_check_new_style(new) if new.get("eventTime") else [])


def _check_new_style(event: JsonObject) -> list[Cause]:
    """Return what an event lacks that says when it happened and who reports it."""
    names = {"reportingComponent": "reportingController", "reportingInstance": "reportingInstance", "action": "action"}
    causes = [Cause.required(shown) for name, shown in names.items() if not event.get(name)]
    return causes + ([] if event.get("reason") else [Cause.required("reason")])


def _check_event(new: JsonObject, old: JsonObject | None) -> list[Cause]:
    causes = []
    if old is None and not new.get("eventTime"):
        causes.append(Cause.required("eventTime"))
    if old is None and new.get("type") not in ("Normal", "Warning"):
        type = new.get("type", "")
        causes.append(Cause.invalid("type", type, f"has invalid value: {type}"))
    return causes + _check_core(to_core(new), old)


CORE_EVENTS = ModelStrategy("core_v1.Event", _default_core, _check_core)
EVENTS = ModelStrategy("events_v1.Event", validate=_check_event)

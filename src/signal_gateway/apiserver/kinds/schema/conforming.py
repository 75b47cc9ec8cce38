"""Bring an object into the form of its model, as decoding into the API server's own types and encoding again does.

Unknown fields and nulls go, empty values that the server does not write out go, those that it always writes out come,
times and quantities are written in their one form. A value of the wrong type is an error.
"""

import re
from datetime import UTC, datetime
from typing import Any

from signal_gateway.apiserver.apimachinery.objects import JsonObject
from signal_gateway.apiserver.apimachinery.quantities import QuantityError, canonical_quantity
from signal_gateway.apiserver.apimachinery.resources import FieldTypeError
from signal_gateway.apiserver.kinds.schema.models import Field, Type, fields_of

__all__ = ["conform"]

_OBJECT_FIELDS = ("apiVersion", "kind", "metadata")

# the server tells an empty text apart from none: `*string` in its types
_OPTIONAL_TEXTS = frozenset(
    ("IngressSpec.ingressClassName", "LeaseSpec.holderIdentity", "PersistentVolumeClaimSpec.storageClassName")
)
# the server does not tell false or 0 apart from nothing: `bool` and `int32` in its types
_PLAIN_FLAGS = frozenset(
    (
        "hostIPC",
        "hostNetwork",
        "hostPID",
        "paused",
        "publishNotReadyAddresses",
        "readOnly",
        "stdin",
        "stdinOnce",
        "tty",
        "unschedulable",
    )
)
_PLAIN_NUMBERS = frozenset(("hostPort", "minReadySeconds", "nodePort"))
# counts in a status that are written out even if they are zero, though Kubernetes' description does not require them
_WRITTEN_COUNTS = frozenset(
    (
        "HorizontalPodAutoscalerStatus.currentReplicas",
        "HorizontalPodAutoscalerStatus.desiredReplicas",
        "JobStatus.ready",
        "JobStatus.terminating",
        "PodDisruptionBudgetStatus.currentHealthy",
        "PodDisruptionBudgetStatus.desiredHealthy",
        "PodDisruptionBudgetStatus.disruptionsAllowed",
        "PodDisruptionBudgetStatus.expectedPods",
    )
)
# structs whose times the server writes out as null where there are none
_TIMED = re.compile(r"\w+Condition|ContainerState(Running|Terminated)")
_ZERO = {"string": "", "integer": 0, "boolean": False, "int-or-string": 0}

_TIME = re.compile(r"\d{4}-\d\d-\d\d[T]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_GO_TIME = "2006-01-02T15:04:05Z07:00"
_GO_MICRO_TIME = "2006-01-02T15:04:05.000000Z07:00"


def conform(object: JsonObject, model: str) -> list[str]:
    """Bring an object into its model's form, in place; its apiVersion, kind and metadata are left as they are.

    Args:
        object: The object as sent.
        model: Module and class of its model, such as `core_v1.Pod`.

    Returns:
        Paths of the unknown fields that were dropped.

    Raises:
        FieldTypeError: A value has the wrong type.
    """
    dropped: list[str] = []
    fields = {name: value for name, value in object.items() if name not in _OBJECT_FIELDS}
    _conform_fields(fields, model, _Place(model.rpartition(".")[2], "", "", is_status=False), dropped)
    kept = {name: object[name] for name in _OBJECT_FIELDS if name in object}
    object.clear()
    object |= fields | kept
    return dropped


class _Place:
    """Where a value stands: the struct that holds it, its path in Go's words, and its path with indexes."""

    __slots__ = ("go_path", "is_status", "path", "struct")

    def __init__(self, struct: str, go_path: str, path: str, *, is_status: bool) -> None:
        self.struct = struct
        self.go_path = go_path
        self.path = path
        self.is_status = is_status

    def field(self, name: str) -> "_Place":
        is_status = self.is_status or (not self.path and name == "status")
        return _Place(self.struct, _join(self.go_path, name), _join(self.path, name), is_status=is_status)

    def item(self, index: int) -> "_Place":
        return _Place(self.struct, self.go_path, f"{self.path}[{index}]", is_status=self.is_status)

    def within(self, model: str) -> "_Place":
        return _Place(model.rpartition(".")[2], self.go_path, self.path, is_status=self.is_status)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _conform_fields(value: JsonObject, model: str, place: _Place, dropped: list[str]) -> None:
    fields = fields_of(model)
    for name in list(value):
        field = fields.get(name)
        if field is None:
            dropped.append(_join(place.path, name))
            del value[name]
        elif value[name] is None:
            del value[name]
        else:
            value[name] = _conformed(value[name], field.type, place.field(name), dropped)
            if not field.is_required and _is_left_out(name, value[name], field, place.field(name)):
                del value[name]
    for name, field in fields.items():
        if name in value:
            continue
        if field.is_required and name != "selector":  # a pointer
            _fill_in(value, name, field, place.field(name), dropped)
        elif field.type.name == "time" and _TIMED.fullmatch(place.struct):
            value[name] = None


def _is_left_out(name: str, value: object, field: Field, place: _Place) -> bool:
    """Return whether a value is what the server does not write out."""
    match field.type.name:
        case "list" | "map":
            return not value
        case "string":
            return value == "" and f"{place.struct}.{name}" not in _OPTIONAL_TEXTS
        case "boolean":
            return value is False and name in _PLAIN_FLAGS
        case "integer":
            is_plain = place.is_status or name in _PLAIN_NUMBERS
            return value == 0 and is_plain and f"{place.struct}.{name}" not in _WRITTEN_COUNTS
        case _:
            return False


def _fill_in(value: JsonObject, name: str, field: Field, place: _Place, dropped: list[str]) -> None:
    """Write out what the server always writes out."""
    if field.type.name == "object":
        value[name] = {}
        _conform_fields(value[name], field.type.model, place.within(field.type.model), dropped)
    elif field.type.name in _ZERO:
        value[name] = _ZERO[field.type.name]


def _conformed(value: Any, type: Type, place: _Place, dropped: list[str]) -> Any:
    match type.name, value:
        case "any", _:
            return value
        case "object", dict():
            _conform_fields(value, type.model, place.within(type.model), dropped)
            return value
        case "list", list() if type.item is not None:
            items = [_or_zero(item, type.item) for item in value]
            return [_conformed(item, type.item, place.item(index), dropped) for index, item in enumerate(items)]
        case "map", dict() if type.item is not None:
            values = {key: _or_zero(item, type.item) for key, item in value.items()}
            return {key: _conformed(item, type.item, place, dropped) for key, item in values.items()}
        case ("string", str()) | ("boolean", bool()) | ("int-or-string", str()):
            return value
        case ("integer" | "int-or-string" | "number", int()) | ("number", float()) if not isinstance(value, bool):
            return value
        case "quantity", (str() | int() | float()) if not isinstance(value, bool):
            return _quantity(value)
        case (("time" | "micro-time"), str()):
            return _time(value, is_micro=type.name == "micro-time")
        case _:
            raise FieldTypeError(
                f"json: cannot unmarshal {_json_name(value)} into Go struct field {place.struct}.{place.go_path} "
                f"of type {type.go}"
            )


def _or_zero(item: Any, type: Type) -> Any:
    """Return what a null in a list or a map is read as."""
    return item if item is not None else _ZERO.get(type.name, {} if type.name == "object" else item)


def _quantity(value: str | float) -> str:
    try:
        return canonical_quantity(value)
    except QuantityError as exc:
        raise FieldTypeError(str(exc)) from exc


def _time(text: str, *, is_micro: bool) -> str:
    layout = _GO_MICRO_TIME if is_micro else _GO_TIME
    match = _TIME.fullmatch(text)
    problem = f'parsing time "{text}" as "{layout}": cannot parse "{text}"'
    if match is None or (is_micro and len(match[1] or "") != 7):
        raise FieldTypeError(problem)
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
    except ValueError as exc:
        raise FieldTypeError(problem) from exc
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if is_micro else "%Y-%m-%dT%H:%M:%SZ")


def _json_name(value: object) -> str:
    match value:
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case None:
            return "null"
        case _:
            return "object"

"""The canonical form of an object: the result of a decode into the API server's Go types and an encode.

Unknown fields, nulls and the empty values that the server omits are removed. The empty values that the server always
writes are added. Times and quantities get their canonical notation. A value of the wrong type is an error.
"""

import re
from datetime import UTC, datetime
from typing import Any

from signal_gateway.apiserver.apimachinery.objects import JsonObject
from signal_gateway.apiserver.apimachinery.quantities import QuantityError, canonical_quantity
from signal_gateway.apiserver.apimachinery.resources import FieldTypeError
from signal_gateway.apiserver.kinds.schema.models import FieldType, ModelField, fields_of

__all__ = ["canonicalize"]

_OBJECT_FIELDS = ("apiVersion", "kind", "metadata")

# the server distinguishes an empty string from an absent one: `*string` in its types
_OPTIONAL_STRINGS = frozenset(
    ("IngressSpec.ingressClassName", "LeaseSpec.holderIdentity", "PersistentVolumeClaimSpec.storageClassName")
)
# the server does not distinguish false or 0 from an absent value: `bool` and `int32` in its types
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
# counts in a status that the server writes even if they are zero, though the OpenAPI description does not require them
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
# structs whose absent times the server writes as null
_TIMED = re.compile(r"\w+Condition|ContainerState(Running|Terminated)")
_ZERO = {"string": "", "integer": 0, "boolean": False, "int-or-string": 0}

_TIME = re.compile(r"\d{4}-\d\d-\d\d[T]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_GO_TIME = "2006-01-02T15:04:05Z07:00"
_GO_MICRO_TIME = "2006-01-02T15:04:05.000000Z07:00"


def canonicalize(object: JsonObject, model: str) -> list[str]:
    """Convert an object to its canonical form, in place, except apiVersion, kind and metadata.

    Args:
        object: The object from the request.
        model: Module and class of its model, such as `core_v1.Pod`.

    Returns:
        The paths of the unknown fields that were removed.

    Raises:
        FieldTypeError: A value has the wrong type.
    """
    dropped: list[str] = []
    fields = {name: value for name, value in object.items() if name not in _OBJECT_FIELDS}
    _canonicalize_fields(fields, model, _FieldPath(model.rpartition(".")[2], "", "", is_status=False), dropped)
    kept = {name: object[name] for name in _OBJECT_FIELDS if name in object}
    object.clear()
    object |= fields | kept
    return dropped


class _FieldPath:
    """The location of a value: its struct, its path in Go's messages, and its path with indexes."""

    __slots__ = ("go_path", "is_status", "path", "struct")

    def __init__(self, struct: str, go_path: str, path: str, *, is_status: bool) -> None:
        self.struct = struct
        self.go_path = go_path
        self.path = path
        self.is_status = is_status

    def field(self, name: str) -> "_FieldPath":
        is_status = self.is_status or (not self.path and name == "status")
        return _FieldPath(self.struct, _join(self.go_path, name), _join(self.path, name), is_status=is_status)

    def item(self, index: int) -> "_FieldPath":
        return _FieldPath(self.struct, self.go_path, f"{self.path}[{index}]", is_status=self.is_status)

    def within(self, model: str) -> "_FieldPath":
        return _FieldPath(model.rpartition(".")[2], self.go_path, self.path, is_status=self.is_status)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _canonicalize_fields(value: JsonObject, model: str, path: _FieldPath, dropped: list[str]) -> None:
    fields = fields_of(model)
    for name in list(value):
        field = fields.get(name)
        if field is None:
            dropped.append(_join(path.path, name))
            del value[name]
        elif value[name] is None:
            del value[name]
        else:
            value[name] = _canonical_value(value[name], field.type, path.field(name), dropped)
            if not field.is_required and _is_omitted(name, value[name], field, path.field(name)):
                del value[name]
    for name, field in fields.items():
        if name in value:
            continue
        if field.is_required and name != "selector":  # a pointer
            _add_empty(value, name, field, path.field(name), dropped)
        elif field.type.name == "time" and _TIMED.fullmatch(path.struct):
            value[name] = None


def _is_omitted(name: str, value: object, field: ModelField, path: _FieldPath) -> bool:
    """Return whether the server omits a value."""
    match field.type.name:
        case "list" | "map":
            return not value
        case "string":
            return value == "" and f"{path.struct}.{name}" not in _OPTIONAL_STRINGS
        case "boolean":
            return value is False and name in _PLAIN_FLAGS
        case "integer":
            is_plain = path.is_status or name in _PLAIN_NUMBERS
            return value == 0 and is_plain and f"{path.struct}.{name}" not in _WRITTEN_COUNTS
        case _:
            return False


def _add_empty(value: JsonObject, name: str, field: ModelField, path: _FieldPath, dropped: list[str]) -> None:
    """Add the empty value of a field that the server always writes."""
    if field.type.name == "object":
        value[name] = {}
        _canonicalize_fields(value[name], field.type.model, path.within(field.type.model), dropped)
    elif field.type.name in _ZERO:
        value[name] = _ZERO[field.type.name]


def _canonical_value(value: Any, type: FieldType, path: _FieldPath, dropped: list[str]) -> Any:
    match type.name, value:
        case "any", _:
            return value
        case "object", dict():
            _canonicalize_fields(value, type.model, path.within(type.model), dropped)
            return value
        case "list", list() if type.item is not None:
            items = [_or_zero(item, type.item) for item in value]
            return [_canonical_value(item, type.item, path.item(index), dropped) for index, item in enumerate(items)]
        case "map", dict() if type.item is not None:
            values = {key: _or_zero(item, type.item) for key, item in value.items()}
            return {key: _canonical_value(item, type.item, path, dropped) for key, item in values.items()}
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
                f"json: cannot unmarshal {_json_name(value)} into Go struct field {path.struct}.{path.go_path} "
                f"of type {type.go}"
            )


def _or_zero(item: Any, type: FieldType) -> Any:
    """Return the value of an item in a list or a map, where null is the zero value."""
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

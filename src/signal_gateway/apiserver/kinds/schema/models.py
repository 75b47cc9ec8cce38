"""What a kind's fields are: read from lightkube's models, which are generated from Kubernetes' own description.

A model is imported when the first object of its kind is written, so that a cluster starts without them.
"""

import functools
import importlib
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["Field", "Type", "fields_of"]

TypeName = Literal[
    "string",
    "integer",
    "boolean",
    "number",
    "time",
    "micro-time",
    "quantity",
    "int-or-string",
    "any",
    "list",
    "map",
    "object",
]

_SCALARS: Mapping[str, tuple[TypeName, str]] = {
    "str": ("string", "string"),
    "int": ("integer", "int32"),
    "bool": ("boolean", "bool"),
    "float": ("number", "float64"),
    "Time": ("time", "v1.Time"),
    "MicroTime": ("micro-time", "v1.MicroTime"),
    "Quantity": ("quantity", "resource.Quantity"),
    "IntOrString": ("int-or-string", "intstr.IntOrString"),
    "RawExtension": ("any", "runtime.RawExtension"),
    "FieldsV1": ("any", "v1.FieldsV1"),
}
_MAPS_OF_QUANTITIES = frozenset(("allocatable", "allocatedResources", "capacity", "limits", "overhead", "requests"))


@dataclass(frozen=True, slots=True)
class Type:
    """The type of a field.

    Attributes:
        name: What it is in JSON, or which notation a text is in.
        go: What the API server calls it.
        item: The type of a list's items or a map's values.
        model: Module and class of an object's model, such as `core_v1.PodSpec`.
    """

    name: TypeName
    go: str
    item: "Type | None" = None
    model: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a model.

    Attributes:
        type: What it holds.
        is_required: Whether Kubernetes' description says that it must be there; it is always written out then.
    """

    type: Type
    is_required: bool


@functools.cache
def fields_of(model: str) -> Mapping[str, Field]:
    """Return the fields of a model, such as `core_v1.Pod`, by their names in JSON."""
    module_name, _, class_name = model.partition(".")
    cls = getattr(importlib.import_module(f"lightkube.models.{module_name}"), class_name)
    fields = {}
    for name, annotation in cls.__annotations__.items():
        inner = re.fullmatch(r"Optional\[(.*)\]", annotation)
        type = _type_of(module_name, name, inner[1] if inner else annotation)
        fields[name.rstrip("_")] = Field(type, is_required=inner is None)  # `from_` stands for `from`
    return fields


def _type_of(module_name: str, field: str, annotation: str) -> Type:
    if inner := re.fullmatch(r"List\[(.*)\]", annotation):
        item = _type_of(module_name, field, inner[1])
        return Type("list", f"[]{item.go}", item)
    if annotation == "dict":
        value = _map_value(field)
        return Type("map", f"map[string]{value.go}", value)
    prefix, _, class_name = annotation.rpartition(".")
    if class_name in _SCALARS:
        return Type(*_SCALARS[class_name])
    home = prefix or module_name
    found = getattr(sys.modules[f"lightkube.models.{home}"], class_name)
    if not isinstance(found, type):  # an object without fields
        return Type("any", class_name)
    version = home.rpartition("_")[2]
    return Type("object", f"{version}.{class_name}", model=f"{home}.{class_name}")


def _map_value(field: str) -> Type:
    """Return what a map holds, of which the models say nothing."""
    if field in _MAPS_OF_QUANTITIES:
        return Type(*_SCALARS["Quantity"])
    if field == "disruptedPods":
        return Type(*_SCALARS["Time"])
    if field == "extra":
        text = Type(*_SCALARS["str"])
        return Type("list", "v1.ExtraValue", text)
    return Type(*_SCALARS["str"])

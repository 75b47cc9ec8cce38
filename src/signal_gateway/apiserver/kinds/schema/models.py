"""The fields of a kind, from lightkube's models, which are generated from the OpenAPI description of Kubernetes.

A model is imported with the first write of an object of its kind, so that the start of a cluster imports none.
"""

import functools
import importlib
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["FieldType", "ModelField", "fields_of"]

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
class FieldType:
    """The type of a field.

    Attributes:
        name: The JSON type, or the notation of a string.
        go: The Go type in the API server's messages.
        item: The type of a list's items or a map's values.
        model: Module and class of an object's model, such as `core_v1.PodSpec`.
    """

    name: TypeName
    go: str
    item: "FieldType | None" = None
    model: str = ""


@dataclass(frozen=True, slots=True)
class ModelField:
    """A field of a model.

    Attributes:
        type: The type of its values.
        is_required: Whether the OpenAPI description of Kubernetes requires it; the server always writes such a field.
    """

    type: FieldType
    is_required: bool


@functools.cache
def fields_of(model: str) -> Mapping[str, ModelField]:
    """Return the fields of a model, such as `core_v1.Pod`, by their names in JSON."""
    module_name, _, class_name = model.partition(".")
    cls = getattr(importlib.import_module(f"lightkube.models.{module_name}"), class_name)
    fields = {}
    for name, annotation in cls.__annotations__.items():
        inner = re.fullmatch(r"Optional\[(.*)\]", annotation)
        type = _type_of(module_name, name, inner[1] if inner else annotation)
        fields[name.rstrip("_")] = ModelField(type, is_required=inner is None)  # `from_` stands for `from`
    return fields


def _type_of(module_name: str, field: str, annotation: str) -> FieldType:
    if inner := re.fullmatch(r"List\[(.*)\]", annotation):
        item = _type_of(module_name, field, inner[1])
        return FieldType("list", f"[]{item.go}", item)
    if annotation == "dict":
        value = _map_value(field)
        return FieldType("map", f"map[string]{value.go}", value)
    prefix, _, class_name = annotation.rpartition(".")
    if class_name in _SCALARS:
        return FieldType(*_SCALARS[class_name])
    owner = prefix or module_name
    found = getattr(sys.modules[f"lightkube.models.{owner}"], class_name)
    if not isinstance(found, type):  # an object without fields
        return FieldType("any", class_name)
    version = owner.rpartition("_")[2]
    return FieldType("object", f"{version}.{class_name}", model=f"{owner}.{class_name}")


def _map_value(field: str) -> FieldType:
    """Return the type of a map's values, which the models lack."""
    if field in _MAPS_OF_QUANTITIES:
        return FieldType(*_SCALARS["Quantity"])
    if field == "disruptedPods":
        return FieldType(*_SCALARS["Time"])
    if field == "extra":
        text = FieldType(*_SCALARS["str"])
        return FieldType("list", "v1.ExtraValue", text)
    return FieldType(*_SCALARS["str"])

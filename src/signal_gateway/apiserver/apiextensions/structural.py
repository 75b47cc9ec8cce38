"""Structural schemas: the requirements for the schema of a CustomResourceDefinition.

The rules are those of `k8s.io/apiextensions-apiserver/pkg/apiserver/schema`, and of its validation of definitions.
"""

from typing import Any, Final

from signal_gateway.apiserver.apiextensions.schema import prune_value, validate_value
from signal_gateway.apiserver.apimachinery.objects import JsonObject, copy_json, encode
from signal_gateway.apiserver.apimachinery.status import Cause

__all__ = ["schema_at", "validate_structural"]

_TYPES: Final = ("array", "boolean", "integer", "number", "object", "string")
_PRESERVE: Final = "x-kubernetes-preserve-unknown-fields"
_INT_OR_STRING: Final = "x-kubernetes-int-or-string"
_EMBEDDED: Final = "x-kubernetes-embedded-resource"
_LIST_TYPE: Final = "x-kubernetes-list-type"
_LIST_KEYS: Final = "x-kubernetes-list-map-keys"
_LIST_TYPES: Final = ("atomic", "map", "set")
_FORBIDDEN: Final = {
    "definitions": "definitions is not supported",
    "dependencies": "dependencies are not supported",
    "deprecated": "deprecated is not supported",
    "discriminator": "discriminator is not supported",
    "id": "id is not supported",
    "patternProperties": "patternProperties is not supported",
    "$ref": "$ref is not supported",
}
_SCALAR_TYPES: Final = ("boolean", "integer", "string")


def schema_at(schema: JsonObject, path: str) -> JsonObject | None:
    """Return the schema of the field at a simple path such as `.spec.color`; None without one."""
    found: Any = schema
    for name in path.removeprefix(".").split("."):
        found = found.get("properties", {}).get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def validate_structural(schema: Any, path: str, *, is_root: bool = True) -> list[Cause]:
    """Return the causes why a schema is not structural.

    Args:
        schema: The schema.
        path: Its path in the definition.
        is_root: Whether it is the schema of whole objects.
    """
    if not isinstance(schema, dict) or not isinstance(schema.get("properties", {}), dict):
        return [Cause.invalid(path, schema, "must be a schema")]
    causes = _validate_type(schema, path, is_root=is_root) + _validate_lists(schema, path)
    causes += [Cause.forbidden(f"{path}.{name}", detail) for name, detail in _FORBIDDEN.items() if schema.get(name)]
    if schema.get("uniqueItems"):
        causes.append(Cause.forbidden(f"{path}.uniqueItems", "uniqueItems cannot be set to true since the runtime"))
    if isinstance(schema.get("additionalProperties"), dict) and schema.get("properties"):
        detail = "additionalProperties and properties are mutual exclusive"
        causes.append(Cause.forbidden(f"{path}.additionalProperties", detail))
    if "default" in schema:
        causes += _validate_default(schema, path)
    for name, child in schema.get("properties", {}).items():
        causes += validate_structural(child, f"{path}.properties[{name}]", is_root=False)
    for keyword in ("items", "additionalProperties"):
        if isinstance(child := schema.get(keyword), dict):
            causes += validate_structural(child, f"{path}.{keyword}", is_root=False)
    return causes


def _validate_type(schema: JsonObject, path: str, *, is_root: bool) -> list[Cause]:
    wanted = schema.get("type")
    if is_root and wanted not in (None, "", "object"):
        return [Cause.invalid(f"{path}.type", wanted, "must be object at the root")]
    if not wanted:
        is_typeless = schema.get(_INT_OR_STRING) or schema.get(_PRESERVE)
        detail = "must not be empty at the root" if is_root else "must not be empty for specified object fields"
        return [] if is_typeless and not is_root else [Cause.required(f"{path}.type", detail)]
    if wanted not in _TYPES:
        return [Cause.not_supported(f"{path}.type", wanted, list(_TYPES))]
    if wanted == "array" and not isinstance(schema.get("items"), dict):
        return [Cause.required(f"{path}.items", "must be specified")]
    if schema.get(_EMBEDDED) and wanted != "object":
        return [Cause.invalid(f"{path}.type", wanted, f"must be object if {_EMBEDDED} is true")]
    return []


def _validate_lists(schema: JsonObject, path: str) -> list[Cause]:
    list_type, keys = schema.get(_LIST_TYPE), schema.get(_LIST_KEYS) or []
    if list_type is None:
        return [Cause.invalid(f"{path}.{_LIST_KEYS}", keys, "must be empty")] if keys else []
    if schema.get("type") != "array":
        return [Cause.invalid(f"{path}.type", schema.get("type"), f"must be array if {_LIST_TYPE} is specified")]
    if list_type not in _LIST_TYPES:
        return [Cause.not_supported(f"{path}.{_LIST_TYPE}", list_type, list(_LIST_TYPES))]
    if list_type != "map":
        return []
    if not keys:
        return [Cause.required(f"{path}.{_LIST_KEYS}", f"must not be empty if {_LIST_TYPE} is map")]
    items = schema.get("items") or {}
    properties = items.get("properties", {})
    causes = []
    for index, key in enumerate(keys):
        if properties.get(key, {}).get("type") not in (*_SCALAR_TYPES, "number"):
            detail = "entries must all be names of item properties"
            causes.append(Cause.invalid(f"{path}.{_LIST_KEYS}[{index}]", key, detail))
    return causes


def _validate_default(schema: JsonObject, path: str) -> list[Cause]:
    default = copy_json({"": schema["default"]})[""]
    pruned = copy_json({"": default})[""]
    prune_value(pruned, schema)
    if encode(pruned) != encode(default):
        return [Cause.invalid(f"{path}.default", default, "must not have unknown fields")]
    return [
        Cause(cause.reason, f"{path}.default", cause.message)
        for cause in validate_value(default, schema, f"{path}.default")
    ]

"""SchemaStrategy: pruning, defaults and validation of custom resources by their structural schema.

The rules and messages are those of `k8s.io/apiextensions-apiserver/pkg/apiserver/schema` and of go-openapi's
validation.
"""

import base64
import ipaddress
import math
import re
from datetime import date, datetime
from typing import Any

from signal_gateway.apiserver.apiextensions.validation_rules import has_rules, validate_rules
from signal_gateway.apiserver.apimachinery.objects import JsonObject, copy_json, encode
from signal_gateway.apiserver.apimachinery.status import Cause

__all__ = ["SchemaStrategy", "prune_value", "validate_value"]

_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_INT_OR_STRING = "x-kubernetes-int-or-string"
_EMBEDDED = "x-kubernetes-embedded-resource"
_OBJECT_FIELDS = ("apiVersion", "kind", "metadata")


class SchemaStrategy:
    """The strategy of a custom resource, by the `openAPIV3Schema` of its version.

    Args:
        schema: The structural schema.
    """

    def __init__(self, schema: JsonObject) -> None:
        self._schema = schema
        self._has_rules = has_rules(schema)

    @property
    def schema(self) -> JsonObject:
        """The schema of the constructor. Do not change it."""
        return self._schema

    def prepare(self, new: JsonObject, old: JsonObject | None) -> list[str]:  # noqa: ARG002 - the protocol's
        """Remove unknown fields and nulls without a meaning, and set defaults."""
        dropped: list[str] = []
        _prune(new, self._schema, "", dropped, is_object=True)
        _default(new, self._schema)
        return dropped

    def validate(self, new: JsonObject, old: JsonObject | None) -> list[Cause]:
        """Validate the values, then the validation rules if the values are valid."""
        causes: list[Cause] = []
        for name, child in self._schema.get("properties", {}).items():
            if name in new and name not in _OBJECT_FIELDS:
                causes += _validate(new[name], child, name)
        causes += [Cause.required(name) for name in self._schema.get("required", []) if name not in new]
        if not causes and self._has_rules:
            causes += validate_rules(new, old, self._schema, has_old=old is not None)
        return causes


def _prune(value: Any, schema: JsonObject, path: str, dropped: list[str], *, is_object: bool = False) -> None:
    if isinstance(value, list):
        if isinstance(items := schema.get("items"), dict):
            for index, item in enumerate(value):
                _prune(item, items, f"{path}[{index}]", dropped)
        return
    if not isinstance(value, dict):
        return
    properties = schema.get("properties", {})
    additional = schema.get("additionalProperties")
    kept = _OBJECT_FIELDS if is_object or schema.get(_EMBEDDED) else ()
    for name in list(value):
        child_path = f"{path}.{name}" if path else name
        if name in properties and name not in kept:
            _prune(value[name], properties[name], child_path, dropped)
        elif isinstance(additional, dict):
            _prune(value[name], additional, child_path, dropped)
        elif name not in kept and additional is not True and not schema.get(_PRESERVE):
            dropped.append(child_path)
            del value[name]


def prune_value(value: Any, schema: JsonObject) -> None:
    """Remove the unknown fields of a part of an object, in place."""
    _prune(value, schema, "", [])


def validate_value(value: Any, schema: JsonObject, path: str) -> list[Cause]:
    """Return the causes why a part of an object is invalid."""
    return _validate(value, schema, path)


def _default(value: Any, schema: JsonObject) -> None:
    if isinstance(value, list):
        if isinstance(items := schema.get("items"), dict):
            for item in value:
                _default(item, items)
        return
    if not isinstance(value, dict):
        return
    properties = schema.get("properties", {})
    for name, child in properties.items():
        if name in value and value[name] is None and not child.get("nullable"):
            del value[name]
        if name not in value and "default" in child:
            value[name] = copy_json({"": child["default"]})[""]
        if name in value:
            _default(value[name], child)
    if isinstance(additional := schema.get("additionalProperties"), dict):
        for name, item in value.items():
            if name not in properties:
                _default(item, additional)


def _validate(value: Any, schema: JsonObject, path: str) -> list[Cause]:
    if value is None and schema.get("nullable"):
        return []
    causes = _validate_type(value, schema, path)
    is_of_type = not causes
    if isinstance(value, str):
        causes += _validate_string(value, schema, path) if is_of_type else []
    elif isinstance(value, int | float) and not isinstance(value, bool):
        causes += _validate_number(value, schema, path)
    elif isinstance(value, list):
        causes += _validate_array(value, schema, path) if is_of_type else []
    elif isinstance(value, dict):
        causes += _validate_object(value, schema, path) if is_of_type else []
    if "enum" in schema and encode(value) not in [encode(item) for item in schema["enum"]]:
        causes.append(Cause.not_supported(path, value, schema["enum"]))
    return causes + _validate_junctors(value, schema, path)


def _validate_type(value: Any, schema: JsonObject, path: str) -> list[Cause]:
    wanted = schema.get("type")
    allowed = ("integer", "string") if schema.get(_INT_OR_STRING) else (wanted,) if wanted else ()
    actual = _type_of(value)
    if not allowed or actual in allowed or (actual == "integer" and "number" in allowed):
        return []
    detail = f'{path} in body must be of type {",".join(allowed)}: "{actual}"'
    return [Cause.invalid(path, actual, detail)]


def _type_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _validate_string(value: str, schema: JsonObject, path: str) -> list[Cause]:
    causes = []
    if (longest := schema.get("maxLength")) is not None and len(value) > longest:
        causes.append(Cause.invalid(path, value, f"{path} in body should be at most {longest} chars long"))
    if (shortest := schema.get("minLength")) is not None and len(value) < shortest:
        causes.append(Cause.invalid(path, value, f"{path} in body should be at least {shortest} chars long"))
    if (pattern := schema.get("pattern")) is not None and not causes and not _pattern(pattern).search(value):
        causes.append(Cause.invalid(path, value, f"{path} in body should match '{pattern}'"))
    if (wanted := schema.get("format")) is not None and not causes and not _has_format(value, wanted):
        causes.append(Cause.invalid(path, value, f'{path} in body must be of type {wanted}: "{value}"'))
    return causes


def _pattern(pattern: str) -> re.Pattern[str]:
    """Compile a Go regular expression, in which `$` matches only at the very end."""
    translated, is_in_class = [], False
    for token in re.findall(r"\\.|.", pattern, re.DOTALL):
        if token in "[]":
            is_in_class = token == "["
        translated.append(r"\Z" if token == r"\z" or (token == "$" and not is_in_class) else token)
    return re.compile("".join(translated))


def _has_format(value: str, wanted: str) -> bool:
    try:
        match wanted:
            case "date-time":
                if not re.match(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)\Z", value):
                    return False
                datetime.fromisoformat(value.upper())
            case "date":
                if not re.match(r"\d{4}-\d\d-\d\d\Z", value):
                    return False
                date.fromisoformat(value)
            case "ipv4":
                ipaddress.IPv4Address(value)
            case "ipv6":
                ipaddress.IPv6Address(value)
            case "cidr":
                ipaddress.ip_network(value, strict=False)
            case "uuid":
                return re.match(r"(?i)[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}\Z", value) is not None
            case "byte":
                base64.b64decode(value, validate=True)
            case "email":
                return "@" in value and not value.startswith("@") and not value.endswith("@")
            case "hostname":
                return re.match(r"(?i)([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.?)+\Z", value) is not None
            case _:  # an unknown format is ignored, as by the API server
                return True
    except ValueError:
        return False
    return True


def _validate_number(value: float, schema: JsonObject, path: str) -> list[Cause]:
    causes = []
    if (most := schema.get("maximum")) is not None:
        if schema.get("exclusiveMaximum") and value >= most:
            causes.append(Cause.invalid(path, value, f"{path} in body should be less than {most}"))
        elif value > most:
            causes.append(Cause.invalid(path, value, f"{path} in body should be less than or equal to {most}"))
    if (least := schema.get("minimum")) is not None:
        if schema.get("exclusiveMinimum") and value <= least:
            causes.append(Cause.invalid(path, value, f"{path} in body should be greater than {least}"))
        elif value < least:
            causes.append(Cause.invalid(path, value, f"{path} in body should be greater than or equal to {least}"))
    factor = schema.get("multipleOf")
    if factor is not None and not math.isclose(math.remainder(value, factor), 0, abs_tol=1e-9):
        causes.append(Cause.invalid(path, value, f"{path} in body should be a multiple of {factor}"))
    return causes


def _validate_array(value: list[Any], schema: JsonObject, path: str) -> list[Cause]:
    causes = []
    if (most := schema.get("maxItems")) is not None and len(value) > most:
        causes.append(Cause.invalid(path, len(value), f"{path} in body should have at most {most} items"))
    if (least := schema.get("minItems")) is not None and len(value) < least:
        causes.append(Cause.invalid(path, len(value), f"{path} in body should have at least {least} items"))
    if isinstance(items := schema.get("items"), dict):
        for index, item in enumerate(value):
            causes += _validate(item, items, f"{path}[{index}]")
    return causes + _validate_list_type(value, schema, path)


def _validate_list_type(value: list[Any], schema: JsonObject, path: str) -> list[Cause]:
    """Return a cause for each duplicate item of a set, or of a map in list form."""
    keys = schema.get("x-kubernetes-list-map-keys") or []
    list_type = schema.get("x-kubernetes-list-type")
    if list_type not in ("set", "map"):
        return []
    causes, seen = [], set()
    for index, item in enumerate(value):
        shown = {key: item.get(key) for key in keys if key in item} if list_type == "map" else item
        identity = encode(shown)
        if identity in seen:
            causes.append(Cause("FieldValueDuplicate", f"{path}[{index}]", f"Duplicate value: {identity.decode()}"))
        seen.add(identity)
    return causes


def _validate_object(value: JsonObject, schema: JsonObject, path: str) -> list[Cause]:
    causes = []
    if (most := schema.get("maxProperties")) is not None and len(value) > most:
        causes.append(Cause.invalid(path, len(value), f"{path} in body should have at most {most} properties"))
    if (least := schema.get("minProperties")) is not None and len(value) < least:
        causes.append(Cause.invalid(path, len(value), f"{path} in body should have at least {least} properties"))
    properties = schema.get("properties", {})
    additional = schema.get("additionalProperties")
    for name, item in value.items():
        child = properties.get(name, additional)
        if isinstance(child, dict):
            causes += _validate(item, child, f"{path}.{name}")
    return causes + [Cause.required(f"{path}.{name}") for name in schema.get("required", []) if name not in value]


def _validate_junctors(value: Any, schema: JsonObject, path: str) -> list[Cause]:
    causes = [cause for part in schema.get("allOf", []) for cause in _validate(value, part, path)]
    passes = {
        keyword: sum(not _validate(value, part, path) for part in schema[keyword])
        for keyword in ("anyOf", "oneOf")
        if keyword in schema
    }
    if passes.get("anyOf") == 0:
        causes.append(Cause.invalid(path, value, f"{path} in body must validate at least one schema (anyOf)"))
    if passes.get("oneOf", 1) != 1:
        causes.append(Cause.invalid(path, value, f"{path} in body must validate one and only one schema (oneOf)"))
    if "not" in schema and not _validate(value, schema["not"], path):
        causes.append(Cause.invalid(path, value, f"{path} in body must not validate the schema (not)"))
    return causes

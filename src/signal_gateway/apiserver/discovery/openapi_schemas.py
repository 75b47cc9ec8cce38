"""OpenAPI schemas of the built-in kinds, with the descriptions of lightkube's models."""

import importlib
import inspect
import re
from collections.abc import Iterable, Mapping

from signal_gateway.apiserver.apimachinery.objects import JsonObject
from signal_gateway.apiserver.kinds.schema.models import FieldType, fields_of

__all__ = ["model_schemas", "schema_name"]

_PARAMETER = re.compile(r"\* \*\*(\w+)\*\* ``.*?`` - (.*?)(?=\n\s*\* \*\*|\Z)", re.DOTALL)
_PACKAGES: Mapping[str, str] = {
    "meta_v1": "io.k8s.apimachinery.pkg.apis.meta.v1",
    "apiextensions_v1": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1",
}
_SCALARS: Mapping[str, JsonObject] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "number": {"type": "number"},
    "time": {"type": "string", "format": "date-time"},
    "micro-time": {"type": "string", "format": "date-time"},
    "quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
    "int-or-string": {"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"},
    "any": {"type": "object"},
}


def schema_name(model: str) -> str:
    """Return the schema name of a model, such as `io.k8s.api.apps.v1.Deployment`."""
    module_name, _, class_name = model.partition(".")
    group, _, version = module_name.rpartition("_")
    return f"{_PACKAGES.get(module_name, f'io.k8s.api.{group}.{version}')}.{class_name}"


def model_schemas(models: Iterable[str]) -> dict[str, JsonObject]:
    """Return the schemas of models, and of all models that they refer to, by schema name."""
    schemas: dict[str, JsonObject] = {}
    pending = list(models)
    while pending:
        model = pending.pop()
        if schema_name(model) not in schemas:
            schemas[schema_name(model)] = _schema(model)
            pending += _models_in(model)
    return schemas


def _models_in(model: str) -> list[str]:
    types = [field.type for field in fields_of(model).values()]
    return [inner.model for type in types for inner in (type, type.item or type) if inner.model]


def _schema(model: str) -> JsonObject:
    module_name, _, class_name = model.partition(".")
    documentation = (
        inspect.getdoc(getattr(importlib.import_module(f"lightkube.models.{module_name}"), class_name)) or ""
    )
    summary, _, parameters = documentation.partition("**parameters**")
    descriptions = {name.rstrip("_"): _in_one_line(text) for name, text in _PARAMETER.findall(parameters)}
    properties = {
        name: _described(_typed(field.type), descriptions.get(name, "")) for name, field in fields_of(model).items()
    }
    schema = _described({"type": "object", "properties": properties}, _in_one_line(summary))
    required = [name for name, field in fields_of(model).items() if field.is_required]
    return schema | ({"required": required} if required else {})


def _described(schema: JsonObject, description: str) -> JsonObject:
    if "$ref" in schema and description:
        return {"allOf": [schema], "description": description, "default": {}}
    return schema | ({"description": description} if description else {})


def _in_one_line(text: str) -> str:
    return " ".join(text.split())


def _typed(type: FieldType) -> JsonObject:
    if type.model:
        return {"$ref": f"#/components/schemas/{schema_name(type.model)}"}
    if type.item is not None and type.name == "list":
        return {"type": "array", "items": _typed(type.item)}
    if type.item is not None:
        return {"type": "object", "additionalProperties": _typed(type.item)}
    return dict(_SCALARS[type.name])

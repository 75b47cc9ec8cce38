"""OpenAPI v3 documents, one for each group and version, for `kubectl apply`, `explain` and validation."""

import hashlib
from collections.abc import Mapping

from signal_gateway.apiserver.apiextensions.schema import SchemaStrategy
from signal_gateway.apiserver.apimachinery.objects import JsonObject, encode
from signal_gateway.apiserver.apimachinery.resources import Registry, Resource
from signal_gateway.apiserver.discovery.openapi_schemas import model_schemas, schema_name
from signal_gateway.apiserver.kinds.schema.strategy import ModelStrategy

__all__ = ["group_version_openapi", "openapi_index"]

_MODELS_BY_KIND = {
    "Namespace": "core_v1.Namespace",
    "CustomResourceDefinition": "apiextensions_v1.CustomResourceDefinition",
}
_METADATA = "meta_v1.ObjectMeta"
_PATCH_TYPES = ("application/json-patch+json", "application/merge-patch+json")
_STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"

_WRITE_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation")
_LIST_PARAMETERS = (
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeoutSeconds",
    "watch",
)
_NUMBERS, _FLAGS = ("limit", "timeoutSeconds"), ("allowWatchBookmarks", "sendInitialEvents", "watch")

# by verb: HTTP method, `x-kubernetes-action`, query parameters
_ON_COLLECTION: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "list": ("get", "list", _LIST_PARAMETERS),
    "create": ("post", "post", _WRITE_PARAMETERS),
    "deletecollection": ("delete", "deletecollection", ("dryRun", "fieldSelector", "labelSelector")),
}
_ON_OBJECT: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "get": ("get", "get", ("resourceVersion",)),
    "update": ("put", "put", _WRITE_PARAMETERS),
    "patch": ("patch", "patch", _WRITE_PARAMETERS),
    "delete": ("delete", "delete", ("dryRun", "gracePeriodSeconds", "propagationPolicy")),
}


def openapi_index(registry: Registry) -> JsonObject:
    """Return the URLs of the documents. Each URL changes with the served resources, so clients may cache by URL."""
    paths = {}
    for group in ("", *registry.groups()):
        for version, resources in registry.of_group(group).items():
            path = f"apis/{group}/{version}" if group else f"api/{version}"
            described = [_schema_of(resource) if resource.is_custom else resource.kind for resource in resources]
            digest = hashlib.sha256(encode([path, described])).hexdigest()
            paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest.upper()}"}
    return {"paths": paths}


def group_version_openapi(registry: Registry, group: str, version: str) -> JsonObject | None:
    """Return the OpenAPI document of one group and version, or `None` if it is not served."""
    resources = registry.of_group(group).get(version)
    if resources is None:
        return None
    paths: JsonObject = {}
    for resource in resources:
        paths |= _paths(resource)
    models = [model for resource in resources if (model := _model_of(resource))]
    schemas = model_schemas([*models, _METADATA])
    for resource in resources:
        schemas.setdefault(_name_of(resource), _schema_of(resource))
        schemas[_name_of(resource)] |= {"x-kubernetes-group-version-kind": [_kind(resource)]}
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.32.0"},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _model_of(resource: Resource) -> str:
    if isinstance(resource.strategy, ModelStrategy):
        return resource.strategy.model
    return "" if resource.is_custom else _MODELS_BY_KIND[resource.kind]


def _name_of(resource: Resource) -> str:
    if model := _model_of(resource):
        return schema_name(model)
    return f"{'.'.join(reversed(resource.group.split('.')))}.{resource.version}.{resource.kind}"


def _schema_of(resource: Resource) -> JsonObject:
    """Return the schema of a custom resource, with the fields that all objects have."""
    schema = resource.strategy.schema if isinstance(resource.strategy, SchemaStrategy) else {}
    text, metadata = {"type": "string"}, {"$ref": f"#/components/schemas/{schema_name(_METADATA)}"}
    own = {"apiVersion": text, "kind": text, "metadata": metadata}
    return {"type": "object", **schema, "properties": schema.get("properties", {}) | own}


def _kind(resource: Resource) -> JsonObject:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _paths(resource: Resource) -> JsonObject:
    base = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.version}"
    scope = "/namespaces/{namespace}" if resource.namespaced else ""
    collection = f"{base}{scope}/{resource.plural}"
    paths = {
        collection: _operations(resource, _ON_COLLECTION, resource.verbs),
        f"{collection}/{{name}}": _operations(resource, _ON_OBJECT, resource.verbs),
    }
    if resource.namespaced and "list" in resource.verbs:
        paths[f"{base}/{resource.plural}"] = _operations(resource, _ON_COLLECTION, ("list",))
    if resource.has_status:
        paths[f"{collection}/{{name}}/status"] = _operations(resource, _ON_OBJECT, resource.verbs_of("status"))
    return {path: operations | _path_parameters(path) for path, operations in paths.items() if operations}


def _path_parameters(path: str) -> JsonObject:
    names = [name for name in ("namespace", "name") if f"{{{name}}}" in path]
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    return {"parameters": parameters} if parameters else {}


def _operations(
    resource: Resource, known: Mapping[str, tuple[str, str, tuple[str, ...]]], verbs: tuple[str, ...]
) -> JsonObject:
    return {
        method: _operation(resource, method, action, parameters)
        for verb, (method, action, parameters) in known.items()
        if verb in verbs
    }


def _operation(resource: Resource, method: str, action: str, parameters: tuple[str, ...]) -> JsonObject:
    reference: JsonObject = {"$ref": f"#/components/schemas/{_name_of(resource)}"}
    content = {"application/json": {"schema": reference if action in ("get", "post", "put", "patch") else {}}}
    operation: JsonObject = {
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _kind(resource),
        "parameters": [_parameter(name) for name in parameters],
        "responses": {"201" if method == "post" else "200": {"description": "OK", "content": content}},
    }
    if method in ("post", "put"):
        operation["requestBody"] = {"content": {"application/json": {"schema": reference}}, "required": True}
    if method == "patch":
        accepted = _PATCH_TYPES if resource.is_custom else (*_PATCH_TYPES, _STRATEGIC_MERGE_PATCH)
        operation["requestBody"] = {"content": {type: {"schema": {"type": "object"}} for type in accepted}}
    return operation


def _parameter(name: str) -> JsonObject:
    type = "integer" if name in _NUMBERS else "boolean" if name in _FLAGS else "string"
    return {"name": name, "in": "query", "schema": {"type": type, "uniqueItems": True}}

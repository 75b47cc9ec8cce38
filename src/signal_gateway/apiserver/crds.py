"""CustomResourceDefinitions (apiextensions.k8s.io/v1): their own rules, and the resources that they define."""

from typing import Any

from signal_gateway.apiserver.objects import JsonObject, timestamp
from signal_gateway.apiserver.resources import Resource
from signal_gateway.apiserver.schema import IMMUTABILITY_RULES, SchemaStrategy, rules_of
from signal_gateway.apiserver.status import Cause, bad_request, not_implemented
from signal_gateway.clock import Clock

__all__ = ["CLEANUP_FINALIZER", "CRDS", "established_status", "resources_of"]

CLEANUP_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"


_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_OBJECT = {"type": "object"}
_NAMES = {
    "plural": _TEXT,
    "singular": _TEXT,
    "kind": _TEXT,
    "listKind": _TEXT,
    "shortNames": _TEXTS,
    "categories": _TEXTS,
}
_SCHEMA = {"type": "object", "nullable": True, "properties": {"openAPIV3Schema": _OBJECT | {"nullable": True}}}
_FIELDS = {"type": "array", "items": {"type": "object", "required": ["jsonPath"], "properties": {"jsonPath": _TEXT}}}
_VERSION = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": _TEXT,
        "served": {"type": "boolean"},
        "storage": {"type": "boolean"},
        "schema": _SCHEMA,
        "subresources": _OBJECT | {"nullable": True},
        "selectableFields": _FIELDS,
    },
}
_SPEC = {
    "group": _TEXT,
    "scope": _TEXT,
    "names": {"type": "object", "properties": _NAMES},
    "conversion": _OBJECT,
    "versions": {"type": "array", "items": _VERSION},
}
_TYPES = SchemaStrategy({"properties": {"spec": {"type": "object", "properties": _SPEC}}})


class _CrdStrategy:
    """What a definition must say before its resources can be served."""

    def shape(self, new: JsonObject, old: JsonObject | None) -> list[str]:
        if causes := _TYPES.check(new, None):
            what = 'CustomResourceDefinition in version "v1" cannot be handled as a CustomResourceDefinition'
            raise bad_request(f"{what}: {causes[0].field}: {causes[0].message}")
        spec = new.setdefault("spec", {})
        spec.setdefault("conversion", {"strategy": "None"})
        names = spec.setdefault("names", {})
        if kind := names.get("kind"):
            names.setdefault("singular", kind.lower())
            names.setdefault("listKind", f"{kind}List")
        if old is None:
            stored = [version["name"] for version in _versions(new) if version.get("storage")]
            new["status"] = {"conditions": [], "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": stored}
        return []

    def check(self, new: JsonObject, old: JsonObject | None) -> list[Cause]:
        spec = new["spec"]
        group, names = spec.get("group", ""), spec["names"]
        causes = [Cause.required(f"spec.{field}") for field in ("group", "scope") if not spec.get(field)]
        causes += [Cause.required(f"spec.names.{field}") for field in ("plural", "kind") if not names.get(field)]
        if group and "." not in group:
            causes.append(Cause.invalid("spec.group", group, "should be a domain with at least one dot"))
        if spec.get("scope") not in (None, "", "Cluster", "Namespaced"):
            causes.append(Cause.not_supported("spec.scope", spec["scope"], ["Cluster", "Namespaced"]))
        name = new["metadata"]["name"]
        if not causes and name != f"{names['plural']}.{group}":
            causes.append(Cause.invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group'))
        causes += _check_versions(new)
        if old is not None:
            causes += _check_immutable(spec, old["spec"])
        if not causes:
            _refuse_unsupported(new)
        return causes


def _versions(crd: JsonObject) -> list[JsonObject]:
    versions: list[JsonObject] = crd["spec"].get("versions") or []
    return versions


def _schema_of(version: JsonObject) -> JsonObject | None:
    schema: JsonObject | None = (version.get("schema") or {}).get("openAPIV3Schema")
    return schema


def _check_versions(crd: JsonObject) -> list[Cause]:
    causes = []
    for index, version in enumerate(_versions(crd)):
        path = f"spec.versions[{index}].schema.openAPIV3Schema"
        schema = _schema_of(version)
        if schema is None:
            causes.append(Cause.required(path, "schemas are required"))
        else:
            causes += _check_structural(schema, path)
    if sum(bool(version.get("storage")) for version in _versions(crd)) != 1:
        versions = [version.get("name") for version in _versions(crd)]
        causes.append(
            Cause.invalid("spec.versions", versions, "must have exactly one version marked as storage version")
        )
    return causes


def _check_structural(schema: JsonObject, path: str) -> list[Cause]:
    if not isinstance(schema, dict) or not isinstance(schema.get("properties", {}), dict):
        return [Cause.invalid(path, schema, "must be a schema")]
    causes = []
    is_typeless = schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-preserve-unknown-fields")
    if not schema.get("type") and not is_typeless:
        causes.append(Cause.required(f"{path}.type", "must not be empty for specified object fields"))
    for name, child in schema.get("properties", {}).items():
        causes += _check_structural(child, f"{path}.properties[{name}]")
    for keyword in ("items", "additionalProperties"):
        if isinstance(child := schema.get(keyword), dict):
            causes += _check_structural(child, f"{path}.{keyword}")
    return causes


def _check_immutable(new: JsonObject, old: JsonObject) -> list[Cause]:
    pairs: list[tuple[str, Any, Any]] = [
        ("spec.group", new.get("group"), old["group"]),
        ("spec.scope", new.get("scope"), old["scope"]),
        ("spec.names.kind", new["names"].get("kind"), old["names"]["kind"]),
        ("spec.names.plural", new["names"].get("plural"), old["names"]["plural"]),
    ]
    return [Cause.invalid(field, value, "field is immutable") for field, value, before in pairs if value != before]


def _refuse_unsupported(crd: JsonObject) -> None:
    """Refuse what a real server would enforce and this one can't yet, rather than let wrong objects pass."""
    if crd["spec"]["conversion"].get("strategy") != "None":
        raise not_implemented("conversion webhooks")
    for version in _versions(crd):
        if set(version.get("subresources") or {}) - {"status"}:
            raise not_implemented("the scale subresource")
        for path, rule in rules_of(_schema_of(version) or {}):
            if rule.strip() not in IMMUTABILITY_RULES:
                raise not_implemented(f"the validation rule {rule!r} at {path!r}")


CRDS = Resource(
    group="apiextensions.k8s.io",
    version="v1",
    plural="customresourcedefinitions",
    singular="customresourcedefinition",
    kind="CustomResourceDefinition",
    list_kind="CustomResourceDefinitionList",
    namespaced=False,
    strategy=_CrdStrategy(),
    short_names=("crd", "crds"),
    categories=("api-extensions",),
    has_status=True,
    needs_resource_version=True,
)


def established_status(crd: JsonObject, clock: Clock) -> JsonObject:
    """Return the status of a definition whose names were accepted and whose resources are served."""
    now = timestamp(clock.now())
    conditions = [
        ("NamesAccepted", "NoConflicts", "no conflicts found"),
        ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
    ]
    return {
        "acceptedNames": crd["spec"]["names"],
        "storedVersions": crd["status"]["storedVersions"],
        "conditions": [
            {"type": type, "status": "True", "lastTransitionTime": now, "reason": reason, "message": message}
            for type, reason, message in conditions
        ],
    }


def resources_of(crd: JsonObject) -> list[Resource]:
    """Return a resource for every served version of a definition."""
    spec = crd["spec"]
    names = spec["names"]
    return [
        Resource(
            group=spec["group"],
            version=version["name"],
            plural=names["plural"],
            singular=names["singular"],
            kind=names["kind"],
            list_kind=names["listKind"],
            namespaced=spec["scope"] == "Namespaced",
            strategy=SchemaStrategy(_schema_of(version) or {}),
            short_names=tuple(names.get("shortNames") or ()),
            categories=tuple(names.get("categories") or ()),
            has_status="status" in (version.get("subresources") or {}),
            is_custom=True,
            needs_resource_version=True,
            selectable_fields=tuple(
                field["jsonPath"].removeprefix(".") for field in version.get("selectableFields") or ()
            ),
        )
        for version in _versions(crd)
        if version.get("served")
    ]

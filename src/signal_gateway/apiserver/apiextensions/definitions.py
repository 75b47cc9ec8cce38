"""CustomResourceDefinitions (apiextensions.k8s.io/v1): their strategy, and the resources that they define."""

from collections.abc import Iterable
from typing import Any

from signal_gateway.apiserver.apiextensions.schema import SchemaStrategy
from signal_gateway.apiserver.apiextensions.structural import schema_at, validate_structural
from signal_gateway.apiserver.apiextensions.validation_rules import validate_rule_definitions
from signal_gateway.apiserver.apimachinery.objects import JsonObject, timestamp
from signal_gateway.apiserver.apimachinery.resources import Resource, Scale
from signal_gateway.apiserver.apimachinery.status import Cause, bad_request, not_implemented
from signal_gateway.clock import Clock

__all__ = ["CLEANUP_FINALIZER", "CRDS", "is_established", "resources_of", "status_of"]

CLEANUP_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"

_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_MOST_SELECTABLE = 8

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
        "additionalPrinterColumns": {"type": "array", "items": _OBJECT},
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
    """The strategy of CustomResourceDefinitions."""

    def prepare(self, new: JsonObject, old: JsonObject | None) -> list[str]:
        if causes := _TYPES.validate(new, None):
            message = 'CustomResourceDefinition in version "v1" cannot be handled as a CustomResourceDefinition'
            raise bad_request(f"{message}: {causes[0].field}: {causes[0].message}")
        spec = new.setdefault("spec", {})
        spec.setdefault("conversion", {"strategy": "None"})
        names = spec.setdefault("names", {})
        if kind := names.get("kind"):
            names.setdefault("singular", kind.lower())
            names.setdefault("listKind", f"{kind}List")
        if old is None:
            stored = [version["name"] for version in _versions(new) if version.get("storage")]
            new["status"] = {"conditions": [], "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": stored}
        else:
            status = dict(new.get("status") or old["status"])
            before = status.get("storedVersions") or []
            stored = [version["name"] for version in _versions(new) if version.get("storage")]
            new["status"] = status | {"storedVersions": [*before, *(name for name in stored if name not in before)]}
        return []

    def validate(self, new: JsonObject, old: JsonObject | None) -> list[Cause]:
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
        causes += _validate_versions(new)
        if old is not None:
            causes += _validate_immutable(spec, old["spec"])
        if not causes:
            _require_supported(new)
        return causes


def _versions(crd: JsonObject) -> list[JsonObject]:
    versions: list[JsonObject] = crd["spec"].get("versions") or []
    return versions


def _schema_of(version: JsonObject) -> JsonObject | None:
    schema: JsonObject | None = (version.get("schema") or {}).get("openAPIV3Schema")
    return schema


def _validate_versions(crd: JsonObject) -> list[Cause]:
    causes = []
    for index, version in enumerate(_versions(crd)):
        path = f"spec.versions[{index}].schema.openAPIV3Schema"
        schema = _schema_of(version)
        if schema is None:
            causes.append(Cause.required(path, "schemas are required"))
        else:
            causes += validate_structural(schema, path) or validate_rule_definitions(schema, path)
            causes += _validate_selectable(version, schema, f"spec.versions[{index}].selectableFields")
        columns = version.get("additionalPrinterColumns") or []
        causes += _validate_columns(columns, f"spec.versions[{index}].additionalPrinterColumns")
        if scale := (version.get("subresources") or {}).get("scale"):
            causes += _validate_scale(scale, f"spec.versions[{index}].subresources.scale")
    names = [version.get("name") for version in _versions(crd)]
    if len(set(names)) < len(names):
        causes.append(Cause.invalid("spec.versions", names, "must contain unique version names"))
    if sum(bool(version.get("storage")) for version in _versions(crd)) != 1:
        versions = [version.get("name") for version in _versions(crd)]
        causes.append(
            Cause.invalid("spec.versions", versions, "must have exactly one version marked as storage version")
        )
    return causes


def _validate_columns(columns: list[JsonObject], path: str) -> list[Cause]:
    causes = []
    for index, column in enumerate(columns):
        place = f"{path}[{index}]"
        causes += [
            Cause.required(f"{place}.{field}") for field in ("name", "type", "jsonPath") if not column.get(field)
        ]
        if (type := column.get("type")) and type not in _COLUMN_TYPES:
            causes.append(Cause.not_supported(f"{place}.type", type, list(_COLUMN_TYPES)))
        if (json_path := column.get("jsonPath")) and not json_path.startswith("."):
            detail = "does not start with a '.'; only simple json paths are supported"
            causes.append(Cause.invalid(f"{place}.jsonPath", json_path, detail))
    return causes


def _validate_selectable(version: JsonObject, schema: JsonObject, path: str) -> list[Cause]:
    fields = version.get("selectableFields") or []
    causes = []
    if len(fields) > _MOST_SELECTABLE:
        causes.append(Cause("FieldValueTooMany", path, f"Too many: {len(fields)}: must have at most 8 items"))
    for index, field in enumerate(fields):
        json_path, place = field["jsonPath"], f"{path}[{index}].jsonPath"
        found = schema_at(schema, json_path)
        if json_path.startswith(".metadata") or json_path in (item["jsonPath"] for item in fields[:index]):
            detail = "must not point to fields in metadata" if json_path.startswith(".metadata") else ""
            duplicate = Cause("FieldValueDuplicate", place, f'Duplicate value: "{json_path}"')
            causes.append(Cause.invalid(place, json_path, detail) if detail else duplicate)
        elif found is None or found.get("type") not in ("boolean", "integer", "string"):
            detail = "is an invalid path: must point to a field of type string, boolean or integer"
            causes.append(Cause.invalid(place, json_path, detail))
    return causes


def _validate_scale(scale: JsonObject, path: str) -> list[Cause]:
    causes = []
    for field, prefix in (("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")):
        value = scale.get(field, "")
        if not value:
            causes.append(Cause.required(f"{path}.{field}"))
        elif not value.startswith(prefix):
            causes.append(Cause.invalid(f"{path}.{field}", value, f"should be a json path under {prefix[:-1]}"))
    selector = scale.get("labelSelectorPath")
    if selector and not selector.startswith((".spec.", ".status.")):
        detail = "should be a json path under either .status or .spec"
        causes.append(Cause.invalid(f"{path}.labelSelectorPath", selector, detail))
    return causes


def _validate_immutable(new: JsonObject, old: JsonObject) -> list[Cause]:
    pairs: list[tuple[str, Any, Any]] = [
        ("spec.group", new.get("group"), old["group"]),
        ("spec.scope", new.get("scope"), old["scope"]),
        ("spec.names.kind", new["names"].get("kind"), old["names"]["kind"]),
        ("spec.names.plural", new["names"].get("plural"), old["names"]["plural"]),
    ]
    return [Cause.invalid(field, value, "field is immutable") for field, value, before in pairs if value != before]


def _require_supported(crd: JsonObject) -> None:
    """Raise an error for a feature that a real server enforces and this one lacks, instead of a wrong success."""
    if crd["spec"]["conversion"].get("strategy") != "None":
        raise not_implemented("conversion webhooks")


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


def status_of(crd: JsonObject, others: Iterable[JsonObject], clock: Clock) -> JsonObject:
    """Return the status of a definition: established with accepted names, unless another definition has a name.

    Args:
        crd: The definition.
        others: All definitions.
        clock: Gives the time of transitions.
    """
    now = timestamp(clock.now())
    conflict = _conflict(crd, others)
    if conflict is None:
        conditions = [
            ("NamesAccepted", "True", "NoConflicts", "no conflicts found"),
            ("Established", "True", "InitialNamesAccepted", "the initial names have been accepted"),
        ]
    else:
        reason, name = conflict
        conditions = [
            ("NamesAccepted", "False", reason, f'"{name}" is already in use'),
            ("Established", "False", "NotAccepted", "not all names are accepted"),
        ]
    return {
        "acceptedNames": crd["spec"]["names"] if conflict is None else {"plural": "", "kind": ""},
        "storedVersions": crd["status"]["storedVersions"],
        "conditions": [
            {"type": type, "status": status, "lastTransitionTime": now, "reason": reason, "message": message}
            for type, status, reason, message in conditions
        ],
    }


def is_established(crd: JsonObject) -> bool:
    """Return whether a definition is established, so that its resources are served."""
    return any(
        condition["type"] == "Established" and condition["status"] == "True"
        for condition in crd["status"].get("conditions") or []
    )


def _conflict(crd: JsonObject, others: Iterable[JsonObject]) -> tuple[str, str] | None:
    """Return the reason and the name of a conflict with another established definition of the group."""
    group, names = crd["spec"]["group"], crd["spec"]["names"]
    rivals = [
        other["spec"]["names"]
        for other in others
        if other["spec"]["group"] == group
        and other["metadata"]["name"] != crd["metadata"]["name"]
        and is_established(other)
    ]
    resources = {
        name for rival in rivals for name in (rival["plural"], rival["singular"], *rival.get("shortNames", []))
    }
    kinds = {name for rival in rivals for name in (rival["kind"], rival["listKind"])}
    if names["singular"] in resources:
        return "SingularConflict", names["singular"]
    if taken := [name for name in names.get("shortNames", []) if name in resources]:
        return "ShortNamesConflict", taken[0]
    if names["kind"] in kinds:
        return "KindConflict", names["kind"]
    return ("ListKindConflict", names["listKind"]) if names["listKind"] in kinds else None


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
            scale=_scale_of(version),
            is_custom=True,
            needs_resource_version=True,
            selectable_fields=tuple(
                field["jsonPath"].removeprefix(".") for field in version.get("selectableFields") or ()
            ),
        )
        for version in _versions(crd)
        if version.get("served")
    ]


def _scale_of(version: JsonObject) -> Scale | None:
    scale = (version.get("subresources") or {}).get("scale")
    if not scale:
        return None
    return Scale(
        spec_replicas=scale["specReplicasPath"].removeprefix("."),
        status_replicas=scale["statusReplicasPath"].removeprefix("."),
        selector=scale.get("labelSelectorPath", "").removeprefix("."),
    )

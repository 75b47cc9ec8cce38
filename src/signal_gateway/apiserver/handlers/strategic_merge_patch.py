"""Strategic merge patch: merges the lists of built-in kinds by key, and follows the directives of the patch.

The rules are those of `k8s.io/apimachinery/pkg/util/strategicpatch`. The keys are the `patchMergeKey` tags of the
Kubernetes types.
"""

from collections.abc import Sequence
from typing import Any, Final

from signal_gateway.apiserver.apimachinery.objects import JsonObject
from signal_gateway.apiserver.apimachinery.status import bad_request

__all__ = ["strategic_merge_patch"]

_DIRECTIVE: Final = "$patch"
_RETAIN_KEYS: Final = "$retainKeys"
_DELETE_PRIMITIVES: Final = "$deleteFromPrimitiveList/"
_ORDER: Final = "$setElementOrder/"

_CONTAINERS: Final = ("containers", "initContainers", "ephemeralContainers")
_OF_CONTAINERS: Final = {
    "env": "name",
    "ports": "containerPort",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
}
_IN_A_SPEC: Final = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "schedulingGates": "name",
    "resourceClaims": "name",
    "ports": "port",  # a Service's
}
_IN_A_STATUS: Final = {"conditions": "type", "addresses": "type", "podIPs": "ip", "hostIPs": "ip"}
_AT_THE_TOP: Final = {"secrets": "name", "imagePullSecrets": "name"}  # a ServiceAccount's
_PRIMITIVES: Final = frozenset((("metadata", "finalizers"), ("spec", "podCIDRs"), ("spec", "finalizers")))


def strategic_merge_patch(target: JsonObject, patch: object) -> JsonObject:
    """Return a copy of an object with a strategic merge patch applied.

    Args:
        target: An object of a built-in kind.
        patch: The patch.

    Raises:
        StatusError: 400 if the patch is not an object, or a directive in it is invalid.
    """
    if not isinstance(patch, dict):
        raise bad_request("error decoding patch: a strategic merge patch must be an object")
    return _merge_objects(target, patch, ())


def _merge_objects(target: JsonObject, patch: JsonObject, path: tuple[str, ...]) -> JsonObject:
    directive = patch.get(_DIRECTIVE)
    if directive == "replace":
        replaced: JsonObject = _plain(patch)
        return replaced
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise bad_request(f"Unknown patch type found: {directive}")
    merged = _retained(target, patch)
    for name, value in patch.items():
        if name.startswith(_DELETE_PRIMITIVES):
            field = name.removeprefix(_DELETE_PRIMITIVES)
            merged[field] = [item for item in merged.get(field) or [] if item not in _list_of(name, value)]
        elif name.startswith("$"):
            continue
        elif value is None:
            merged.pop(name, None)
        else:
            order = patch.get(_ORDER + name)
            merged[name] = _merged_field(merged.get(name), value, (*path, name), order)
    return merged


def _retained(target: JsonObject, patch: JsonObject) -> JsonObject:
    if _RETAIN_KEYS not in patch:
        return dict(target)
    kept = _list_of(_RETAIN_KEYS, patch[_RETAIN_KEYS])
    return {name: value for name, value in target.items() if name in kept}


def _merged_field(before: object, value: Any, path: tuple[str, ...], order: object) -> Any:
    if isinstance(value, dict):
        return _merge_objects(before if isinstance(before, dict) else {}, value, path)
    if not isinstance(value, list):
        return value
    key = _merge_key(path)
    items = before if isinstance(before, list) else []
    if path[-2:] in _PRIMITIVES:
        return _ordered([*items, *(item for item in value if item not in items)], items, _list_or_none(order), None)
    if not key:
        return [_plain(item) for item in value]
    return _merge_lists(items, value, key, path, _list_or_none(order))


def _merge_lists(
    before: Sequence[JsonObject], patch: Sequence[Any], key: str, path: tuple[str, ...], order: Sequence[Any] | None
) -> list[JsonObject]:
    for item in patch:
        if not isinstance(item, dict) or (key not in item and item.get(_DIRECTIVE) != "replace"):
            raise bad_request(f"map: {item} does not contain declared merge key: {key}")
    if any(item.get(_DIRECTIVE) == "replace" for item in patch):
        return [_plain(item) for item in patch if _DIRECTIVE not in item or len(item) > 1]
    merged = {item[key]: item for item in before}
    for item in patch:
        if item.get(_DIRECTIVE) == "delete":
            merged.pop(item[key], None)
        else:
            merged[item[key]] = _merge_objects(merged.get(item[key], {}), item, path)
    named = [item for item in patch if item.get(_DIRECTIVE) != "delete"] if order is None else order
    return _ordered(list(merged.values()), before, named, key)


def _ordered(merged: list[Any], before: Sequence[Any], order: Sequence[Any] | None, key: str | None) -> list[Any]:
    """Order the items: those in the patch as the patch orders them, the others at their old places."""
    if order is None:
        return merged

    def name_of(item: Any) -> Any:
        return item if key is None else item[key]

    place_before = {name_of(item): place for place, item in enumerate(before)}
    place_in_patch = {name_of(item): place for place, item in enumerate(order)}
    named = sorted(
        (item for item in merged if name_of(item) in place_in_patch), key=lambda item: place_in_patch[name_of(item)]
    )
    others = [item for item in merged if name_of(item) not in place_in_patch]
    result = []
    while named and others:
        is_first = place_before.get(name_of(named[0]), -1) < place_before[name_of(others[0])]
        result.append((named if is_first else others).pop(0))
    return [*result, *named, *others]


def _merge_key(path: tuple[str, ...]) -> str:
    """Return the field that identifies the items of a list; empty for a list that a patch replaces."""
    *parents, name = path
    parent = parents[-1] if parents else ""
    if parent in _CONTAINERS:
        return _OF_CONTAINERS.get(name, "")
    if parent == "metadata" and name == "ownerReferences":
        return "uid"
    if parent == "spec":
        return _IN_A_SPEC.get(name, "")
    if parent == "status":
        return _IN_A_STATUS.get(name, "")
    return _AT_THE_TOP.get(name, "") if not parent else ""


def _list_of(name: str, value: object) -> list[Any]:
    if not isinstance(value, list):
        raise bad_request(f"error decoding patch: {name} must be a list")
    return value


def _list_or_none(order: object) -> list[Any] | None:
    return None if order is None else _list_of("$setElementOrder", order)


def _plain(value: Any) -> Any:
    """Return a value without directives and without nulls, which stand for deletions."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items() if item is not None and not name.startswith("$")}
    return [_plain(item) for item in value] if isinstance(value, list) else value

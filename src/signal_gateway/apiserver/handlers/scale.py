"""The scale subresource: wanted and actual replicas of an object, in one form for all kinds."""

from dataclasses import replace
from typing import Any

import orjson

from signal_gateway.apiserver.apimachinery.objects import JsonObject, copy_json, encode, field_at
from signal_gateway.apiserver.apimachinery.resources import Resource, Scale
from signal_gateway.apiserver.apimachinery.selectors import format_label_selector
from signal_gateway.apiserver.apimachinery.status import Cause, bad_request, invalid, not_found
from signal_gateway.apiserver.handlers.decoding import (
    check_identity,
    check_patch_type,
    decode_object,
    decode_patched,
    shape_object,
)
from signal_gateway.apiserver.handlers.request_info import RequestInfo
from signal_gateway.apiserver.handlers.writes import WriteHandler
from signal_gateway.apiserver.kinds.schema.strategy import ModelStrategy
from signal_gateway.apiserver.storage.store import ObjectStore

__all__ = ["handle_scale"]

_SCALES = Resource(
    group="autoscaling",
    version="v1",
    plural="scales",
    singular="scale",
    kind="Scale",
    list_kind="ScaleList",
    namespaced=True,
    strategy=ModelStrategy("autoscaling_v1.Scale"),
)
_SHOWN_METADATA = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def handle_scale(
    store: ObjectStore, writes: WriteHandler, resource: Resource, request: RequestInfo, body: bytes
) -> bytes:
    """Return the Scale of an object, or change its wanted replicas.

    Args:
        store: The objects of the cluster.
        writes: Updates the object.
        resource: The resource of the object, with a scale subresource.
        request: A get, an update or a patch.
        body: The Scale or the patch.

    Raises:
        StatusError: 400 if the body is malformed, 404 if the object does not exist, 409 if the request is based on
            another resourceVersion, 422 for an invalid number.
    """
    stored = store.get(resource.key, request.namespace, request.name)
    if stored is None:
        plural = resource.plural if resource.is_custom else f"{resource.plural}/scale"
        raise not_found(resource.group, plural, request.name)
    object = resource.from_stored(stored.object)
    if request.verb == "get":
        return encode(_scale_of(resource, object))
    if request.verb == "update":
        wanted = decode_object(_SCALES, request, body)
        if not wanted["metadata"].get("name"):
            prefix = f"the name of the object ({request.name} based on URL) was undeterminable"
            raise bad_request(f"{prefix}: name must be provided")
        check_identity(request, wanted["metadata"])
    else:
        check_patch_type(_SCALES, request.content_type)
        wanted = decode_patched(_SCALES, request, _scale_of(resource, object), body)
    shape_object(_SCALES, request, wanted, None)
    changed = _with_scale(resource, object, wanted)
    request = replace(request, verb="update", subresource="", content_type="application/json")
    return encode(_scale_of(resource, orjson.loads(writes.update(resource, request, encode(changed)))))


def _paths(resource: Resource) -> Scale:
    if resource.scale is None:
        raise AssertionError(f"resource {resource.key} has no scale subresource")
    return resource.scale


def _scale_of(resource: Resource, object: JsonObject) -> JsonObject:
    paths = _paths(resource)
    wanted, actual = (field_at(object, path) or 0 for path in (paths.spec_replicas, paths.status_replicas))
    status: JsonObject = {"replicas": actual}
    if text := _selector(field_at(object, paths.selector) if paths.selector else None):
        status["selector"] = text
    metadata = object["metadata"]
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: metadata[name] for name in _SHOWN_METADATA if name in metadata},
        "spec": {"replicas": wanted} if wanted else {},
        "status": status,
    }


def _selector(found: object) -> str:
    """Return a selector as text, from a text, a LabelSelector or the labels of a ReplicationController."""
    if isinstance(found, dict):
        is_selector = "matchLabels" in found or "matchExpressions" in found
        return format_label_selector(found if is_selector else {"matchLabels": found})
    return str(found or "")


def _with_scale(resource: Resource, object: JsonObject, scale: JsonObject) -> JsonObject:
    """Return a copy of the object with the replicas and the resourceVersion of a Scale."""
    replicas = scale.get("spec", {}).get("replicas", 0)
    if replicas < 0:
        cause = Cause.invalid("spec.replicas", replicas, "must be greater than or equal to 0")
        raise invalid("autoscaling", "Scale", scale["metadata"]["name"], [cause])
    changed = copy_json(object)
    if version := scale["metadata"].get("resourceVersion"):
        changed["metadata"]["resourceVersion"] = version
    parent: Any = changed
    *parents, last = _paths(resource).spec_replicas.split(".")
    for name in parents:
        parent = parent.setdefault(name, {})
    parent[last] = replicas
    return changed

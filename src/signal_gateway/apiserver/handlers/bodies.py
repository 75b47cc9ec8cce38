"""Bodies: the object, patch or options in a request, read as strictly as the API server reads them."""

from typing import get_args

import orjson

from signal_gateway.apiserver.apimachinery.metadata import MetadataTypeError, decode_metadata
from signal_gateway.apiserver.apimachinery.objects import JsonObject, encode
from signal_gateway.apiserver.apimachinery.resources import FieldTypeError, Resource
from signal_gateway.apiserver.apimachinery.serializer import duplicate_fields, load_json, load_yaml
from signal_gateway.apiserver.apimachinery.status import (
    Cause,
    bad_request,
    internal_error,
    invalid,
    not_implemented,
    unsupported_media_type,
)
from signal_gateway.apiserver.controllers.garbage_collector import Propagation
from signal_gateway.apiserver.handlers.field_validation import report_fields
from signal_gateway.apiserver.handlers.patches import json_patch, merge_patch
from signal_gateway.apiserver.handlers.request import ApiRequest
from signal_gateway.apiserver.handlers.strategic import strategic_merge_patch

__all__ = [
    "check_identity",
    "check_patch_type",
    "decode_object",
    "decode_patched",
    "delete_options",
    "is_dry_run",
    "propagation_of",
    "shape_object",
]

_MERGE = "application/merge-patch+json"
_JSON = "application/json-patch+json"
_STRATEGIC = "application/strategic-merge-patch+json"
_APPLY = "application/apply-patch+yaml"
_YAML = "application/yaml"
_OBJECT_TYPES = ("application/json", _YAML, "application/vnd.kubernetes.protobuf")


def decode_object(resource: Resource, request: ApiRequest, body: bytes) -> JsonObject:
    """Return the object in a body, with the metadata that a server keeps.

    Raises:
        StatusError: 400 if it can't be read or is of another version, 415 for another content type, 422 if it is of
            another kind.
    """
    if request.content_type not in ("", "application/json", _YAML):
        raise unsupported_media_type(*_OBJECT_TYPES)
    problem = f"the object provided is unrecognized (must be of type {resource.kind}): couldn't get version/kind; "
    try:
        new = load_yaml(body) if request.content_type == _YAML else load_json(body)
    except ValueError as exc:
        raise bad_request(f"{problem}json parse error: {exc}") from exc
    if not isinstance(new, dict):
        raise bad_request(f"{problem}json parse error: not an object")
    if request.content_type != _YAML:
        report_fields(resource, request, duplicate_fields(body))
    _check_type(resource, new, is_patch=False)
    new["metadata"] = _clean(resource, new)
    return new


def _check_type(resource: Resource, new: JsonObject, *, is_patch: bool) -> None:
    api_version, kind = new.get("apiVersion"), new.get("kind")
    if not resource.is_custom:
        new["apiVersion"], new["kind"] = resource.api_version, resource.kind
        if api_version not in (None, "", resource.api_version) or kind not in (None, "", resource.kind):
            what = f'{kind} in version "{api_version}" cannot be handled as a {resource.kind}'
            raise bad_request(f"{what}: no such kind or version here")
        return
    prefix = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'
    if not kind:
        raise bad_request(f"{prefix}: Object 'Kind' is missing")
    name = _name_of(new)
    if kind != resource.kind:
        raise invalid(resource.group, str(kind), name, [Cause.invalid("kind", kind, f"must be {resource.kind}")])
    if api_version == resource.api_version:
        return
    if is_patch:
        cause = Cause.invalid("apiVersion", api_version, f"must be {resource.api_version}")
        raise invalid(resource.group, resource.kind, name, [cause])
    raise bad_request(
        f"the API version in the data ({api_version}) does not match the expected API version ({resource.api_version})"
    )


def decode_patched(resource: Resource, request: ApiRequest, old: JsonObject, body: bytes) -> JsonObject:
    """Return an object with the patch in a body applied.

    Raises:
        StatusError: 400 if the patch can't be read or renames the object, 422 if it can't be applied or leaves no
            object of this kind.
    """
    try:
        patch = load_json(body)
    except ValueError as exc:
        raise bad_request(f"error decoding patch: {exc}") from exc
    report_fields(resource, request, duplicate_fields(body))
    apply = {_MERGE: merge_patch, _JSON: json_patch, _STRATEGIC: strategic_merge_patch}[request.content_type]
    new = apply(old, patch)
    if not isinstance(new, dict):
        raise invalid("", "", "", [Cause.invalid("patch", body.decode(), "the patch must leave an object")])
    _check_type(resource, new, is_patch=True)
    new["metadata"] = _clean(resource, new)
    check_identity(request, new["metadata"])
    return new


def _clean(resource: Resource, new: JsonObject) -> JsonObject:
    try:
        return decode_metadata(new.get("metadata"))
    except MetadataTypeError as exc:
        prefix = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'
        raise bad_request(f"{prefix}: {exc}") from exc


def shape_object(resource: Resource, request: ApiRequest, new: JsonObject, old: JsonObject | None) -> list[str]:
    """Bring an object into its kind's form, in place, and return the paths of the fields that were dropped.

    Raises:
        StatusError: A value has the wrong type: 400, or 422 if a patch made it so.
    """
    try:
        return resource.strategy.prepare(new, old)
    except FieldTypeError as exc:
        if request.verb == "patch":
            raise invalid("", "", "", [Cause.invalid("patch", encode(new).decode(), str(exc))]) from exc
        prefix = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'
        raise bad_request(f"{prefix}: {exc}") from exc


def _name_of(new: JsonObject) -> str:
    metadata = new.get("metadata")
    return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""


def check_identity(request: ApiRequest, metadata: JsonObject) -> None:
    """Refuse an object that is another than the one in the URL.

    Raises:
        StatusError: 400 if name or namespace differ.
    """
    name, namespace = metadata.get("name", ""), metadata.get("namespace", request.namespace)
    if name != request.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({request.name})")
    if namespace != request.namespace:
        raise bad_request(
            f"the namespace of the object ({namespace}) does not match the namespace on the request "
            f"({request.namespace})"
        )
    if request.namespace:
        metadata["namespace"] = request.namespace


def check_patch_type(resource: Resource, content_type: str) -> None:
    """Refuse the kinds of patch that a resource doesn't take, or this server doesn't know yet.

    Raises:
        StatusError: 415 or 501.
    """
    if content_type == _APPLY:
        raise not_implemented("server-side apply")
    taken = (_JSON, _MERGE) if resource.is_custom else (_JSON, _MERGE, _STRATEGIC)
    if content_type not in taken:
        raise unsupported_media_type(*taken, _APPLY)


def is_dry_run(request: ApiRequest) -> bool:
    """Return whether a request is only to be tried.

    Raises:
        StatusError: 422 for a value other than `All`.
    """
    value = request.query.get("dryRun", "")
    if value not in ("", "All"):
        options = f"{request.verb.capitalize()}Options"
        raise invalid("meta.k8s.io", options, "", [Cause.not_supported("dryRun", [value], ["All"])])
    return value == "All"


def delete_options(request: ApiRequest, body: bytes) -> JsonObject:
    """Return the DeleteOptions of a request, those of its query included.

    Raises:
        StatusError: 400, 422 or 500 if they can't be read.
    """
    try:
        options = load_json(body) if body else {}
    except ValueError as exc:
        raise internal_error(f"couldn't get version/kind; json parse error: {exc}") from exc
    if not isinstance(options, dict):
        raise bad_request("the body of a delete must be DeleteOptions")
    policy = options.get("propagationPolicy") or request.query.get("propagationPolicy")
    allowed = [*get_args(Propagation), "nil"]
    if policy not in (None, *get_args(Propagation)):
        cause = Cause.not_supported("propagationPolicy", policy, allowed)
        raise invalid("meta.k8s.io", "DeleteOptions", "", [cause])
    if policy is not None and options.get("orphanDependents") is not None:
        detail = "Invalid value: {}: orphanDependents and deletionPropagation cannot be both set"
        cause = Cause("FieldValueInvalid", "propagationPolicy", detail.format(orjson.dumps(policy).decode()))
        raise invalid("meta.k8s.io", "DeleteOptions", "", [cause])
    if policy is not None:
        options["propagationPolicy"] = policy
    return options | ({"dryRun": ["All"]} if is_dry_run(request) else {})


def propagation_of(resource: Resource, options: JsonObject) -> Propagation:
    """Return what DeleteOptions, or else the resource's own habit, say should become of what an object owns."""
    orphans = options.get("orphanDependents")
    policy: Propagation | None = options.get("propagationPolicy")
    if orphans is None and policy is None:
        orphans = resource.orphans_dependents
    return "Orphan" if orphans else policy or "Background"

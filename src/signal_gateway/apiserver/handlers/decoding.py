"""Decoding of request bodies: objects and patches, with the strictness of the real API server."""

from collections.abc import Sequence

from signal_gateway.apiserver.apimachinery.metadata import MetadataTypeError, decode_metadata
from signal_gateway.apiserver.apimachinery.objects import JsonObject, encode
from signal_gateway.apiserver.apimachinery.resources import FieldTypeError, Resource
from signal_gateway.apiserver.apimachinery.serializer import duplicate_fields, load_json, load_yaml
from signal_gateway.apiserver.apimachinery.status import (
    Cause,
    bad_request,
    invalid,
    not_implemented,
    unsupported_media_type,
)
from signal_gateway.apiserver.handlers.patches import json_patch, merge_patch
from signal_gateway.apiserver.handlers.request_info import RequestInfo
from signal_gateway.apiserver.handlers.strategic_merge_patch import strategic_merge_patch

__all__ = [
    "check_identity",
    "check_patch_type",
    "decode_object",
    "decode_patched",
    "is_dry_run",
    "report_fields",
    "shape_object",
]

_MERGE = "application/merge-patch+json"
_JSON = "application/json-patch+json"
_STRATEGIC = "application/strategic-merge-patch+json"
_APPLY = "application/apply-patch+yaml"
_YAML = "application/yaml"
_OBJECT_TYPES = ("application/json", _YAML, "application/vnd.kubernetes.protobuf")
_FIELD_VALIDATION = ("Ignore", "Strict", "Warn")


def report_fields(resource: Resource, request: RequestInfo, problems: Sequence[str]) -> None:
    """Report unknown and duplicate fields as the `fieldValidation` parameter says; the default is `Warn`.

    Args:
        resource: The resource of the object.
        request: The request; `Warn` adds warnings to its response.
        problems: Such as `unknown field "spec.foo"`.

    Raises:
        StatusError: 400 for problems with `Strict`; 422 for an unknown value of `fieldValidation`.
    """
    level = request.query.get("fieldValidation") or "Warn"
    if level not in _FIELD_VALIDATION:
        cause = Cause.not_supported("fieldValidation", level, _FIELD_VALIDATION)
        raise invalid("meta.k8s.io", f"{request.verb.capitalize()}Options", "", [cause])
    if not problems or level == "Ignore":
        return
    if level == "Warn":
        request.warn(problems)
        return
    prefix = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'
    raise bad_request(f"{prefix}: strict decoding error: {', '.join(problems)}")


def decode_object(resource: Resource, request: RequestInfo, body: bytes) -> JsonObject:
    """Return the object in a body, without unknown metadata.

    Raises:
        StatusError: 400 if the body is malformed or the object has another API version, 415 for an unsupported
            content type, 422 if the object has another kind.
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
    new["metadata"] = _decode_metadata(resource, new)
    return new


def _check_type(resource: Resource, new: JsonObject, *, is_patch: bool) -> None:
    api_version, kind = new.get("apiVersion"), new.get("kind")
    if not resource.is_custom:
        new["apiVersion"], new["kind"] = resource.api_version, resource.kind
        if api_version not in (None, "", resource.api_version) or kind not in (None, "", resource.kind):
            prefix = f'{kind} in version "{api_version}" cannot be handled as a {resource.kind}'
            raise bad_request(f"{prefix}: no such kind or version here")
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


def decode_patched(resource: Resource, request: RequestInfo, old: JsonObject, body: bytes) -> JsonObject:
    """Return an object with the patch in a body applied.

    Raises:
        StatusError: 400 if the patch is malformed or renames the object; 422 if the patch does not apply or changes
            the kind.
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
    new["metadata"] = _decode_metadata(resource, new)
    check_identity(request, new["metadata"])
    return new


def _decode_metadata(resource: Resource, new: JsonObject) -> JsonObject:
    try:
        return decode_metadata(new.get("metadata"))
    except MetadataTypeError as exc:
        prefix = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'
        raise bad_request(f"{prefix}: {exc}") from exc


def shape_object(resource: Resource, request: RequestInfo, new: JsonObject, old: JsonObject | None) -> list[str]:
    """Prune and default an object in place, and return the paths of the dropped fields.

    Raises:
        StatusError: A value has the wrong type: 400, or 422 after a patch.
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


def check_identity(request: RequestInfo, metadata: JsonObject) -> None:
    """Check that an object has the name and the namespace of the URL.

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
    """Check that a resource supports a patch format.

    Raises:
        StatusError: 415 for an unsupported format; 501 for server-side apply.
    """
    if content_type == _APPLY:
        raise not_implemented("server-side apply")
    supported = (_JSON, _MERGE) if resource.is_custom else (_JSON, _MERGE, _STRATEGIC)
    if content_type not in supported:
        raise unsupported_media_type(*supported, _APPLY)


def is_dry_run(request: RequestInfo) -> bool:
    """Return whether a request is a dry run.

    Raises:
        StatusError: 422 if `dryRun` has a value other than `All`.
    """
    value = request.query.get("dryRun", "")
    if value not in ("", "All"):
        options = f"{request.verb.capitalize()}Options"
        raise invalid("meta.k8s.io", options, "", [Cause.not_supported("dryRun", [value], ["All"])])
    return value == "All"

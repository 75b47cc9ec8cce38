"""get and list: one object, or a consistent page of a collection."""

import base64
import binascii
from collections.abc import Sequence

import orjson

from signal_gateway.apiserver.apimachinery.objects import JsonObject, encode
from signal_gateway.apiserver.apimachinery.resources import Resource
from signal_gateway.apiserver.apimachinery.selectors import Selector, parse_selector
from signal_gateway.apiserver.apimachinery.status import (
    Cause,
    StatusError,
    bad_request,
    expired,
    internal_error,
    invalid,
    not_found,
)
from signal_gateway.apiserver.handlers.request_info import RequestInfo
from signal_gateway.apiserver.storage.change_log import StoredObject
from signal_gateway.apiserver.storage.store import ObjectStore

__all__ = [
    "find_object",
    "get_object",
    "invalid_list_options",
    "list_objects",
    "list_selector",
    "render_list",
    "render_object",
    "requested_revision",
]

_EXPIRED_TOKEN = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list "
    "without the continue parameter."
)


def render_object(resource: Resource, stored: StoredObject) -> bytes:
    """Return an object as JSON, in the API version of the resource."""
    if stored.object["apiVersion"] == resource.api_version:
        return stored.raw
    return encode(resource.from_stored(stored.object))


def render_list(resource: Resource, items: Sequence[StoredObject], metadata: JsonObject) -> bytes:
    """Return a list as JSON. As on a real server, items of built-in kinds do not repeat the kind."""
    if resource.is_custom:
        rendered = [render_object(resource, stored) for stored in items]
    else:
        rendered = [
            encode({key: value for key, value in object.items() if key not in ("apiVersion", "kind")})
            for object in (resource.from_stored(stored.object) for stored in items)
        ]
    return b'{"apiVersion":%s,"items":[%s],"kind":%s,"metadata":%s}' % (
        encode(resource.api_version),
        b",".join(rendered),
        encode(resource.list_kind),
        encode(metadata),
    )


def find_object(store: ObjectStore, resource: Resource, request: RequestInfo) -> StoredObject:
    """Return the object in the URL of a request.

    Raises:
        StatusError: 404 if it does not exist.
    """
    stored = store.get(resource.key, request.namespace, request.name)
    if stored is None:
        raise not_found(resource.group, resource.plural, request.name)
    return stored


def get_object(store: ObjectStore, resource: Resource, request: RequestInfo) -> bytes:
    """Handle a get.

    Raises:
        StatusError: 404 if the object does not exist; 504 if the requested resourceVersion is in the future.
    """
    _check_revision_exists(store, requested_revision(request))
    return render_object(resource, find_object(store, resource, request))


def list_selector(resource: Resource, request: RequestInfo) -> Selector:
    """Return the label and field selector of a list, watch or deletecollection.

    Raises:
        StatusError: 400 for a malformed selector.
    """
    return parse_selector(resource, request.query.get("labelSelector", ""), request.query.get("fieldSelector", ""))


def requested_revision(request: RequestInfo) -> int:
    """Return the requested resourceVersion; 0 without one.

    Raises:
        StatusError: 500, as on a real server, if it is not a number.
    """
    text = request.query.get("resourceVersion", "")
    if text and not (text.isascii() and text.isdecimal()):
        detail = f'strconv.ParseUint: parsing "{text}": invalid syntax'
        raise internal_error(f'resourceVersion: Invalid value: "{text}": {detail}')
    return int(text or 0)


def list_objects(store: ObjectStore, resource: Resource, request: RequestInfo) -> bytes:
    """Handle a list. With `limit` it returns a page, and all pages show the revision of the first.

    Raises:
        StatusError: 400 for malformed parameters, 410 for a page of an expired revision, 422 for contradictory
            parameters, 504 for a resourceVersion in the future.
    """
    selector = list_selector(resource, request)
    limit = max(request.number("limit"), 0)
    revision, start = _starting_point(store, request)
    objects = store.list(resource.key) if revision == store.revision else store.list_at(resource.key, revision)
    if objects is None:
        raise expired(_EXPIRED_TOKEN if request.query.get("continue") else f"too old resource version: {revision}")
    chosen = [
        stored
        for stored in objects
        if stored.key > start
        and (not request.namespace or stored.namespace == request.namespace)
        and selector.matches(stored.object)
    ]
    metadata: JsonObject = {"resourceVersion": str(revision)}
    if resource.is_custom:
        metadata["continue"] = ""
    if limit and len(chosen) > limit:
        metadata["continue"] = _continue_token(revision, chosen[limit - 1].key)
        if not selector:
            metadata["remainingItemCount"] = len(chosen) - limit
        chosen = chosen[:limit]
    return render_list(resource, chosen, metadata)


def _starting_point(store: ObjectStore, request: RequestInfo) -> tuple[int, tuple[str, str]]:
    """Return the revision of a list, and the key after which the page starts."""
    if request.query.get("sendInitialEvents"):
        raise invalid_list_options(Cause.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    match = request.query.get("resourceVersionMatch", "")
    requested = requested_revision(request)
    if token := request.query.get("continue"):
        if requested:
            raise bad_request("specifying resource version is not allowed when using continue")
        return _read_continue_token(token)
    if match and not request.query.get("resourceVersion"):
        detail = "resourceVersionMatch is forbidden unless resourceVersion is provided"
        raise invalid_list_options(Cause.forbidden("resourceVersionMatch", detail))
    if match not in ("", "Exact", "NotOlderThan"):
        raise invalid_list_options(Cause.not_supported("resourceVersionMatch", match, ["Exact", "NotOlderThan", ""]))
    _check_revision_exists(store, requested)
    return requested if match == "Exact" and requested else store.revision, ("", "")


def invalid_list_options(cause: Cause) -> StatusError:
    """Return the error for invalid parameters of a list or a watch."""
    return invalid("meta.k8s.io", "ListOptions", "", [cause])


def _check_revision_exists(store: ObjectStore, revision: int) -> None:
    if revision > store.revision:
        message = f"Timeout: Too large resource version: {revision}, current: {store.revision}"
        causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
        raise StatusError(504, message, reason="Timeout", details={"causes": causes}, retry_after=1)


def _continue_token(revision: int, last: tuple[str, str]) -> str:
    token = {"v": "meta.k8s.io/v1", "rv": revision, "start": last}
    return base64.urlsafe_b64encode(orjson.dumps(token)).decode().rstrip("=")


def _read_continue_token(token: str) -> tuple[int, tuple[str, str]]:
    try:
        read = orjson.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
        namespace, name = read["start"]
        return int(read["rv"]), (str(namespace), str(name))
    except (binascii.Error, ValueError, TypeError, LookupError) as exc:
        raise bad_request("invalid continue token: continue key is not valid") from exc

"""Content negotiation: the Accept header selects whole objects or their metadata alone."""

from typing import Final, Literal

import orjson

from signal_gateway.apiserver.apimachinery.objects import JsonObject, encode
from signal_gateway.apiserver.apimachinery.status import StatusError
from signal_gateway.apiserver.handlers.request_info import RequestInfo

__all__ = ["Representation", "negotiate_representation", "partial_object_metadata", "to_representation"]

Representation = Literal["object", "metadata"]

_META: Final = "meta.k8s.io/v1"
_PARTIAL: Final = "PartialObjectMetadata"
_JSON_TYPES: Final = ("application/json", "application/*", "*/*")


def negotiate_representation(request: RequestInfo) -> Representation:
    """Return the first representation in the Accept header that the server supports.

    Raises:
        StatusError: 406 if the server supports none of them.
    """
    if not request.accept:
        return "object"
    wanted_kind = f"{_PARTIAL}List" if request.verb in ("list", "deletecollection") else _PARTIAL
    for accepted in request.accept.split(","):
        media_type, *parameters = (part.strip() for part in accepted.split(";"))
        if media_type not in _JSON_TYPES:
            continue
        given = dict(parameter.split("=", 1) for parameter in parameters if "=" in parameter)
        if "as" not in given:
            return "object"
        if (given["as"], given.get("g"), given.get("v")) == (wanted_kind, "meta.k8s.io", "v1"):
            return "metadata"
    message = "only the following media types are accepted: application/json"
    raise StatusError(406, message, reason="NotAcceptable")


def partial_object_metadata(object: JsonObject) -> JsonObject:
    """Return the metadata of an object as a PartialObjectMetadata."""
    return {"kind": _PARTIAL, "apiVersion": _META, "metadata": object["metadata"]}


def to_representation(body: bytes, representation: Representation) -> bytes:
    """Return an encoded object or list in a representation. A `Status` stays unchanged."""
    if representation == "object":
        return body
    document: JsonObject = orjson.loads(body)
    if document["kind"] == "Status":
        return body
    if "items" in document and document["kind"].endswith("List"):
        items = [partial_object_metadata(item) for item in document["items"]]
        return encode(
            {"kind": f"{_PARTIAL}List", "apiVersion": _META, "metadata": document["metadata"], "items": items}
        )
    return encode(partial_object_metadata(document))

"""The eviction subresource of pods: a deletion that asks first. Here nobody is asked: no disruption budget is kept."""

from dataclasses import replace

import orjson

from signal_gateway.apiserver.apimachinery.objects import encode
from signal_gateway.apiserver.apimachinery.resources import Resource
from signal_gateway.apiserver.apimachinery.status import bad_request
from signal_gateway.apiserver.handlers.request_info import RequestInfo
from signal_gateway.apiserver.handlers.writes import WriteHandler

__all__ = ["evict_pod"]


def evict_pod(writes: WriteHandler, resource: Resource, request: RequestInfo, body: bytes) -> bytes:
    """Delete a pod, with the options that the eviction carries.

    Raises:
        StatusError: 400 if the body is no eviction of this pod, 404 if there is no such pod.
    """
    try:
        eviction = orjson.loads(body)
        name, options = eviction["metadata"]["name"], eviction.get("deleteOptions") or {}
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as exc:
        raise bad_request(f"the body of an eviction must be an Eviction with the pod's name: {exc!r}") from exc
    if name != request.name:
        raise bad_request("name in URL does not match name in Eviction object")
    writes.delete(resource, replace(request, verb="delete", subresource=""), encode(options))
    return encode({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})

"""delete and deletecollection, and the eviction of pods."""

from dataclasses import replace
from typing import get_args

import orjson

from signal_gateway.apiserver.apimachinery.objects import JsonObject, encode, timestamp
from signal_gateway.apiserver.apimachinery.resources import Resource
from signal_gateway.apiserver.apimachinery.serializer import load_json
from signal_gateway.apiserver.apimachinery.status import (
    Cause,
    bad_request,
    conflict,
    forbidden,
    internal_error,
    invalid,
)
from signal_gateway.apiserver.controllers.cluster_controllers import ClusterControllers
from signal_gateway.apiserver.controllers.deletion import Propagation
from signal_gateway.apiserver.handlers.decoding import is_dry_run
from signal_gateway.apiserver.handlers.reads import find_object, list_selector, render_list, render_object
from signal_gateway.apiserver.handlers.request_info import RequestInfo
from signal_gateway.apiserver.kinds import NAMESPACES
from signal_gateway.apiserver.storage.change_log import StoredObject
from signal_gateway.apiserver.storage.store import ObjectStore
from signal_gateway.clock import Clock

__all__ = ["DeleteHandler"]

_IMMORTAL_NAMESPACES = frozenset(("default", "kube-system", "kube-public"))


class DeleteHandler:
    """Handles the requests that delete objects. Runs on the server's loop; no method waits.

    Args:
        store: The objects of the cluster.
        controllers: Delete objects, their dependents and their content.
        clock: Source of deletion timestamps.
    """

    def __init__(self, store: ObjectStore, controllers: ClusterControllers, clock: Clock) -> None:
        self._store = store
        self._controllers = controllers
        self._clock = clock

    def delete(self, resource: Resource, request: RequestInfo, body: bytes) -> bytes:
        """Delete an object.

        Returns:
            A `Status` if the object is gone; the marked object if finalizers or a grace period hold it.

        Raises:
            StatusError: 403 for a protected namespace, 404 if the object does not exist, 409 if a precondition fails.
        """
        options = _delete_options(request, body)
        stored = find_object(self._store, resource, request)
        _check_preconditions(resource, stored, options.get("preconditions") or {})
        if resource is NAMESPACES and stored.name in _IMMORTAL_NAMESPACES:
            raise forbidden("", resource.plural, stored.name, "this namespace may not be deleted")
        grace_seconds = _grace_seconds(resource, request, stored, options)
        remaining = None
        if not options.get("dryRun"):
            propagation = _propagation(resource, options)
            remaining = self._controllers.delete(resource, stored, propagation, grace_seconds=grace_seconds)
        if remaining is not None:
            return render_object(resource, remaining)
        if resource.returns_deleted:
            return encode(self._last_state(resource, stored))
        details = {
            "name": stored.name,
            "group": resource.group,
            "kind": resource.plural,
            "uid": stored.object["metadata"]["uid"],
        }
        return encode(
            {
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Success",
                "details": {key: value for key, value in details.items() if value},
            }
        )

    def delete_collection(self, resource: Resource, request: RequestInfo, body: bytes) -> bytes:
        """Delete the selected objects of a namespace, and return them as a list."""
        options = _delete_options(request, body)
        selector = list_selector(resource, request)
        listed = self._store.list(resource.key, request.namespace)
        selected = [stored for stored in listed if selector.matches(stored.object)]
        if not options.get("dryRun"):
            propagation = _propagation(resource, options)
            for stored in selected:
                seconds = _grace_seconds(resource, request, stored, options)
                self._controllers.delete(resource, stored, propagation, grace_seconds=seconds)
        return render_list(resource, selected, {"resourceVersion": str(self._store.revision)})

    def evict_pod(self, resource: Resource, request: RequestInfo, body: bytes) -> bytes:
        """Delete a pod with the options of its Eviction. PodDisruptionBudgets are not enforced.

        Raises:
            StatusError: 400 if the body is not an Eviction of this pod, 404 if the pod does not exist.
        """
        try:
            eviction = orjson.loads(body)
            name, options = eviction["metadata"]["name"], eviction.get("deleteOptions") or {}
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as exc:
            raise bad_request(f"the body of an eviction must be an Eviction with the pod's name: {exc!r}") from exc
        if name != request.name:
            raise bad_request("name in URL does not match name in Eviction object")
        self.delete(resource, replace(request, verb="delete", subresource=""), encode(options))
        return encode({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})

    def _last_state(self, resource: Resource, stored: StoredObject) -> JsonObject:
        """Return the last state of a deleted object, with a grace period of 0 if its kind has grace periods."""
        object = resource.from_stored(stored.object)
        if resource.grace_period is None:
            return object
        mark = {"deletionTimestamp": timestamp(self._clock.now()), "deletionGracePeriodSeconds": 0}
        return object | {"metadata": object["metadata"] | mark}


def _delete_options(request: RequestInfo, body: bytes) -> JsonObject:
    """Return the DeleteOptions of the body and of the query parameters.

    Raises:
        StatusError: 400, 422 or 500 if they are malformed.
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


def _propagation(resource: Resource, options: JsonObject) -> Propagation:
    """Return the propagation policy of DeleteOptions, or else the default of the resource."""
    orphans = options.get("orphanDependents")
    policy: Propagation | None = options.get("propagationPolicy")
    if orphans is None and policy is None:
        orphans = resource.orphans_dependents
    return "Orphan" if orphans else policy or "Background"


def _grace_seconds(resource: Resource, request: RequestInfo, stored: StoredObject, options: JsonObject) -> int:
    """Return the grace period of a deletion, from its options and query parameters."""
    requested = options.get("gracePeriodSeconds")
    if requested is None and "gracePeriodSeconds" in request.query:
        requested = request.number("gracePeriodSeconds")
    return 0 if resource.grace_period is None else resource.grace_period(stored.object, requested)


def _check_preconditions(resource: Resource, stored: StoredObject, preconditions: JsonObject) -> None:
    actual = stored.object["metadata"]
    if (uid := preconditions.get("uid")) is not None and uid != actual["uid"]:
        reason = (
            f"the UID in the precondition ({uid}) does not match the UID in record ({actual['uid']}). "
            "The object might have been deleted and then recreated"
        )
        raise conflict(resource.group, resource.kind, stored.name, reason)
    version = preconditions.get("resourceVersion")
    if version is not None and version != actual["resourceVersion"]:
        reason = (
            f"the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record "
            f"({actual['resourceVersion']}). The object might have been modified"
        )
        raise conflict(resource.group, resource.kind, stored.name, reason)

"""create, update and patch: from a request body to a stored object, by the rules of the generic registry.

The order of the checks follows `k8s.io/apiserver/pkg/registry/generic/registry/store.go`.
"""

import random
import threading
import uuid
from typing import Final

import orjson

from signal_gateway.apiserver.apiextensions.definitions import CRDS
from signal_gateway.apiserver.apimachinery.metadata import (
    has_finalizers,
    validate_metadata,
    validate_metadata_update,
)
from signal_gateway.apiserver.apimachinery.objects import JsonObject, encode, timestamp
from signal_gateway.apiserver.apimachinery.resources import Resource
from signal_gateway.apiserver.apimachinery.status import (
    Cause,
    StatusError,
    already_exists,
    bad_request,
    conflict,
    forbidden,
    internal_error,
    invalid,
    method_not_allowed,
    not_found,
)
from signal_gateway.apiserver.controllers.cluster_controllers import ClusterControllers
from signal_gateway.apiserver.controllers.deletion import has_grace_period, is_terminating
from signal_gateway.apiserver.handlers.decoding import (
    check_identity,
    check_patch_type,
    decode_object,
    decode_patched,
    is_dry_run,
    report_fields,
    shape_object,
)
from signal_gateway.apiserver.handlers.reads import find_object, render_object
from signal_gateway.apiserver.handlers.request_info import RequestInfo
from signal_gateway.apiserver.kinds import NAMESPACES
from signal_gateway.apiserver.storage.change_log import StoredObject
from signal_gateway.apiserver.storage.store import ObjectStore
from signal_gateway.clock import Clock

__all__ = ["WriteHandler"]

_MAX_INSTALLED: Final = 64
_SERVER_FIELDS = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds")


class _InstalledBodies:
    """The checked objects of bodies that clusters of this process have installed, the newest ones. Thread-safe.

    The key is the kind and the body, the value the object as JSON: a cluster parses its own copy.
    """

    def __init__(self) -> None:
        self._objects: dict[tuple[str, bytes], bytes] = {}
        self._lock = threading.Lock()

    def get(self, key: tuple[str, bytes]) -> bytes | None:
        return self._objects.get(key)

    def keep(self, key: tuple[str, bytes], new: bytes) -> None:
        with self._lock:
            self._objects[key] = new
            while len(self._objects) > _MAX_INSTALLED:
                del self._objects[next(iter(self._objects))]


_INSTALLED: Final = _InstalledBodies()


class WriteHandler:
    """Handles the requests that create or change objects. Runs on the server's loop; no method waits.

    Args:
        store: The objects of the cluster.
        controllers: Run after each write.
        clock: Source of `creationTimestamp`.
    """

    def __init__(self, store: ObjectStore, controllers: ClusterControllers, clock: Clock) -> None:
        self._store = store
        self._controllers = controllers
        self._clock = clock
        self._random = random.Random()

    def create(self, resource: Resource, request: RequestInfo, body: bytes) -> bytes:
        """Create an object and return it.

        Raises:
            StatusError: 400 if the body is malformed, 403 for a terminating namespace, 404 for a missing one, 409 if
                the object exists, 422 if it is invalid.
        """
        if request.name:
            raise method_not_allowed()
        return self._create(resource, request, self._new_object(resource, request, body))

    def install(self, resource: Resource, request: RequestInfo, body: bytes) -> bytes:
        """Create an object as `create` does; a body that any cluster of the process has installed is not checked again.

        This is for definitions and namespaces: their checks depend on the body alone, and the clusters of tests have
        the same ones. A definition takes a millisecond to check.

        Raises:
            StatusError: As `create` raises it.
        """
        if resource is not CRDS and resource is not NAMESPACES:
            return self.create(resource, request, body)
        known = _INSTALLED.get((resource.key, body))
        if known is None:
            new = self._new_object(resource, request, body)
            if "generateName" not in new["metadata"]:
                _INSTALLED.keep((resource.key, body), encode(new))
        else:
            new = orjson.loads(known)
            self._stamp(resource, request, new["metadata"])
        return self._create(resource, request, new)

    def _new_object(self, resource: Resource, request: RequestInfo, body: bytes) -> JsonObject:
        """Return the checked object of a body, with the fields that the server sets."""
        new = decode_object(resource, request, body)
        metadata = new["metadata"]
        if metadata.get("namespace", request.namespace) != request.namespace:
            message = "the namespace of the provided object does not match the namespace sent on the request"
            raise bad_request(message)
        if "resourceVersion" in metadata:
            raise internal_error("resourceVersion should not be set on objects to be created")
        self._stamp(resource, request, metadata)
        self._check_parents(resource, request.namespace, metadata.get("name", ""))

        if resource.is_custom and resource.has_status:
            new.pop("status", None)  # built-in kinds set the initial status themselves
        self._shape(resource, request, new, None)
        self._check(resource, new, None)
        return new

    def _create(self, resource: Resource, request: RequestInfo, new: JsonObject) -> bytes:
        metadata = new["metadata"]
        existing = self._store.get(resource.key, request.namespace, metadata["name"])
        if existing is not None:
            is_being_deleted = is_terminating(existing)
            raise already_exists(resource.group, resource.plural, metadata["name"], is_being_deleted=is_being_deleted)
        if is_dry_run(request):
            return encode(new)
        stored = self._store.put(resource.key, resource.to_stored(new))
        request.set_created_name(stored.name)
        self._controllers.reconcile(resource, stored)
        return render_object(resource, stored)

    def update(self, resource: Resource, request: RequestInfo, body: bytes) -> bytes:
        """Replace an object, or its status, and return it.

        Raises:
            StatusError: 400 if the body is malformed, 404 if the object does not exist, 409 if the request is based on
                another resourceVersion, 422 if the new object is invalid.
        """
        if not request.name:
            raise bad_request("name must be provided")
        new = decode_object(resource, request, body)
        check_identity(request, new["metadata"])
        stored = find_object(self._store, resource, request)
        uid, actual = new["metadata"].get("uid"), stored.object["metadata"]["uid"]
        if uid not in (None, actual):
            reason = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {actual}"
            raise conflict(resource.group, resource.plural, request.name, reason)
        return self._replace(resource, request, stored, new)

    def patch(self, resource: Resource, request: RequestInfo, body: bytes) -> bytes:
        """Apply a patch to an object, or to its status, and return it.

        Raises:
            StatusError: 400 if the patch is malformed, 404 if the object does not exist, 409 if the patch contains
                another resourceVersion, 415 for an unsupported patch format, 422 if the patch does not apply or the
                new object is invalid.
        """
        if not request.name:
            raise bad_request("name must be provided")
        check_patch_type(resource, request.content_type)
        stored = find_object(self._store, resource, request)
        new = decode_patched(resource, request, resource.from_stored(stored.object), body)
        return self._replace(resource, request, stored, new)

    def _replace(self, resource: Resource, request: RequestInfo, stored: StoredObject, new: JsonObject) -> bytes:
        old = resource.from_stored(stored.object)
        metadata = new["metadata"]
        self._check_revision(resource, request, stored, metadata.get("resourceVersion", ""))
        if request.subresource == "status":
            new = {key: value for key, value in old.items() if key != "status"} | (
                {"status": new["status"]} if "status" in new else {}
            )
            new["metadata"] = dict(old["metadata"])
        else:
            new["metadata"] = metadata
            _keep_server_fields(metadata, old["metadata"])
            if resource.has_status:
                new.pop("status", None)
                new |= {"status": old["status"]} if "status" in old else {}
        new = orjson.loads(encode(new))  # a copy: the rest changes it in place
        new["metadata"]["resourceVersion"] = str(stored.revision)

        self._shape(resource, request, new, old)
        self._check(resource, new, old)
        if resource.has_generation and _content(resource, new) != _content(resource, old):
            new["metadata"]["generation"] += 1
        if is_dry_run(request):
            return encode(new)
        is_held = has_finalizers(new["metadata"]) or has_grace_period(new["metadata"])
        if is_terminating(stored) and not is_held and resource is not NAMESPACES:
            if resource is CRDS:
                self._controllers.reconcile(resource, self._store.put(resource.key, new))
            else:
                self._controllers.remove(resource, stored)
            return encode(new | {"apiVersion": resource.api_version})
        if encode(new) != encode(old):
            stored = self._store.put(resource.key, resource.to_stored(new))
            self._controllers.reconcile(resource, stored)
        return render_object(resource, stored)

    def _stamp(self, resource: Resource, request: RequestInfo, metadata: JsonObject) -> None:
        for field in _SERVER_FIELDS:
            metadata.pop(field, None)
        if not metadata.get("name") and metadata.get("generateName"):
            suffix = "".join(self._random.choices("bcdfghjklmnpqrstvwxz2456789", k=5))
            metadata["name"] = metadata["generateName"][:58] + suffix
        if resource.namespaced:
            metadata["namespace"] = request.namespace
        else:
            metadata.pop("namespace", None)
        metadata["uid"] = str(uuid.uuid4())
        metadata["creationTimestamp"] = timestamp(self._clock.now())
        if resource.has_generation:
            metadata["generation"] = 1

    def _check_parents(self, resource: Resource, namespace: str, name: str) -> None:
        """Check that the namespace and the definition of a new object exist and are not terminating."""
        if resource.namespaced:
            parent = self._store.get(NAMESPACES.key, "", namespace)
            if parent is None:
                raise not_found("", NAMESPACES.plural, namespace)
            if is_terminating(parent):
                reason = f"unable to create new content in namespace {namespace} because it is being terminated"
                cause = {
                    "reason": "NamespaceTerminating",
                    "message": f"namespace {namespace} is being terminated",
                    "field": "metadata.namespace",
                }
                raise forbidden(resource.group, resource.plural, name, reason, [cause])
        if resource.is_custom:
            definition = self._store.get(CRDS.key, "", resource.key)
            if definition is not None and is_terminating(definition):
                message = "create not allowed while custom resource definition is terminating"
                raise StatusError(405, message, reason="MethodNotAllowed", details={})

    def _shape(self, resource: Resource, request: RequestInfo, new: JsonObject, old: JsonObject | None) -> None:
        dropped = shape_object(resource, request, new, old)
        report_fields(resource, request, [f'unknown field "{path}"' for path in dropped])

    def _check(self, resource: Resource, new: JsonObject, old: JsonObject | None) -> None:
        causes = validate_metadata(resource, new["metadata"])
        if old is not None:
            causes += validate_metadata_update(new["metadata"], old["metadata"])
        causes += resource.strategy.validate(new, old) if new["metadata"].get("name") else []
        if causes:
            raise invalid(resource.group, resource.kind, new["metadata"].get("name", ""), causes)

    def _check_revision(self, resource: Resource, request: RequestInfo, stored: StoredObject, sent: str) -> None:
        if sent in ("", "0"):
            if resource.needs_resource_version:
                detail = "Invalid value: 0x0: must be specified for an update"
                cause = Cause("FieldValueInvalid", "metadata.resourceVersion", detail)
                raise invalid(resource.group, resource.plural, request.name, [cause])
        elif not (sent.isascii() and sent.isdecimal()):
            raise internal_error(f'strconv.ParseUint: parsing "{sent}": invalid syntax')
        elif int(sent) != stored.revision:
            raise conflict(resource.group, resource.plural, request.name)


def _keep_server_fields(metadata: JsonObject, old: JsonObject) -> None:
    """Keep the fields that only the server sets. A changed uid or deletionTimestamp stays, for validation to reject."""
    for field in _SERVER_FIELDS:
        sent = metadata.pop(field, None)
        if sent and field in ("uid", "deletionTimestamp"):
            metadata[field] = sent
        elif field in old:
            metadata[field] = old[field]


def _content(resource: Resource, object: JsonObject) -> bytes:
    """Return the part of an object whose changes `metadata.generation` counts."""
    excluded = ("metadata", "status") if resource.has_status else ("metadata",)
    return encode({key: value for key, value in object.items() if key not in excluded})

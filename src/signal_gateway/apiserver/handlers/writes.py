"""create, update, patch and delete: from a body to a stored object, by the rules of the generic registry.

The order of the checks follows `k8s.io/apiserver/pkg/registry/generic/registry/store.go`.
"""

import random
import uuid

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
from signal_gateway.apiserver.controllers.lifecycle import Lifecycle, has_grace, is_terminating
from signal_gateway.apiserver.handlers.bodies import (
    check_identity,
    check_patch_type,
    decode_object,
    decode_patched,
    delete_options,
    is_dry_run,
    propagation_of,
    shape_object,
)
from signal_gateway.apiserver.handlers.field_validation import report_fields
from signal_gateway.apiserver.handlers.reads import find, render, render_list, selector_of
from signal_gateway.apiserver.handlers.request import ApiRequest
from signal_gateway.apiserver.kinds import NAMESPACES
from signal_gateway.apiserver.storage.store import ObjectStore, StoredObject
from signal_gateway.clock import Clock

__all__ = ["Writes"]

_IMMORTAL_NAMESPACES = frozenset(("default", "kube-system", "kube-public"))
_SERVER_SET = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds")


class Writes:
    """Answers the requests that change objects. Runs on the server's loop; no method waits.

    Args:
        store: The cluster's objects.
        lifecycle: What follows from a write.
        clock: For `creationTimestamp`.
    """

    def __init__(self, store: ObjectStore, lifecycle: Lifecycle, clock: Clock) -> None:
        self._store = store
        self._lifecycle = lifecycle
        self._clock = clock
        self._random = random.Random()

    def create(self, resource: Resource, request: ApiRequest, body: bytes) -> bytes:
        """Create an object and return it.

        Raises:
            StatusError: 400 if the body can't be read, 403 or 404 for its namespace, 409 if the name is taken, 422
                if the object is invalid.
        """
        if request.name:
            raise method_not_allowed()
        new = decode_object(resource, request, body)
        metadata = new["metadata"]
        if metadata.get("namespace", request.namespace) != request.namespace:
            message = "the namespace of the provided object does not match the namespace sent on the request"
            raise bad_request(message)
        if "resourceVersion" in metadata:
            raise internal_error("resourceVersion should not be set on objects to be created")
        self._stamp(resource, request, metadata)
        self._admit(resource, request.namespace, metadata.get("name", ""))

        if resource.is_custom and resource.has_status:
            new.pop("status", None)  # of the other kinds, each gives a new object the status that it starts with
        self._shape(resource, request, new, None)
        self._check(resource, new, None)
        existing = self._store.get(resource.key, request.namespace, metadata["name"])
        if existing is not None:
            is_being_deleted = is_terminating(existing)
            raise already_exists(resource.group, resource.plural, metadata["name"], is_being_deleted=is_being_deleted)
        if is_dry_run(request):
            return encode(new)
        stored = self._store.put(resource.key, resource.to_stored(new))
        request.created.append(stored.name)
        self._lifecycle.after_write(resource, stored)
        return render(resource, stored)

    def update(self, resource: Resource, request: ApiRequest, body: bytes) -> bytes:
        """Replace an object, or its status, and return it.

        Raises:
            StatusError: 400 if the body can't be read, 404, 409 if it is based on another version, 422 if it is
                invalid.
        """
        if not request.name:
            raise bad_request("name must be provided")
        new = decode_object(resource, request, body)
        check_identity(request, new["metadata"])
        stored = find(self._store, resource, request)
        uid, actual = new["metadata"].get("uid"), stored.object["metadata"]["uid"]
        if uid not in (None, actual):
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {actual}"
            raise conflict(resource.group, resource.plural, request.name, why)
        return self._replace(resource, request, stored, new)

    def patch(self, resource: Resource, request: ApiRequest, body: bytes) -> bytes:
        """Change an object, or its status, by a merge patch or a JSON Patch, and return it.

        Raises:
            StatusError: 400 if the patch can't be read, 404, 409 if it names another resourceVersion, 415 for
                another kind of patch, 422 if it can't be applied or its outcome is invalid.
        """
        if not request.name:
            raise bad_request("name must be provided")
        check_patch_type(resource, request.content_type)
        stored = find(self._store, resource, request)
        new = decode_patched(resource, request, resource.from_stored(stored.object), body)
        return self._replace(resource, request, stored, new)

    def delete(self, resource: Resource, request: ApiRequest, body: bytes) -> bytes:
        """Delete an object.

        Returns:
            A `Status` if it is gone; the object if it waits for finalizers.

        Raises:
            StatusError: 404, 403 for a namespace that must stay, 409 if a precondition fails.
        """
        options = delete_options(request, body)
        stored = find(self._store, resource, request)
        self._check_preconditions(resource, stored, options.get("preconditions") or {})
        if resource is NAMESPACES and stored.name in _IMMORTAL_NAMESPACES:
            raise forbidden("", resource.plural, stored.name, "this namespace may not be deleted")
        grace_seconds = _grace_seconds(resource, request, stored, options)
        remaining = None
        if not options.get("dryRun"):
            propagation = propagation_of(resource, options)
            remaining = self._lifecycle.delete(resource, stored, propagation, grace_seconds=grace_seconds)
        if remaining is not None:
            return render(resource, remaining)
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

    def _last_state(self, resource: Resource, stored: StoredObject) -> JsonObject:
        """Return an object that is gone; one that could have been given time says that it was given none."""
        object = resource.from_stored(stored.object)
        if resource.grace_period is None:
            return object
        none_given = {"deletionTimestamp": timestamp(self._clock.now()), "deletionGracePeriodSeconds": 0}
        return object | {"metadata": object["metadata"] | none_given}

    def delete_collection(self, resource: Resource, request: ApiRequest, body: bytes) -> bytes:
        """Delete every selected object of a namespace, and return them as a list."""
        options = delete_options(request, body)
        selector = selector_of(resource, request)
        listed = self._store.list(resource.key, request.namespace)
        chosen = [stored for stored in listed if selector.matches(stored.object)]
        if not options.get("dryRun"):
            for stored in chosen:
                seconds = _grace_seconds(resource, request, stored, options)
                self._lifecycle.delete(resource, stored, propagation_of(resource, options), grace_seconds=seconds)
        return render_list(resource, chosen, {"resourceVersion": str(self._store.revision)})

    def _replace(self, resource: Resource, request: ApiRequest, stored: StoredObject, new: JsonObject) -> bytes:
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
            _keep_server_set(metadata, old["metadata"])
            if resource.has_status:
                new.pop("status", None)
                new |= {"status": old["status"]} if "status" in old else {}
        new = orjson.loads(encode(new))  # nothing below may reach into what is stored
        new["metadata"]["resourceVersion"] = str(stored.revision)

        self._shape(resource, request, new, old)
        self._check(resource, new, old)
        if resource.has_generation and _content(resource, new) != _content(resource, old):
            new["metadata"]["generation"] += 1
        if is_dry_run(request):
            return encode(new)
        is_held = has_finalizers(new["metadata"]) or has_grace(new["metadata"])
        if is_terminating(stored) and not is_held and resource is not NAMESPACES:
            if resource is CRDS:
                self._lifecycle.after_write(resource, self._store.put(resource.key, new))
            else:
                self._lifecycle.remove(resource, stored)
            return encode(new | {"apiVersion": resource.api_version})
        if encode(new) != encode(old):
            stored = self._store.put(resource.key, resource.to_stored(new))
            self._lifecycle.after_write(resource, stored)
        return render(resource, stored)

    def _stamp(self, resource: Resource, request: ApiRequest, metadata: JsonObject) -> None:
        for field in _SERVER_SET:
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

    def _admit(self, resource: Resource, namespace: str, name: str) -> None:
        """Refuse what would be created in something that isn't there or is about to go."""
        if resource.namespaced:
            home = self._store.get(NAMESPACES.key, "", namespace)
            if home is None:
                raise not_found("", NAMESPACES.plural, namespace)
            if is_terminating(home):
                why = f"unable to create new content in namespace {namespace} because it is being terminated"
                cause = {
                    "reason": "NamespaceTerminating",
                    "message": f"namespace {namespace} is being terminated",
                    "field": "metadata.namespace",
                }
                raise forbidden(resource.group, resource.plural, name, why, [cause])
        if resource.is_custom:
            definition = self._store.get(CRDS.key, "", resource.key)
            if definition is not None and is_terminating(definition):
                message = "create not allowed while custom resource definition is terminating"
                raise StatusError(405, message, reason="MethodNotAllowed", details={})

    def _shape(self, resource: Resource, request: ApiRequest, new: JsonObject, old: JsonObject | None) -> None:
        dropped = shape_object(resource, request, new, old)
        report_fields(resource, request, [f'unknown field "{path}"' for path in dropped])

    def _check(self, resource: Resource, new: JsonObject, old: JsonObject | None) -> None:
        causes = validate_metadata(resource, new["metadata"])
        if old is not None:
            causes += validate_metadata_update(new["metadata"], old["metadata"])
        causes += resource.strategy.validate(new, old) if new["metadata"].get("name") else []
        if causes:
            raise invalid(resource.group, resource.kind, new["metadata"].get("name", ""), causes)

    def _check_revision(self, resource: Resource, request: ApiRequest, stored: StoredObject, sent: str) -> None:
        if sent in ("", "0"):
            if resource.needs_resource_version:
                detail = "Invalid value: 0x0: must be specified for an update"
                cause = Cause("FieldValueInvalid", "metadata.resourceVersion", detail)
                raise invalid(resource.group, resource.plural, request.name, [cause])
        elif not (sent.isascii() and sent.isdecimal()):
            raise internal_error(f'strconv.ParseUint: parsing "{sent}": invalid syntax')
        elif int(sent) != stored.revision:
            raise conflict(resource.group, resource.plural, request.name)

    def _check_preconditions(self, resource: Resource, stored: StoredObject, wanted: JsonObject) -> None:
        actual = stored.object["metadata"]
        if (uid := wanted.get("uid")) is not None and uid != actual["uid"]:
            why = (
                f"the UID in the precondition ({uid}) does not match the UID in record ({actual['uid']}). "
                "The object might have been deleted and then recreated"
            )
            raise conflict(resource.group, resource.kind, stored.name, why)
        version = wanted.get("resourceVersion")
        if version is not None and version != actual["resourceVersion"]:
            why = (
                f"the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record "
                f"({actual['resourceVersion']}). The object might have been modified"
            )
            raise conflict(resource.group, resource.kind, stored.name, why)


def _grace_seconds(resource: Resource, request: ApiRequest, stored: StoredObject, options: JsonObject) -> int:
    """Return for how long an object is to stay, from the options and the query of its deletion."""
    asked = options.get("gracePeriodSeconds")
    if asked is None and "gracePeriodSeconds" in request.query:
        asked = request.number("gracePeriodSeconds")
    return 0 if resource.grace_period is None else resource.grace_period(stored.object, asked)


def _keep_server_set(metadata: JsonObject, old: JsonObject) -> None:
    """Take over what only the server writes, but for what is refused when it differs."""
    for field in _SERVER_SET:
        sent = metadata.pop(field, None)
        if sent and field in ("uid", "deletionTimestamp"):
            metadata[field] = sent
        elif field in old:
            metadata[field] = old[field]


def _content(resource: Resource, object: JsonObject) -> bytes:
    """Return what `metadata.generation` counts the changes of."""
    left_out = ("metadata", "status") if resource.has_status else ("metadata",)
    return encode({key: value for key, value in object.items() if key not in left_out})

"""ResourceHandler: the entry point of all requests for resources."""

import logging

from starlette.types import Receive, Scope, Send

from signal_gateway.apiserver.apimachinery.resources import Resource
from signal_gateway.apiserver.apimachinery.status import (
    StatusError,
    method_not_allowed,
    not_found,
    not_implemented,
    resource_not_found,
    verb_not_supported,
)
from signal_gateway.apiserver.auth.authentication import TokenTable, User
from signal_gateway.apiserver.auth.authorization import RuleTable
from signal_gateway.apiserver.handlers.deletes import DeleteHandler
from signal_gateway.apiserver.handlers.negotiation import negotiate_representation, to_representation
from signal_gateway.apiserver.handlers.reads import get_object, list_objects
from signal_gateway.apiserver.handlers.request_info import RequestInfo, read_body
from signal_gateway.apiserver.handlers.responses import (
    JSON,
    ClientConnection,
    send_response,
    send_status,
    warning_headers,
)
from signal_gateway.apiserver.handlers.reviews import handle_review
from signal_gateway.apiserver.handlers.scale import handle_scale
from signal_gateway.apiserver.handlers.watch import WatchHandler
from signal_gateway.apiserver.handlers.writes import WriteHandler
from signal_gateway.apiserver.kinds import REVIEWS
from signal_gateway.apiserver.storage.store import ObjectStore

__all__ = ["ResourceHandler"]

_log = logging.getLogger(__name__)


class ResourceHandler:
    """Passes each request for a resource to the handler of its verb or subresource, and sends the response.

    Args:
        store: The objects of the cluster.
        writes: Handles create, update and patch.
        deletes: Handles delete, deletecollection and evictions.
        watches: Handles watches.
        tokens: The table of tokens, for reviews.
        rules: The table of rules, for reviews.
    """

    def __init__(
        self,
        store: ObjectStore,
        *,
        writes: WriteHandler,
        deletes: DeleteHandler,
        watches: WatchHandler,
        tokens: TokenTable,
        rules: RuleTable,
    ) -> None:
        self._store = store
        self._writes = writes
        self._deletes = deletes
        self._watches = watches
        self._tokens = tokens
        self._rules = rules

    async def serve(
        self, resource: Resource, request: RequestInfo, user: User, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Handle an authorized request and send its response.

        Args:
            resource: The served resource of the request.
            request: The request.
            user: The user of the request.
            scope: ASGI scope of the request.
            receive: Receives the body and the disconnect of the client.
            send: Sends the response.
        """
        try:
            _check_supported(resource, request)
            representation = negotiate_representation(request)
            if request.verb == "watch":
                await self._watches.serve(resource, request, receive, send, connection=ClientConnection(scope))
                return
            body = await read_body(receive) if request.method not in ("GET", "HEAD") else b""
            response = to_representation(self._handle(resource, request, body, user), representation)
        except StatusError as exc:
            await send_status(send, exc, request.warnings)
            return
        except Exception:
            if request.verb == "watch":  # the response has started, so it can only end
                raise
            _log.exception("unexpected error in %s %s", scope["method"], scope["path"])
            message = "Internal error occurred: unexpected error in the embedded API server; its log has the traceback"
            await send_status(send, StatusError(500, message, reason="InternalError"))
            return
        code = 201 if request.verb == "create" else 200
        await send_response(send, code, JSON, response, warning_headers(request.warnings))

    def _handle(self, resource: Resource, request: RequestInfo, body: bytes, user: User) -> bytes:
        if resource in REVIEWS:
            return handle_review(self._tokens, self._rules, user, resource, request, body)
        if request.subresource == "scale":
            return handle_scale(self._store, self._writes, resource, request, body)
        if request.subresource == "eviction":
            return self._deletes.evict_pod(resource, request, body)
        if request.subresource not in ("", "status"):
            raise not_implemented(f"{resource.plural}/{request.subresource}")
        match request.verb:
            case "get":
                return get_object(self._store, resource, request)
            case "list":
                return list_objects(self._store, resource, request)
            case "create":
                return self._writes.create(resource, request, body)
            case "update":
                return self._writes.update(resource, request, body)
            case "patch":
                return self._writes.patch(resource, request, body)
            case "delete":
                return self._deletes.delete(resource, request, body)
            case "deletecollection":
                return self._deletes.delete_collection(resource, request, body)
            case _:
                raise method_not_allowed()


def _check_supported(resource: Resource, request: RequestInfo) -> None:
    """Check that a resource has the subresource, the verb and the scope of a request."""
    verbs = resource.verbs_of(request.subresource) if request.subresource else resource.verbs
    if not verbs and resource.is_custom:
        raise not_found(resource.group, resource.plural, request.name)
    if not verbs:
        raise resource_not_found()
    if request.verb not in verbs:
        is_custom = resource.is_custom
        raise verb_not_supported(resource.group, resource.plural, request.verb) if is_custom else method_not_allowed()
    if resource.namespaced and not request.namespace and (request.name or request.verb not in ("list", "watch")):
        raise method_not_allowed()

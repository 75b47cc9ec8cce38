"""The API server: an ASGI app over one in-memory cluster."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.types import Receive, Scope, Send

from signal_gateway.apiserver.apimachinery.objects import JsonObject, encode
from signal_gateway.apiserver.apimachinery.resources import Registry, Resource
from signal_gateway.apiserver.apimachinery.status import (
    StatusError,
    method_not_allowed,
    not_found,
    not_implemented,
    resource_not_found,
    verb_not_supported,
)
from signal_gateway.apiserver.auth.access import Access, Rule, User
from signal_gateway.apiserver.controllers.lifecycle import Lifecycle
from signal_gateway.apiserver.discovery.discovery import discovery_document, is_discovery_path, root_paths
from signal_gateway.apiserver.handlers import reads
from signal_gateway.apiserver.handlers.eviction import evict_pod
from signal_gateway.apiserver.handlers.field_validation import warning_header
from signal_gateway.apiserver.handlers.negotiation import negotiate_representation, to_representation
from signal_gateway.apiserver.handlers.request_info import RequestInfo, parse_request_info, read_body
from signal_gateway.apiserver.handlers.reviews import handle_review
from signal_gateway.apiserver.handlers.scale import handle_scale
from signal_gateway.apiserver.handlers.watch import WatchHandler
from signal_gateway.apiserver.handlers.writes import WriteHandler
from signal_gateway.apiserver.kinds import BUILTIN, INITIAL_NAMESPACES, NAMESPACES, REVIEWS
from signal_gateway.apiserver.storage.store import ObjectStore
from signal_gateway.apiserver.testing.fault_injection import FaultInjection, abort_of
from signal_gateway.apiserver.testing.faults import Faults
from signal_gateway.apiserver.testing.request_log import NO_RESPONSE, LogEntry, RequestLog
from signal_gateway.clock import Clock, SystemClock
from signal_gateway.errors import ApiServerError

__all__ = ["ApiServer", "create_apiserver"]

_log = logging.getLogger(__name__)

_JSON = b"application/json"
_TEXT = b"text/plain; charset=utf-8"


def create_apiserver(
    *,
    crds: Iterable[Mapping[str, Any]] = (),
    clock: Clock = SystemClock(),  # noqa: B008 - a clock without state
    history: int = 1_000,
    tokens: Mapping[str, User] | None = None,
    rules: Iterable[Rule] | None = None,
) -> "ApiServer":
    """Build an API server with an empty cluster of its own.

    The cluster has the namespaces `default`, `kube-system` and `kubernaut-system`. Nothing is listening yet: serve
    the server's `app`.

    Args:
        crds: CustomResourceDefinitions to install.
        clock: For timestamps.
        history: How many changes of each resource a watch can start behind.
        tokens: Users by bearer token; if given, a request needs one.
        rules: What is allowed; if given, nothing else is, but to the group `system:masters`.

    Raises:
        ApiServerError: A definition is refused; the message says why.
    """
    return ApiServer(crds=crds, clock=clock, history=history, access=Access(tokens, rules))


class ApiServer:
    """One embedded Kubernetes API server. Made by `create_apiserver`.

    Requests are answered on the loop that serves `app`, and so must `stop` be called there; `faults` and `log` may
    be used from any thread.

    Attributes:
        faults: Makes requests fail.
        log: The requests that were answered.
    """

    def __init__(self, *, crds: Iterable[Mapping[str, Any]], clock: Clock, history: int, access: Access) -> None:
        self.faults = Faults()
        self.log = RequestLog()
        self._access = access
        self._clock = clock
        self._store = ObjectStore(history=history)
        self._registry = Registry(BUILTIN)
        for resource in BUILTIN:
            self._store.open(resource.key)
        self._writes = WriteHandler(self._store, Lifecycle(self._store, self._registry, clock), clock)
        self._watches = WatchHandler(self._store)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.faults.on_partition(self._cut_watches)
        for name in INITIAL_NAMESPACES:
            self.install({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        for crd in crds:
            self.install(crd)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; the ASGI application."""
        if scope["type"] == "http":
            self._loop = asyncio.get_running_loop()
            await self._respond(scope, receive, send)
        elif scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.stop()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await send({"type": "websocket.close", "code": 1003})

    def stop(self) -> None:
        """End all open watches, so that the server under the app can drain. Call it on the serving loop."""
        self._watches.stop()

    def _cut_watches(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._watches.cut)

    def install(self, object: Mapping[str, Any]) -> JsonObject:
        """Create an object as a strict request would, and return it. Call it on the serving loop.

        Args:
            object: With apiVersion and kind; without a namespace it goes to `default`.

        Raises:
            ApiServerError: Its kind is not served, or it is refused; the message says why.
        """
        api_version, kind = str(object.get("apiVersion", "")), str(object.get("kind", ""))
        name = (object.get("metadata") or {}).get("name", "")
        resource = self._registry.find_kind(api_version, kind)
        if resource is None:
            raise ApiServerError(f'can\'t install {kind} "{name}": {api_version} has no such kind here')
        namespace = (object["metadata"].get("namespace") or "default") if resource.namespaced else ""
        request = RequestInfo(
            method="POST",
            verb="create",
            group=resource.group,
            version=resource.version,
            namespace=namespace,
            plural=resource.plural,
            name="",
            subresource="",
            query={"fieldValidation": "Strict"},
            content_type="application/json",
            accept="",
        )
        try:
            created: JsonObject = orjson.loads(self._writes.create(resource, request, encode(object)))
        except StatusError as exc:
            raise ApiServerError(f'can\'t install {kind} "{name}": {exc.message}') from exc
        return created

    def has_namespace(self, name: str) -> bool:
        """Return whether a namespace is there. Call it on the serving loop."""
        return self._store.get(NAMESPACES.key, "", name) is not None

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = parse_request_info(scope)
        resource = self._registry.find(request.group, request.version, request.plural) if request else None
        try:
            user = self._access.authenticate(_header(scope, b"authorization"))
            if request is not None:
                self._access.authorize(user, request)
            elif not is_discovery_path(scope["path"]):
                self._access.authorize_path(user, scope["method"], scope["path"])
        except StatusError as exc:
            logged = self._logged(request, send) if request is not None else send
            await _send(logged, exc.code, _JSON, encode(exc.to_status()))
            return
        if request is None or resource is None:
            await self._respond_without_resource(scope, send)
            return
        effects = self.faults.strike(request)
        if effects is None:
            await self._carry_out(resource, request, user, scope, receive, self._logged(request, send))
            return
        try:
            disturbance = FaultInjection(effects, scope, send)
            logged = self._logged(request, disturbance.send)
            await disturbance.before()
        except StatusError as exc:
            await _send_error(self._logged(request, send), exc)
            return
        if disturbance.has_dropped:
            self._log(request, NO_RESPONSE)
        else:
            await self._carry_out(resource, request, user, scope, receive, logged)
        await disturbance.end(receive)

    async def _carry_out(
        self, resource: Resource, request: RequestInfo, user: User, scope: Scope, receive: Receive, send: Send
    ) -> None:
        try:
            _check_served(resource, request)
            representation = negotiate_representation(request)
            if request.verb == "watch":
                await self._watches.serve(resource, request, receive, send, abort=abort_of(scope))
                return
            body = await read_body(receive) if request.method not in ("GET", "HEAD") else b""
            code, answer = (201 if request.verb == "create" else 200), self._answer(resource, request, body, user)
            answer = to_representation(answer, representation)
        except StatusError as exc:
            await _send_error(send, exc, request.warnings)
            return
        except Exception:
            if request.verb == "watch":  # the stream has begun: nothing but its end can be sent
                raise
            _log.exception("unexpected error in %s %s", scope["method"], scope["path"])
            message = "Internal error occurred: the embedded API server has a bug; its log has the traceback"
            await _send_error(send, StatusError(500, message, reason="InternalError"))
            return
        await _send(send, code, _JSON, answer, _warnings(request.warnings))

    def _answer(self, resource: Resource, request: RequestInfo, body: bytes, user: User) -> bytes:
        if resource in REVIEWS:
            return handle_review(self._access, user, resource, request, body)
        if request.subresource == "scale":
            return handle_scale(self._store, self._writes, resource, request, body)
        if request.subresource == "eviction":
            return evict_pod(self._writes, resource, request, body)
        if request.subresource not in ("", "status"):
            raise not_implemented(f"{resource.plural}/{request.subresource}")
        match request.verb:
            case "get":
                return reads.get(self._store, resource, request)
            case "list":
                return reads.list_objects(self._store, resource, request)
            case "create":
                return self._writes.create(resource, request, body)
            case "update":
                return self._writes.update(resource, request, body)
            case "patch":
                return self._writes.patch(resource, request, body)
            case "delete":
                return self._writes.delete(resource, request, body)
            case "deletecollection":
                return self._writes.delete_collection(resource, request, body)
            case _:
                raise method_not_allowed()

    def _logged(self, request: RequestInfo, send: Send) -> Send:
        async def send_and_log(message: Any) -> None:
            if message["type"] == "http.response.start":
                self._log(request, message["status"])
            await send(message)

        return send_and_log

    def _log(self, request: RequestInfo, code: int) -> None:
        name = request.name or (request.created[-1] if request.created else "")
        entry = LogEntry(request.verb, request.resource, request.namespace, name, code, self._clock.now())
        self.log.append(entry)

    async def _respond_without_resource(self, scope: Scope, send: Send) -> None:
        path, query = scope["path"], dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        try:
            found = discovery_document(self._registry, path, query, _header(scope, b"host"), _header(scope, b"accept"))
            if found is not None and scope["method"] not in ("GET", "HEAD"):
                raise method_not_allowed()
            if found is None and self._registry.has_builtin_group(path):
                raise resource_not_found()
        except StatusError as exc:
            await _send(send, exc.code, _JSON, encode(exc.to_status()))
            return
        if found is not None:
            await _send(send, 200, found.content_type.encode(), found.body)
        elif path.startswith("/apis/"):  # so answers a real server for a group that it doesn't have
            await _send(send, 404, _TEXT, b"404 page not found\n")
        else:
            await _send(send, 404, _JSON, encode({"paths": root_paths(self._registry)}))


def _header(scope: Scope, name: bytes) -> str:
    value: bytes = dict(scope["headers"]).get(name, b"")
    return value.decode("latin-1")


def _check_served(resource: Resource, request: RequestInfo) -> None:
    """Refuse verbs, subresources and representations that a resource doesn't have."""
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


def _warnings(texts: Iterable[str]) -> list[tuple[bytes, bytes]]:
    return [(b"warning", warning_header(text)) for text in texts]


async def _send_error(send: Send, error: StatusError, warnings: Iterable[str] = ()) -> None:
    headers = _warnings(warnings)
    if error.retry_after is not None:
        headers.append((b"retry-after", str(error.retry_after).encode()))
    await _send(send, error.code, _JSON, encode(error.to_status()), headers)


async def _send(
    send: Send, code: int, content_type: bytes, body: bytes, headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    length = str(len(body)).encode()
    start = [(b"content-type", content_type), (b"content-length", length), *headers]
    await send({"type": "http.response.start", "status": code, "headers": start})
    await send({"type": "http.response.body", "body": body})

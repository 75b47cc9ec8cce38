"""ApiServer: the ASGI application of an embedded Kubernetes API server, over one in-memory cluster."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.types import Message, Receive, Scope, Send

from signal_gateway.apiserver.apimachinery.objects import JsonObject, encode
from signal_gateway.apiserver.apimachinery.resources import Registry
from signal_gateway.apiserver.apimachinery.status import StatusError, method_not_allowed, resource_not_found
from signal_gateway.apiserver.auth.authentication import TokenTable, User
from signal_gateway.apiserver.auth.authorization import Rule, RuleTable
from signal_gateway.apiserver.controllers.cluster_controllers import ClusterControllers
from signal_gateway.apiserver.discovery.discovery import discovery_document, is_discovery_path, root_paths
from signal_gateway.apiserver.handlers.deletes import DeleteHandler
from signal_gateway.apiserver.handlers.request_info import RequestInfo, parse_request_info
from signal_gateway.apiserver.handlers.resource_handler import ResourceHandler
from signal_gateway.apiserver.handlers.responses import (
    JSON,
    PLAIN_TEXT,
    ClientConnection,
    send_response,
    send_status,
)
from signal_gateway.apiserver.handlers.watch import WatchHandler
from signal_gateway.apiserver.handlers.writes import WriteHandler
from signal_gateway.apiserver.kinds import BUILTIN, INITIAL_NAMESPACES, NAMESPACES
from signal_gateway.apiserver.storage.store import ObjectStore
from signal_gateway.apiserver.testing.fault_injection import FaultInjection
from signal_gateway.apiserver.testing.faults import Faults
from signal_gateway.apiserver.testing.request_log import NO_RESPONSE, LogEntry, RequestLog
from signal_gateway.clock import Clock, SystemClock
from signal_gateway.errors import ApiServerError

__all__ = ["ApiServer", "create_apiserver"]


def create_apiserver(
    *,
    crds: Iterable[Mapping[str, Any]] = (),
    clock: Clock = SystemClock(),  # noqa: B008 - a clock without state
    history: int = 1_000,
    tokens: Mapping[str, User] | None = None,
    rules: Iterable[Rule] | None = None,
) -> "ApiServer":
    """Create an API server with an empty cluster.

    The cluster has the namespaces `default`, `kube-system` and `kubernaut-system`. The server does not listen by
    itself: serve its `app` with an ASGI server.

    Args:
        crds: CustomResourceDefinitions to install.
        clock: Source of timestamps.
        history: Number of changes of each resource that a watch can replay.
        tokens: Users by bearer token. If given, every request needs one of the tokens.
        rules: Rules that allow requests. If given, any other request is forbidden, except for the group
            `system:masters`.

    Raises:
        ApiServerError: A definition is rejected; the message contains the reason.
    """
    return ApiServer(crds=crds, clock=clock, history=history, tokens=TokenTable(tokens), rules=RuleTable(rules))


class ApiServer:
    """One embedded Kubernetes API server. Use `create_apiserver` to create it.

    Requests run on the loop that serves `app`; call `stop`, `install` and `has_namespace` on that loop, too. Use
    `faults` and `log` from any thread.

    Attributes:
        faults: Faults to inject into requests.
        log: The newest requests.
    """

    def __init__(
        self,
        *,
        crds: Iterable[Mapping[str, Any]],
        clock: Clock,
        history: int,
        tokens: TokenTable,
        rules: RuleTable,
    ) -> None:
        self._tokens = tokens
        self._rules = rules
        self._clock = clock
        self._store = ObjectStore(history=history)
        self._registry = Registry(BUILTIN)
        for resource in BUILTIN:
            self._store.open(resource.key)
        controllers = ClusterControllers(self._store, self._registry, clock)
        self._writes = WriteHandler(self._store, controllers, clock)
        self._watches = WatchHandler(self._store)
        self._resources = ResourceHandler(
            self._store,
            writes=self._writes,
            deletes=DeleteHandler(self._store, controllers, clock),
            watches=self._watches,
            tokens=tokens,
            rules=rules,
        )
        self.faults = Faults(self._watches)
        self.log = RequestLog()
        for name in INITIAL_NAMESPACES:
            self.install({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        for crd in crds:
            self.install(crd)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope; the ASGI application."""
        if scope["type"] == "http":
            await self._serve_request(scope, receive, send)
        elif scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.stop()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await send({"type": "websocket.close", "code": 1003})

    def stop(self) -> None:
        """End all open watches, so that the HTTP server can drain. Call it on the serving loop."""
        self._watches.stop()

    def install(self, object: Mapping[str, Any]) -> JsonObject:
        """Create an object with strict field validation and return it. Call it on the serving loop.

        Args:
            object: The object with apiVersion and kind; the default namespace is `default`.

        Raises:
            ApiServerError: The kind is not served, or the object is rejected; the message contains the reason.
        """
        api_version, kind = str(object.get("apiVersion", "")), str(object.get("kind", ""))
        name = (object.get("metadata") or {}).get("name", "")
        resource = self._registry.find_kind(api_version, kind)
        if resource is None:
            raise ApiServerError(f'can\'t install {kind} "{name}": the server has no kind {kind} in {api_version}')
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
            created: JsonObject = orjson.loads(self._writes.install(resource, request, encode(object)))
        except StatusError as exc:
            raise ApiServerError(f'can\'t install {kind} "{name}": {exc.message}') from exc
        return created

    def has_namespace(self, name: str) -> bool:
        """Return whether a namespace exists. Call it on the serving loop."""
        return self._store.get(NAMESPACES.key, "", name) is not None

    async def _serve_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = parse_request_info(scope)
        resource = self._registry.find(request.group, request.version, request.plural) if request else None
        try:
            user = self._authorized_user(request, scope)
        except StatusError as exc:
            await send_status(self._logged(request, send) if request is not None else send, exc)
            return
        if request is None or resource is None:
            await self._serve_discovery(scope, send)
            return
        effects = self.faults.effects_on(request)
        if effects is None:
            await self._resources.serve(resource, request, user, scope, receive, self._logged(request, send))
            return
        try:
            injection = FaultInjection(effects, ClientConnection(scope), send)
            await injection.before_request()
        except StatusError as exc:
            await send_status(self._logged(request, send), exc)
            return
        if injection.has_dropped:
            self._log(request, NO_RESPONSE)
        else:
            logged = self._logged(request, injection.send)
            await self._resources.serve(resource, request, user, scope, receive, logged)
        await injection.after_request(receive)

    def _authorized_user(self, request: RequestInfo | None, scope: Scope) -> User:
        """Return the user of a request.

        Raises:
            StatusError: 401 for a missing or unknown token, 403 if no rule allows the request.
        """
        user = self._tokens.authenticate(_header(scope, b"authorization"))
        if request is not None:
            self._rules.authorize(user, request.attributes())
        elif not is_discovery_path(scope["path"]):
            self._rules.authorize_path(user, scope["method"], scope["path"])
        return user

    def _logged(self, request: RequestInfo, send: Send) -> Send:
        async def send_and_log(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._log(request, message["status"])
            await send(message)

        return send_and_log

    def _log(self, request: RequestInfo, code: int) -> None:
        now = self._clock.now()
        entry = LogEntry(request.verb, request.resource, request.namespace, request.object_name, code, now)
        self.log.append(entry)

    async def _serve_discovery(self, scope: Scope, send: Send) -> None:
        path, query = scope["path"], dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        try:
            document = discovery_document(
                self._registry, path, query, _header(scope, b"host"), _header(scope, b"accept")
            )
            if document is not None and scope["method"] not in ("GET", "HEAD"):
                raise method_not_allowed()
            if document is None and self._registry.has_builtin_group(path):
                raise resource_not_found()
        except StatusError as exc:
            await send_status(send, exc)
            return
        if document is not None:
            await send_response(send, 200, document.content_type, document.body)
        elif path.startswith("/apis/"):  # the response of a real server for an unknown group
            await send_response(send, 404, PLAIN_TEXT, b"404 page not found\n")
        else:
            await send_response(send, 404, JSON, encode({"paths": root_paths(self._registry)}))


def _header(scope: Scope, name: bytes) -> str:
    value: bytes = dict(scope["headers"]).get(name, b"")
    return value.decode("latin-1")

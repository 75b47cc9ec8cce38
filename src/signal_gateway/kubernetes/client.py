"""KubernetesClient: the calls of the gateway to a cluster."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, Self
from urllib.parse import quote, urlencode

import orjson

from signal_gateway.clock import Clock, SystemClock
from signal_gateway.kubernetes import discovery
from signal_gateway.kubernetes.connection import Connection, read_config, read_kubeconfig, read_pod
from signal_gateway.kubernetes.discovery import Kind, Kinds
from signal_gateway.kubernetes.errors import CALL_FAILURES, ErrorReply, KubernetesError, classify
from signal_gateway.kubernetes.index import GROUP, KIND, PLURAL, VERSION, RemediationRequestIndex
from signal_gateway.kubernetes.reflector import Reflector

if TYPE_CHECKING:
    import httpx2
    from lightkube import KubeConfig, SingleConfig

__all__ = ["CallObserver", "KubernetesClient"]


_JSON: Final = "application/json"
_MERGE_PATCH: Final = "application/merge-patch+json"
_GET: Final = {"Accept": _JSON}
_CREATE: Final = {"Accept": _JSON, "Content-Type": _JSON}
_PATCH: Final = {"Accept": _JSON, "Content-Type": _MERGE_PATCH}
_METADATA: Final = {"Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, application/json"}
_METADATA_LIST: Final = {"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1, application/json"}
_DISCOVERY: Final = {"Accept": discovery.ACCEPT}
_METHODS: Final = {"create": "POST", "get": "GET", "list": "GET", "patch": "PATCH"}
_PATH_CHARACTERS: Final = "/:@!$&'()*+,;=~"
_CHUNK: Final = 500

_ROOT: Final = f"apis/{GROUP}/{VERSION}"
_REMEDIATION_REQUEST: Final = Kind(KIND, GROUP, VERSION, PLURAL, KIND.lower(), is_namespaced=True)
_NAMESPACE: Final = Kind("Namespace", "", "v1", "namespaces", "namespace", is_namespaced=False)


class CallObserver(Protocol):
    """Observes the calls of a client, such as the metrics of a gateway."""

    def observe_call(self, verb: str, resource: str, code: str) -> None:
        """Observe one call.

        Args:
            verb: Such as `get` or `create`.
            resource: Such as `namespaces` or `remediationrequests/status`.
            code: The HTTP status, such as `200` or `409`; `error` without a valid response.
        """
        ...


class KubernetesClient:
    """A client of one cluster, for one event loop at a time: the loop of its first call, until its last index is left.

    Gateways share a client; its creator closes it. The constructor does no I/O. Objects go in and come out as plain
    dicts in the API's JSON shape. Every call raises only the KubernetesErrors of this package: NotFound,
    AlreadyExists, Conflict, Forbidden, RequestRejected, ApiUnavailable or KubernetesSetupError. The client retries
    nothing.

    Args:
        config: The server and the credentials, as lightkube has them; of a KubeConfig the current context.
        clock: Measures the time since the last sign of life of an index.
        transport: Carries the requests, and is closed with the client; by default a pool of connections.

    Raises:
        KubernetesSetupError: The configuration is not usable.
    """

    def __init__(
        self,
        config: "KubeConfig | SingleConfig",
        *,
        clock: Clock | None = None,
        transport: "httpx2.AsyncBaseTransport | None" = None,
    ) -> None:
        self._config = read_config(config)
        self._clock = clock or SystemClock()
        self._given_transport = transport
        self._connection: Connection | None = None
        self._is_closed = False
        self._reflectors: dict[str, Reflector] = {}

    @classmethod
    def from_kubeconfig(
        cls, path: str | os.PathLike[str], *, context: str | None = None, clock: Clock | None = None
    ) -> Self:
        """Return a client for a kubeconfig file.

        Args:
            path: The file; `~` is expanded.
            context: The name of a context in it; by default the current one.
            clock: Measures the time since the last sign of life of an index.

        Raises:
            KubernetesSetupError: The file or the context is missing or not valid.
        """
        return cls(read_kubeconfig(path, context), clock=clock)

    @classmethod
    def in_cluster(cls, *, clock: Clock | None = None) -> Self:
        """Return a client with the service account of the pod in which this process runs.

        Args:
            clock: Measures the time since the last sign of life of an index.

        Raises:
            KubernetesSetupError: The process does not run in a pod, or the pod has no service account.
        """
        return cls(read_pod(), clock=clock)

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop that the client belongs to; None before its first call."""
        return self._connection.loop if self._connection is not None else None

    @property
    def url(self) -> str:
        """The URL of the API server."""
        return self._config.cluster.server

    def index(
        self, namespace: str, *, sync_timeout: float = 10.0
    ) -> AbstractAsyncContextManager[RemediationRequestIndex]:
        """Use the index of a namespace's RemediationRequests, shared by all its users.

        The first user starts list and watch, every user waits for the first complete list, and the last user stops
        the watch and closes its connection.

        Args:
            namespace: The namespace of the RemediationRequests.
            sync_timeout: The longest wait for the first complete list, in seconds.

        Raises:
            KubernetesSetupError: The namespace or the CRD is missing; the message has the `kubectl` command.
            Forbidden: The client may not get the namespace, or list or watch in it.
            ApiUnavailable: The list was not complete in time; the message has the URL, the namespace and the cause.
        """
        return self._index(namespace, sync_timeout)

    async def create_remediation_request(
        self, manifest: Mapping[str, Any], *, observer: CallObserver | None = None
    ) -> dict[str, Any]:
        """Create a RemediationRequest.

        Args:
            manifest: The whole object, with name and namespace in its metadata.
            observer: Notified of the response.

        Returns:
            The stored object.

        Raises:
            ValueError: The manifest has no namespace.
        """
        namespace = manifest["metadata"].get("namespace")
        if not namespace:
            raise ValueError("the manifest has no metadata.namespace. Set the namespace of the RemediationRequest")
        obj = {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND, **manifest}
        path = f"{_ROOT}/namespaces/{namespace}/{PLURAL}"
        return await self._request("create", PLURAL, path, headers=_CREATE, body=obj, observer=observer)

    async def get_remediation_request(
        self, namespace: str, name: str, *, observer: CallObserver | None = None
    ) -> dict[str, Any]:
        """Read a RemediationRequest.

        Args:
            namespace: Its namespace.
            name: Its name.
            observer: Notified of the response.
        """
        return await self._request("get", PLURAL, _REMEDIATION_REQUEST.object_path(namespace, name), observer=observer)

    async def patch_remediation_request_status(
        self, namespace: str, name: str, patch: Mapping[str, Any], *, observer: CallObserver | None = None
    ) -> dict[str, Any]:
        """Change the status of a RemediationRequest by a merge patch (RFC 7386).

        Args:
            namespace: Its namespace.
            name: Its name.
            patch: The change, such as `{"status": {...}}`; with `metadata.resourceVersion` the call raises Conflict
                if the object changed since that version.
            observer: Notified of the response.

        Returns:
            The stored object.
        """
        path = f"{_REMEDIATION_REQUEST.object_path(namespace, name)}/status"
        return await self._request("patch", f"{PLURAL}/status", path, headers=_PATCH, body=patch, observer=observer)

    async def get_namespace(self, name: str, *, observer: CallObserver | None = None) -> dict[str, Any]:
        """Read a Namespace.

        Args:
            name: Its name.
            observer: Notified of the response.
        """
        return await self._request("get", "namespaces", _NAMESPACE.object_path(None, name), observer=observer)

    async def get_metadata(
        self, kind: Kind, name: str, *, namespace: str | None, observer: CallObserver | None = None
    ) -> dict[str, Any]:
        """Read the metadata of an object of any kind (labels, owners and uid), without the rest of the object.

        Args:
            kind: One of the kinds from `discover`.
            name: The object's name.
            namespace: The object's namespace; ignored for a cluster-scoped kind.
            observer: Notified of the response.

        Returns:
            The object's `metadata`.

        Raises:
            ValueError: The kind is namespaced, and there is no namespace.
        """
        if kind.is_namespaced and not namespace:
            raise ValueError(f"the kind {kind.name} is namespaced. Pass the namespace of {name}")
        path = kind.object_path(namespace, name)
        partial = await self._request("get", kind.plural, path, headers=_METADATA, observer=observer)
        return dict(partial["metadata"])

    async def find_metadata(
        self, kind: Kind, name: str, *, observer: CallObserver | None = None
    ) -> list[dict[str, Any]]:
        """Read the metadata of the objects of a kind with one name, in all namespaces.

        Args:
            kind: One of the kinds from `discover`.
            name: The objects' name.
            observer: Notified of the response.

        Returns:
            The `metadata` of each object.
        """
        parameters = {"fieldSelector": f"metadata.name={name}"}
        path = kind.collection_path()
        found = await self._request(
            "list", kind.plural, path, headers=_METADATA_LIST, parameters=parameters, observer=observer
        )
        return [dict(item["metadata"]) for item in found.get("items") or ()]

    async def get_object(
        self, kind: Kind, name: str, *, namespace: str | None, observer: CallObserver | None = None
    ) -> dict[str, Any]:
        """Read a whole object of any kind.

        Args:
            kind: One of the kinds from `discover`.
            name: The object's name.
            namespace: The object's namespace; ignored for a cluster-scoped kind.
            observer: Notified of the response.
        """
        return await self._request("get", kind.plural, kind.object_path(namespace, name), observer=observer)

    async def list_objects(self, kind: Kind, *, observer: CallObserver | None = None) -> list[dict[str, Any]]:
        """Read all objects of a kind, in chunks.

        Args:
            kind: One of the kinds from `discover`.
            observer: Notified of each response.
        """
        objects: list[dict[str, Any]] = []
        parameters = {"limit": str(_CHUNK)}
        while True:
            found = await self._request(
                "list", kind.plural, kind.collection_path(), parameters=parameters, observer=observer
            )
            objects += found.get("items") or ()
            following = (found.get("metadata") or {}).get("continue")
            if not following:
                return objects
            parameters = {"limit": str(_CHUNK), "continue": following}

    async def discover(self, *, observer: CallObserver | None = None) -> Kinds:
        """Return the kinds that the cluster has now.

        Args:
            observer: Notified of the responses.
        """
        return await discovery.discover_kinds(_ObservedDiscovery(self, observer))

    async def review_token(self, token: str, *, observer: CallObserver | None = None) -> dict[str, Any]:
        """Identify the user of a token, by a TokenReview (authentication.k8s.io/v1).

        Args:
            token: A bearer token.
            observer: Notified of the response.

        Returns:
            The review's `status`: `authenticated`, and `user` with `username`, `uid`, `groups` and `extra`.
        """
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        return await self._review("tokenreviews", review, observer)

    async def review_access(self, spec: Mapping[str, Any], *, observer: CallObserver | None = None) -> dict[str, Any]:
        """Check a permission of a user, by a SubjectAccessReview (authorization.k8s.io/v1).

        Args:
            spec: The review's `spec`: the user (`user`, `groups`, `uid`, `extra`) and the `resourceAttributes`.
            observer: Notified of the response.

        Returns:
            The review's `status`: `allowed`, and `reason`.
        """
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": dict(spec)}
        return await self._review("subjectaccessreviews", review, observer)

    async def ping(self, *, observer: CallObserver | None = None) -> None:
        """Read the API's version: a cheap call that every user may make.

        Args:
            observer: Notified of the response.
        """
        await self._request("get", "version", "version", observer=observer)

    async def aclose(self) -> None:
        """Stop the indexes and close every connection, on the client's own loop. You may call it again.

        Raises:
            KubernetesError: The caller runs on another loop than the calls before.
        """
        if self._is_closed:
            return
        if self._connection is not None:
            self._connect()  # raises on another loop
        self._is_closed = True
        reflectors = list(self._reflectors.values())
        self._reflectors.clear()
        async with AsyncExitStack() as closing:  # last in, first out; an error in one does not stop the others
            if self._given_transport is not None:
                closing.push_async_callback(self._given_transport.aclose)
            closing.push_async_callback(self._disconnect)
            for reflector in reflectors:
                closing.push_async_callback(reflector.stop)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    @asynccontextmanager
    async def _index(self, namespace: str, sync_timeout: float) -> AsyncIterator[RemediationRequestIndex]:
        connection = self._connect()
        reflector = self._reflectors.get(namespace)
        if reflector is None:
            index = RemediationRequestIndex(namespace, clock=self._clock)
            reflector = Reflector(index, url=self.url, transport=connection.transport)
            self._reflectors[namespace] = reflector
        reflector.join()
        try:
            await reflector.wait_synced(sync_timeout)
            yield reflector.index
        finally:
            if reflector.leave():
                if self._reflectors.get(namespace) is reflector:
                    del self._reflectors[namespace]  # before the wait: the next user starts a new one
                await reflector.stop()
                if not self._reflectors:
                    await self._disconnect()

    def _connect(self) -> Connection:
        """Return the connection, opened on the running loop by the first call.

        Raises:
            KubernetesError: The client is closed, or belongs to another loop.
        """
        if self._is_closed:
            raise KubernetesError(f"the client of {self.url} is closed. Create another")
        if self._connection is None:
            self._connection = Connection(self._config, self._given_transport)
        elif self._connection.loop is not asyncio.get_running_loop():
            raise KubernetesError(
                f"the client of {self.url} belongs to the event loop of its first call, and this is another. "
                "Create one client per loop"
            )
        return self._connection

    async def _disconnect(self) -> None:
        """Close every connection; the next call opens new ones, on its own loop."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.aclose()

    async def _review(self, plural: str, review: Mapping[str, Any], observer: CallObserver | None) -> dict[str, Any]:
        path = f"apis/{review['apiVersion']}/{plural}"
        reviewed = await self._request("create", plural, path, headers=_CREATE, body=review, observer=observer)
        return dict(reviewed.get("status") or {})

    async def _request(
        self,
        verb: str,
        resource: str,
        path: str,
        *,
        headers: Mapping[str, str] = _GET,
        body: Mapping[str, Any] | None = None,
        parameters: Mapping[str, str] | None = None,
        observer: CallObserver | None,
    ) -> dict[str, Any]:
        """Send one request and return the JSON object of its response."""
        connection = self._connection
        if connection is None or connection.loop is not asyncio.get_running_loop():
            connection = self._connect()
        target = f"/{quote(path, _PATH_CHARACTERS)}" + (f"?{urlencode(parameters)}" if parameters else "")
        try:
            content = b"" if body is None else orjson.dumps(body)
            reply = await connection.transport.send(_METHODS[verb], target, headers, content)
            if not 200 <= reply.status < 300:
                raise ErrorReply(reply.status, reply.headers, reply.body)
            obj = orjson.loads(reply.body)
            if not isinstance(obj, dict):
                raise TypeError(f"the body is a JSON {type(obj).__name__}, not an object")
        except CALL_FAILURES as exc:
            error = classify(exc, verb, resource)
            if observer is not None:
                observer.observe_call(verb, resource, str(error.status or "error"))
            raise error from exc
        if observer is not None:
            observer.observe_call(verb, resource, str(reply.status))
        return obj


class _ObservedDiscovery:
    """Reads discovery documents by the calls of a client."""

    def __init__(self, client: KubernetesClient, observer: CallObserver | None) -> None:
        self._client = client
        self._observer = observer

    async def get(self, path: str) -> Mapping[str, Any]:
        return await self._client._request("get", "discovery", path, headers=_DISCOVERY, observer=self._observer)

"""KubernetesClient: what the gateway needs of a cluster, and nothing else."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Any, Final, Protocol, Self

import httpx2
from lightkube import AsyncClient, KubeConfig, SingleConfig
from lightkube.types import PatchType

from signal_gateway.clock import Clock, SystemClock
from signal_gateway.kubernetes import discovery
from signal_gateway.kubernetes.connection import (
    lightkube_client,
    make_pool,
    plain_client,
    read_config,
    read_kubeconfig,
    read_pod,
)
from signal_gateway.kubernetes.errors import LIGHTKUBE_FAILURES, KubernetesError, classify
from signal_gateway.kubernetes.index import RemediationRequestIndex
from signal_gateway.kubernetes.kinds import Kind, Kinds
from signal_gateway.kubernetes.remediation_request import PLURAL
from signal_gateway.kubernetes.resources import Namespace, RemediationRequest, RemediationRequestStatus
from signal_gateway.kubernetes.shared_index import SharedIndex
from signal_gateway.kubernetes.watch import follow

__all__ = ["CallObserver", "KubernetesClient"]


_METADATA_ALONE: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, application/json"
_CREATED: Final = "201"
_OK: Final = "200"


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
    """A client of one cluster, for one event loop at a time: that of its first call, until its last index is left.

    Gateways share it; whoever made it closes it. Making one does no I/O but reading what it was given. Objects go
    in and come out as plain dicts in the API's JSON shape. Every call raises nothing but a KubernetesError of this
    room: NotFound, AlreadyExists, Conflict, Forbidden, Refused, Unavailable or KubernetesSetupError. Nothing is
    retried here.

    Args:
        config: How to reach the cluster, as lightkube has it; of a KubeConfig the current context.
        clock: Tells how long the index heard nothing.
        transport: Carries the requests, and is closed with the client; a pool of connections by default.

    Raises:
        KubernetesSetupError: The configuration can't be used.
    """

    def __init__(
        self,
        config: KubeConfig | SingleConfig,
        *,
        clock: Clock | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._config = read_config(config)
        self._clock = clock or SystemClock()
        self._given_transport = transport
        self._pool = transport
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False
        self._lightkube: AsyncClient | None = None
        self._plain: httpx2.AsyncClient | None = None
        self._indexes: dict[str, SharedIndex] = {}

    @classmethod
    def from_kubeconfig(
        cls, path: str | os.PathLike[str], *, context: str | None = None, clock: Clock | None = None
    ) -> Self:
        """Make a client from a kubeconfig file.

        Args:
            path: The file; `~` is expanded.
            context: Which of its contexts; the current one by default.
            clock: Tells how long the index heard nothing.

        Raises:
            KubernetesSetupError: The file or the context is missing or can't be used.
        """
        return cls(read_kubeconfig(path, context), clock=clock)

    @classmethod
    def in_cluster(cls, *, clock: Clock | None = None) -> Self:
        """Make a client from the service account of the pod that this process runs in.

        Args:
            clock: Tells how long the index heard nothing.

        Raises:
            KubernetesSetupError: This is not a pod, or it has no service account.
        """
        return cls(read_pod(), clock=clock)

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop that it belongs to; None before its first call."""
        return self._loop

    @property
    def url(self) -> str:
        """Where the API answers."""
        return self._config.cluster.server

    def index(
        self, namespace: str, *, sync_timeout: float = 10.0
    ) -> AbstractAsyncContextManager[RemediationRequestIndex]:
        """Use the index of a namespace's RemediationRequests, shared with everybody who uses it at the time.

        The first one in starts the list and the watch; everybody waits for the first complete list; the last one
        out stops it, and its connection is closed then.

        Args:
            namespace: Whose RemediationRequests.
            sync_timeout: How long to wait for the first complete list, in seconds.

        Raises:
            KubernetesSetupError: The namespace or the CRD is missing; the message has the `kubectl` line.
            Forbidden: The client may not get the namespace, or list or watch in it.
            Unavailable: There was no complete list in time; the message names the URL, the namespace and the cause.
        """
        return self._index(namespace, sync_timeout)

    async def create_remediation_request(
        self, manifest: Mapping[str, Any], *, observer: CallObserver | None = None
    ) -> dict[str, Any]:
        """Create a RemediationRequest.

        Args:
            manifest: The whole object; its metadata says name and namespace.
            observer: Told of the answer.

        Returns:
            The object as it was stored.

        Raises:
            ValueError: The manifest has no namespace.
        """
        if not manifest["metadata"].get("namespace"):
            raise ValueError("the manifest has no metadata.namespace: say where the RemediationRequest shall live")
        obj: RemediationRequest = RemediationRequest.from_dict(dict(manifest))
        return await self._call("create", PLURAL, lambda api: api.create(obj), observer)

    async def get_remediation_request(
        self, namespace: str, name: str, *, observer: CallObserver | None = None
    ) -> dict[str, Any]:
        """Read a RemediationRequest.

        Args:
            namespace: Where it lives.
            name: What it is called.
            observer: Told of the answer.
        """
        return await self._call(
            "get", PLURAL, lambda api: api.get(RemediationRequest, name, namespace=namespace), observer
        )

    async def patch_remediation_request_status(
        self, namespace: str, name: str, patch: Mapping[str, Any], *, observer: CallObserver | None = None
    ) -> dict[str, Any]:
        """Change the status of a RemediationRequest by a merge patch (RFC 7386).

        Args:
            namespace: Where it lives.
            name: What it is called.
            patch: What to change, such as `{"status": {...}}`; with `metadata.resourceVersion` it is a Conflict
                if the object changed since.
            observer: Told of the answer.

        Returns:
            The object as it was stored.
        """
        return await self._call(
            "patch",
            f"{PLURAL}/status",
            lambda api: api.patch(
                RemediationRequestStatus, name, dict(patch), namespace=namespace, patch_type=PatchType.MERGE
            ),
            observer,
        )

    async def get_namespace(self, name: str, *, observer: CallObserver | None = None) -> dict[str, Any]:
        """Read a Namespace.

        Args:
            name: What it is called.
            observer: Told of the answer.
        """
        return await self._call("get", "namespaces", lambda api: api.get(Namespace, name), observer)

    async def get_metadata(
        self, kind: Kind, name: str, *, namespace: str | None, observer: CallObserver | None = None
    ) -> dict[str, Any]:
        """Read the metadata of an object of any kind: labels, owners and uid, and nothing of what is in it.

        Args:
            kind: One of `discover`.
            name: What it is called.
            namespace: Where it lives; passed over for a cluster-scoped kind.
            observer: Told of the answer.

        Returns:
            The object's `metadata`.

        Raises:
            ValueError: The kind is namespaced, and there is no namespace.
        """
        if kind.is_namespaced and not namespace:
            raise ValueError(f"a {kind.name} lives in a namespace: say in which")
        answer = await self._plainly(
            "get", kind.plural, kind.path(namespace, name), accept=_METADATA_ALONE, observer=observer
        )
        return dict(answer["metadata"])

    async def discover(self, *, observer: CallObserver | None = None) -> Kinds:
        """Ask which kinds the cluster has now.

        Args:
            observer: Told of the answers.
        """

        async def get(path: str) -> Mapping[str, Any]:
            return await self._plainly("get", "discovery", path, accept=discovery.ACCEPT, observer=observer)

        return await discovery.discover(get)

    async def review_token(self, token: str, *, observer: CallObserver | None = None) -> dict[str, Any]:
        """Ask whose token it is, by a TokenReview (authentication.k8s.io/v1).

        Args:
            token: A bearer token.
            observer: Told of the answer.

        Returns:
            The review's `status`: `authenticated`, and `user` with `username`, `uid`, `groups` and `extra`.
        """
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        return await self._review("authentication.k8s.io/v1", "tokenreviews", review, observer)

    async def review_access(self, spec: Mapping[str, Any], *, observer: CallObserver | None = None) -> dict[str, Any]:
        """Ask whether somebody may do something, by a SubjectAccessReview (authorization.k8s.io/v1).

        Args:
            spec: The review's `spec`: who (`user`, `groups`, `uid`, `extra`) and what (`resourceAttributes`).
            observer: Told of the answer.

        Returns:
            The review's `status`: `allowed`, and why.
        """
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": dict(spec)}
        return await self._review("authorization.k8s.io/v1", "subjectaccessreviews", review, observer)

    async def ping(self, *, observer: CallObserver | None = None) -> None:
        """Ask for the API's version: cheap, and allowed to everybody.

        Args:
            observer: Told of the answer.
        """
        await self._plainly("get", "version", "version", observer=observer)

    async def aclose(self) -> None:
        """Stop the indexes and close every connection; on the client's own loop, and again is fine.

        Raises:
            KubernetesError: It was called on another loop than the calls.
        """
        if self._is_closed:
            return
        if self._loop is not None:
            self._claim_loop()
        self._is_closed = True
        indexes = list(self._indexes.values())
        self._indexes.clear()
        async with AsyncExitStack() as closing:  # last in, first out; each is closed whatever became of the others
            if self._given_transport is not None:
                closing.push_async_callback(self._given_transport.aclose)
            closing.push_async_callback(self._hang_up)
            for shared in indexes:
                closing.push_async_callback(shared.stop)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    @asynccontextmanager
    async def _index(self, namespace: str, sync_timeout: float) -> AsyncIterator[RemediationRequestIndex]:
        self._claim_loop()
        shared = self._indexes.get(namespace)
        if shared is None:
            shared = self._indexes[namespace] = self._start_index(namespace)
        shared.users += 1
        try:
            await shared.wait_synced(sync_timeout, url=self.url)
            yield shared.index
        finally:
            shared.users -= 1
            if shared.users == 0:
                if self._indexes.get(namespace) is shared:
                    del self._indexes[namespace]  # before the wait: whoever comes now starts afresh
                await shared.stop()
                if not self._indexes:
                    await self._hang_up()

    async def _hang_up(self) -> None:
        """Close every connection and belong to no loop; the next call makes new ones, on its own loop."""
        async with AsyncExitStack() as closing:  # each is closed whatever became of the others
            if self._pool is not None and self._pool is not self._given_transport:
                closing.push_async_callback(self._pool.aclose)
            if self._lightkube is not None:
                closing.push_async_callback(self._lightkube.close)
            if self._plain is not None:
                closing.push_async_callback(self._plain.aclose)
            self._pool, self._lightkube, self._plain = self._given_transport, None, None
            self._loop = None

    def _start_index(self, namespace: str) -> SharedIndex:
        index = RemediationRequestIndex(namespace, clock=self._clock)
        pool = self._transport()
        return SharedIndex(index, lambda on_synced: follow(index, config=self._config, pool=pool, on_synced=on_synced))

    async def _call(
        self,
        verb: str,
        resource: str,
        call: Callable[[AsyncClient], Awaitable[Mapping[str, Any]]],
        observer: CallObserver | None,
    ) -> dict[str, Any]:
        self._claim_loop()
        api = self._lightkube = self._lightkube or lightkube_client(self._config, self._transport())
        return await self._observed(verb, resource, partial(call, api), observer)

    async def _review(
        self, api_version: str, plural: str, review: Mapping[str, Any], observer: CallObserver | None
    ) -> dict[str, Any]:
        answer = await self._plainly("create", plural, f"apis/{api_version}/{plural}", body=review, observer=observer)
        return dict(answer.get("status") or {})

    async def _plainly(
        self,
        verb: str,
        resource: str,
        path: str,
        *,
        accept: str = "application/json",
        body: Mapping[str, Any] | None = None,
        observer: CallObserver | None,
    ) -> dict[str, Any]:
        """Ask at a path that lightkube has no resource for; with a body it is a create."""
        self._claim_loop()
        plain = self._plain = self._plain or plain_client(self._config, self._transport())

        async def ask() -> dict[str, Any]:
            method = "GET" if body is None else "POST"
            response = await plain.request(method, path, headers={"Accept": accept}, json=body)
            response.raise_for_status()
            return dict(response.json())

        return await self._observed(verb, resource, ask, observer)

    async def _observed(
        self, verb: str, resource: str, call: Callable[[], Awaitable[Mapping[str, Any]]], observer: CallObserver | None
    ) -> dict[str, Any]:
        try:
            answer = dict(await call())
        except LIGHTKUBE_FAILURES as exc:
            error = classify(exc, verb, resource)
            if observer is not None:
                observer.observe_call(verb, resource, str(error.status or "error"))
            raise error from exc
        if observer is not None:
            # lightkube keeps the status of a success to itself, but the API's conventions leave no choice
            observer.observe_call(verb, resource, _CREATED if verb == "create" else _OK)
        return answer

    def _transport(self) -> httpx2.AsyncBaseTransport:
        if self._pool is None:
            self._pool = make_pool(self._config)
        return self._pool

    def _claim_loop(self) -> None:
        """Bind this client to the running loop, or refuse if it is bound to another or closed."""
        loop = asyncio.get_running_loop()
        if self._is_closed:
            raise KubernetesError(f"the client of {self.url} is closed: make another")
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise KubernetesError(
                f"the client of {self.url} belongs to the event loop of its first call, and this is another: "
                "make one client per loop"
            )

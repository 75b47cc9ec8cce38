"""create_gateway(): the only way to build a gateway, for production and for tests."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any, Final, Literal, Self

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import Route

from signal_gateway.audit.event import AuditEvent
from signal_gateway.audit.stats import AuditStore
from signal_gateway.clock import Clock, SystemClock
from signal_gateway.errors import GatewayError
from signal_gateway.gateway.audit.recorder import Journal
from signal_gateway.gateway.config import GatewayConfig
from signal_gateway.gateway.http.activity import Activity
from signal_gateway.gateway.http.admission import Room
from signal_gateway.gateway.http.authentication import Authenticator
from signal_gateway.gateway.http.endpoint import SignalEndpoint, signal_route
from signal_gateway.gateway.http.health import health_routes
from signal_gateway.gateway.http.middleware import gateway_middleware, management_middleware
from signal_gateway.gateway.http.openapi import description_route
from signal_gateway.gateway.metrics import GatewayMetrics
from signal_gateway.gateway.remediation.requests import ClusterView
from signal_gateway.gateway.remediation.triage import Triage
from signal_gateway.gateway.resilience.breaker import CircuitBreaker
from signal_gateway.gateway.resilience.calls import ApiCalls
from signal_gateway.gateway.resilience.retry import retrying
from signal_gateway.gateway.signals.adapter import Adapter
from signal_gateway.gateway.signals.registry import all_adapters
from signal_gateway.gateway.targets.discovery_cache import KnownKinds
from signal_gateway.gateway.targets.object_cache import ObjectLookup
from signal_gateway.gateway.targets.resolver import TargetLocator
from signal_gateway.gateway.targets.scope import Scope
from signal_gateway.kubernetes import Kind, KubernetesClient, RemediationRequestIndex
from signal_gateway.web.problem import problem_handlers

__all__ = ["Gateway", "create_gateway"]

_log = logging.getLogger(__name__)

_STOP_GRACE = 2.0
_DISCOVERY_TIMEOUT: Final = 10.0
_WHY_NOT_SERVING = {
    "new": "The gateway has not been started: its ASGI lifespan did not run. Serve its app with the lifespan on, "
    "pass the lifespan on where the app is mounted, or use `async with gateway`.",
    "starting": "The gateway is starting.",
    "started": None,
    "stopping": "The gateway is stopping.",
    "stopped": "The gateway has been stopped.",
}

_State = Literal["new", "starting", "started", "stopping", "stopped"]


def create_gateway(
    config: GatewayConfig,
    *,
    kubernetes: KubernetesClient,
    audit_store: AuditStore,
    registry: CollectorRegistry | None = None,
    clock: Clock | None = None,
    adapters: Sequence[Adapter] = (),
    authenticator: Authenticator | None = None,
    separate_management: bool = False,
) -> "Gateway":
    """Build a gateway; nothing is started, and nothing connects, before its lifespan runs.

    Args:
        config: Its settings.
        kubernetes: The client it works through. Whoever made it closes it.
        audit_store: Where its audit events go: shared by all gateways of a process. Whoever made it closes it.
        registry: Where its metrics are registered; a fresh one by default. Two gateways cannot share one.
        clock: What time it is; the machine's by default.
        adapters: Sources of your own, beside Alertmanager and Kubernetes Events.
        authenticator: Tells who a sender of signals is and whether it may send them, such as a `TokenAuthenticator` or
            a `KubernetesAuthenticator`; by default nobody is asked.
        separate_management: Whether `/healthz`, `/readyz` and `/metrics` are left to `management_app`, which is to be
            served where senders of signals do not come.

    Raises:
        TypeError: `audit_store` is not an audit store.
        ValueError: The registry already has a gateway's metrics, or two adapters have the same name.
    """
    if not callable(getattr(audit_store, "record", None)) or not hasattr(audit_store, "accepting"):
        raise TypeError(
            f"audit_store must have `record` and `accepting`, and {audit_store!r} has not: pass the process's "
            "BufferedAuditStore, or a RecordingAuditStore in a unit test; a gateway never makes a store of its own"
        )
    return Gateway(
        config,
        kubernetes=kubernetes,
        audit_store=audit_store,
        registry=CollectorRegistry() if registry is None else registry,
        clock=SystemClock() if clock is None else clock,
        adapters=adapters,
        authenticator=authenticator,
        separate_management=separate_management,
    )


class Gateway:
    """One gateway, made by `create_gateway`; it can be started once, and then be stopped.

    Its ASGI app's lifespan and `async with gateway` do the same. All of it runs on the loop that starts it.

    Attributes:
        app: The ASGI application: signals, what `/openapi.json` says about them, and unless management is separate all
            that `management_app` serves, too.
        management_app: The ASGI application with `/healthz`, `/readyz` and `/metrics`. It has no lifespan: it answers
            before the gateway's start and after its stop, too.
        config: The settings.
        kubernetes: The client, not owned.
        audit_store: The audit store, not owned.
        registry: The registry of its metrics, and of nobody else's.
        metrics: Its metrics.
        clock: Its clock.
    """

    def __init__(
        self,
        config: GatewayConfig,
        *,
        kubernetes: KubernetesClient,
        audit_store: AuditStore,
        registry: CollectorRegistry,
        clock: Clock,
        adapters: Sequence[Adapter],
        authenticator: Authenticator | None,
        separate_management: bool,
    ) -> None:
        self.config = config
        self.kubernetes = kubernetes
        self.audit_store = audit_store
        self.registry = registry
        self.clock = clock
        self.metrics = GatewayMetrics(registry)
        self._authenticator = authenticator
        self._state: _State = "new"
        self._is_shutting_down = False
        self._activity = Activity()
        self._journal = Journal(audit_store, metrics=self.metrics)
        self._index: RemediationRequestIndex | None = None
        self._open_index: AbstractAsyncContextManager[RemediationRequestIndex] | None = None
        self._kinds = KnownKinds(
            lambda: kubernetes.discover(observer=self.metrics.count_kubernetes_request),
            clock=clock,
            spawn=self._activity.spawn,
        )
        room = Room(config.processing.max_body_bytes)
        self._endpoints = [
            SignalEndpoint(
                adapter,
                activity=self._activity,
                clock=clock,
                request_deadline=config.processing.request_deadline,
                room=room,
            )
            for adapter in all_adapters(config.processing, adapters, discovery=self._kinds)
        ]
        health = health_routes(
            registry=self.registry,
            kubernetes=self.kubernetes,
            audit_store=self.audit_store,
            why_not_ready=self._why_not_ready,
            index_is_alive=lambda: self._index is not None and self._index.is_alive,
            observer=self.metrics.count_kubernetes_request,
        )
        self.management_app = self._build_management_app(health)
        self.app = self._build_app([] if separate_management else health)

    @property
    def recent_events(self) -> tuple[AuditEvent, ...]:
        """The newest audit events that the store took from this gateway, oldest first."""
        return tuple(self._journal.recent)

    async def start(self) -> None:
        """Wait until the index of RemediationRequests is complete, then serve.

        Raises:
            GatewayError: It was started before.
            KubernetesError: The cluster does not answer, or lacks the namespace or the CRD.
        """
        if self._state != "new":
            raise GatewayError(f"a gateway can be started once, and this one is {self._state}: create another one")
        self._state = "starting"
        open_index = self.kubernetes.index(self.config.controller_namespace)
        try:
            index = await open_index.__aenter__()
        except BaseException:
            self._state = "stopped"
            raise
        self._open_index = open_index
        try:
            await retrying(
                self._kinds.load,
                config=self.config.processing.retry,
                deadline=asyncio.get_running_loop().time() + _DISCOVERY_TIMEOUT,
            )
        except BaseException:
            await self._leave_index()
            raise
        self._index = index
        triage = self._make_triage(index)
        for endpoint in self._endpoints:
            endpoint.triage = triage
        self._state = "started"

    async def stop(self) -> None:
        """Take no further requests, let what was begun finish within a short grace, and let go of the index.

        Does nothing if the gateway does not run. The client and the store stay open.
        """
        if self._state != "started" or self._open_index is None:
            return
        self._state = "stopping"
        try:
            await self._activity.end(grace=_STOP_GRACE)
        finally:
            await self._leave_index()

    def announce_shutdown(self) -> None:
        """Let `/readyz` say no from now on, while signals are still taken: nobody should send more of them here."""
        self._is_shutting_down = True

    async def settle(self) -> None:
        """Return as soon as no request is in flight and no background write is left; runs on the gateway's loop."""
        await self._activity.settle()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def _leave_index(self) -> None:
        assert self._open_index is not None, "it was entered"
        try:
            await self._open_index.__aexit__(None, None, None)
        finally:
            self._index = self._open_index = None
            self._state = "stopped"

    def _make_triage(self, index: RemediationRequestIndex) -> Triage:
        processing, observer = self.config.processing, self.metrics.count_kubernetes_request
        breaker = CircuitBreaker(processing.breaker, clock=self.clock, on_change=self.metrics.note_breaker_state)
        calls = ApiCalls(retry=processing.retry, breaker=breaker, clock=self.clock)

        async def read(kind: Kind, name: str, namespace: str | None) -> Mapping[str, Any]:
            return await calls.once(
                lambda: self.kubernetes.get_metadata(kind, name, namespace=namespace, observer=observer)
            )

        lookup = ObjectLookup(read, max_age=processing.cache_max_age, clock=self.clock, spawn=self._activity.spawn)
        view = ClusterView(
            kubernetes=self.kubernetes,
            index=index,
            namespace=index.namespace,
            namespace_uid=index.namespace_uid,
            calls=calls,
            observer=observer,
        )
        return Triage(
            view,
            locator=TargetLocator(lookup, kinds=self._kinds.kinds, note=self.metrics.count_owner_resolution),
            scope=Scope(lookup) if processing.scope.enabled else None,
            journal=self._journal,
            metrics=self.metrics,
            clock=self.clock,
            spawn=self._activity.spawn,
        )

    def _why_not_serving(self) -> str | None:
        return _WHY_NOT_SERVING[self._state]

    def _why_not_ready(self) -> str | None:
        return self._why_not_serving() or ("The gateway is shutting down." if self._is_shutting_down else None)

    def _build_app(self, health: Sequence[Route]) -> Starlette:
        description = description_route(
            [endpoint.adapter for endpoint in self._endpoints],
            has_authenticator=self._authenticator is not None,
            has_management=bool(health),
        )
        routes = [*map(signal_route, self._endpoints), *health, description]
        app = Starlette(
            routes=routes,
            middleware=gateway_middleware(
                activity=self._activity,
                metrics=self.metrics,
                clock=self.clock,
                why_not_serving=self._why_not_serving,
                authenticator=self._authenticator,
                request_deadline=self.config.processing.request_deadline,
                max_concurrent_requests=self.config.processing.max_concurrent_requests,
                max_body_bytes=self.config.processing.max_body_bytes,
                paths={route.path for route in routes},
            ),
            exception_handlers=problem_handlers(),
            lifespan=self._lifespan,
        )
        app.router.redirect_slashes = False
        return app

    def _build_management_app(self, health: Sequence[Route]) -> Starlette:
        app = Starlette(
            routes=health,
            middleware=management_middleware(
                activity=self._activity,
                metrics=self.metrics,
                clock=self.clock,
                paths={route.path for route in health},
            ),
            exception_handlers=problem_handlers(),
        )
        app.router.redirect_slashes = False
        return app

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        async with self:
            yield

"""create_gateway(): builds a gateway, for production and for tests."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Final, Self

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route
from starlette.types import StatelessLifespan

from signal_gateway.audit.event import AuditEvent
from signal_gateway.audit.recorded_ids import RecordedIds
from signal_gateway.audit.stats import AuditStore
from signal_gateway.clock import Clock, SystemClock
from signal_gateway.gateway.config import GatewayConfig
from signal_gateway.gateway.http.authentication import Authenticator
from signal_gateway.gateway.metrics import GatewayMetrics
from signal_gateway.gateway.signals.adapter import Adapter
from signal_gateway.gateway.wiring import build_pipeline
from signal_gateway.kubernetes import KubernetesClient
from signal_gateway.web.problem import problem_handlers

__all__ = ["Gateway", "create_gateway"]

_STOP_GRACE: Final = 2.0
_DISCOVERY_TIMEOUT: Final = 10.0


def create_gateway(
    config: GatewayConfig,
    *,
    kubernetes: KubernetesClient,
    audit_store: AuditStore,
    registry: CollectorRegistry | None = None,
    metrics: GatewayMetrics | None = None,
    clock: Clock | None = None,
    adapters: Sequence[Adapter] = (),
    authenticator: Authenticator | None = None,
    separate_management: bool = False,
) -> "Gateway":
    """Build a gateway. Nothing starts or connects before its lifespan runs.

    Args:
        config: The settings.
        kubernetes: The client of the cluster. You close it.
        audit_store: The audit store, shared by all gateways of a process. You close it.
        registry: The registry of the metrics; a new one by default. Two gateways cannot share one.
        metrics: The metrics, if your authenticator counts its calls on them, too; made on the registry by default.
        clock: The clock; the system clock by default.
        adapters: Adapters for further sources, beside Alertmanager and Kubernetes Events.
        authenticator: Authenticates the senders of signals, such as a `TokenAuthenticator` or a
            `KubernetesAuthenticator`; by default every sender is accepted.
        separate_management: Whether only `management_app` serves `/healthz`, `/readyz` and `/metrics`, so that you can
            serve them on an address that senders of signals cannot reach.

    Raises:
        TypeError: `audit_store` is not an audit store.
        ValueError: The registry has the metrics of a gateway already, or two adapters have the same name.
    """
    if not callable(getattr(audit_store, "record", None)) or not hasattr(audit_store, "accepting"):
        raise TypeError(
            f"audit_store must have `record` and `accepting`, and {audit_store!r} has not: pass the "
            "BufferedAuditStore of the process, or a RecordingAuditStore in a unit test"
        )
    registry = CollectorRegistry() if registry is None else registry
    return Gateway(
        config,
        kubernetes=kubernetes,
        audit_store=audit_store,
        registry=registry,
        metrics=GatewayMetrics(registry) if metrics is None else metrics,
        clock=SystemClock() if clock is None else clock,
        adapters=adapters,
        authenticator=authenticator,
        separate_management=separate_management,
    )


class Gateway:
    """One gateway, made by `create_gateway`. It can be started and stopped once.

    The lifespan of its ASGI application and `async with gateway` do the same. A gateway belongs to the event loop that
    starts it.

    Attributes:
        app: The ASGI application: the routes for signals, `/openapi.json`, and unless management is separate, the
            routes of `management_app`.
        management_app: The ASGI application with `/healthz`, `/readyz` and `/metrics`. It has no lifespan: it responds
            before the start and after the stop of the gateway, too.
        config: The settings.
        kubernetes: The client, not owned.
        audit_store: The audit store, not owned.
        registry: The registry of its metrics.
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
        metrics: GatewayMetrics,
        clock: Clock,
        adapters: Sequence[Adapter],
        authenticator: Authenticator | None,
        separate_management: bool,
    ) -> None:
        self.config = config
        self.kubernetes = kubernetes
        self.audit_store = audit_store
        self.registry = registry
        self.metrics = metrics
        self.clock = clock
        self._pipeline = build_pipeline(
            config,
            kubernetes=kubernetes,
            audit_store=audit_store,
            registry=registry,
            metrics=metrics,
            clock=clock,
            adapters=adapters,
            authenticator=authenticator,
            separate_management=separate_management,
        )
        self.app = _application(self._pipeline.routes, self._pipeline.middleware, lifespan=self._lifespan)
        self.management_app = _application(self._pipeline.management_routes, self._pipeline.management_middleware)

    @property
    def recent_events(self) -> tuple[AuditEvent, ...]:
        """The newest audit events that this gateway recorded, oldest first."""
        return tuple(self._pipeline.recorder.recent)

    def keep_recorded_ids(self) -> RecordedIds:
        """Note the ids of all events that this gateway records from now on, for an `AuditTrail` of this gateway alone.

        The ids take 16 bytes for each event, so a gateway in production does not keep them.
        """
        recorder = self._pipeline.recorder
        if recorder.recorded is None:
            recorder.recorded = RecordedIds()
        return recorder.recorded

    async def start(self) -> None:
        """Wait until the index of RemediationRequests is complete, then accept signals.

        Raises:
            GatewayError: The gateway was started before.
            KubernetesError: The API is not available, or lacks the namespace or the CRD.
        """
        pipeline = self._pipeline
        pipeline.lifecycle.begin_start()
        try:
            await pipeline.requests.open()
            await pipeline.startup_calls.call(
                pipeline.discovery.load, deadline=asyncio.get_running_loop().time() + _DISCOVERY_TIMEOUT
            )
        except BaseException:
            await self._close()
            raise
        pipeline.lifecycle.complete_start()

    async def stop(self) -> None:
        """Stop accepting signals, wait a short time for the work in progress, and release the index.

        Does nothing unless the gateway is started. The client and the store stay open.
        """
        if not self._pipeline.lifecycle.begin_stop():
            return
        try:
            await self._pipeline.tasks.end(grace=_STOP_GRACE)
        finally:
            await self._close()

    def announce_shutdown(self) -> None:
        """Make `/readyz` respond with 503 from now on. The gateway still accepts signals."""
        self._pipeline.lifecycle.announce_shutdown()

    async def settle(self) -> None:
        """Wait until no request is in flight and no background work is left. Call it on the gateway's loop."""
        await self._pipeline.tasks.settle()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def _close(self) -> None:
        try:
            await self._pipeline.requests.close()
        finally:
            self._pipeline.lifecycle.complete_stop()

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        async with self:
            yield


def _application(
    routes: Sequence[Route],
    middleware: Sequence[Middleware],
    *,
    lifespan: StatelessLifespan[Starlette] | None = None,
) -> Starlette:
    app = Starlette(routes=routes, middleware=middleware, exception_handlers=problem_handlers(), lifespan=lifespan)
    app.router.redirect_slashes = False
    return app

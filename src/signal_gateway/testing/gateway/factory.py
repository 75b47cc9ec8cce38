"""Factories: create the live gateways and live services of one test, and stop them at its end."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import httpx
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from signal_gateway.audit.stats import AuditStore, FlushResult
from signal_gateway.audit.store import BufferedAuditStore
from signal_gateway.audit.trail import AuditTrail
from signal_gateway.clock import Clock, MovableClock
from signal_gateway.errors import HarnessError
from signal_gateway.gateway.config import GatewayConfig, merged
from signal_gateway.gateway.factory import create_gateway
from signal_gateway.gateway.http.authentication import Authenticator
from signal_gateway.gateway.signals import Adapter
from signal_gateway.kubernetes import KubernetesClient
from signal_gateway.testing.cluster.cluster import Cluster
from signal_gateway.testing.gateway.live import LiveGateway
from signal_gateway.testing.runtime.host import ServerHost
from signal_gateway.testing.runtime.metrics import MetricsView
from signal_gateway.testing.runtime.server import LiveServer

__all__ = ["GatewayFactory", "LiveService", "ServiceFactory"]

AppFactory = Callable[[CollectorRegistry, AuditStore], ASGIApp]


class GatewayFactory:
    """Creates live gateways: `factory(processing={"retry": {"max_attempts": 1}})`.

    Attributes:
        created: The gateways of this factory, oldest first.

    Args:
        host: The host of the servers.
        config: The default settings.
        cluster: The default cluster.
        audit_store: The default audit store.
        overrides: Settings that override `config`, in rising precedence, such as those of a marker.
    """

    def __init__(
        self,
        host: ServerHost,
        *,
        config: GatewayConfig,
        cluster: Cluster,
        audit_store: AuditStore,
        overrides: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._host = host
        self._audit_store = audit_store
        self._cluster = cluster
        self._kubernetes: dict[Cluster, KubernetesClient] = {}
        self._stack = ExitStack()
        self.created: list[LiveGateway] = []
        self._config = config
        for override in overrides:
            self._config = merged(self._config, override)

    def __call__(
        self,
        config: GatewayConfig | None = None,
        *,
        cluster: Cluster | None = None,
        audit_store: AuditStore | None = None,
        clock: Clock | None = None,
        adapters: Sequence[Adapter] = (),
        authenticator: Authenticator | None = None,
        **overrides: Any,
    ) -> LiveGateway:
        """Create a gateway and serve it until the end of the test.

        Args:
            config: Settings to use instead of the default settings.
            cluster: A cluster to use instead of the default cluster.
            audit_store: An audit store to use instead of the default store.
            clock: The clock. Default: a new `MovableClock` that runs with the machine.
            adapters: Adapters for your own sources.
            authenticator: Authenticates the senders. Default: senders need no credentials.
            **overrides: Settings by key, merged deeply into `config` and validated again.

        Raises:
            ConfigurationError: A setting is wrong. The message names the setting and the allowed values.
        """
        cluster = cluster or self._cluster
        config = config or self._config
        if config.controller_namespace == GatewayConfig().controller_namespace:
            config = merged(config, {"controller_namespace": cluster.namespace})
        gateway = create_gateway(
            merged(config, overrides),
            kubernetes=self._client_for(cluster),
            audit_store=audit_store or self._audit_store,
            clock=MovableClock() if clock is None else clock,
            adapters=adapters,
            authenticator=authenticator,
        )
        self._host.register()
        live = LiveGateway(
            gateway,
            cluster=cluster,
            startup_timeout=self._host.startup_timeout,
            stop_grace=self._host.stop_grace,
            settle_timeout=self._host.settle_timeout,
        )
        self._stack.enter_context(live)
        self.created.append(live)
        return live

    def close(self) -> None:
        """Stop all gateways, the newest first, and release their Kubernetes clients."""
        self._stack.close()

    def _client_for(self, cluster: Cluster) -> KubernetesClient:
        if cluster not in self._kubernetes:
            client = self._kubernetes[cluster] = cluster.client()
            self._stack.callback(cluster.release, client)  # a cluster may live for the whole session
        return self._kubernetes[cluster]


class LiveService:
    """Your own service on a real socket, with the same rules as a live gateway.

    Attributes:
        server: The server.
        registry: The metrics registry that was passed to your app factory; None if you passed an application.
        audit_trail: Exact queries over the events of the audit store.
    """

    def __init__(self, server: LiveServer, *, registry: CollectorRegistry | None, audit_trail: AuditTrail) -> None:
        self.server = server
        self.registry = registry
        self.audit_trail = audit_trail
        self.url = server.url
        self.app = server.app

    @property
    def client(self) -> httpx.Client:
        """A client with the service as its base URL."""
        return self.server.client

    @property
    def async_client(self) -> httpx.AsyncClient:
        """A client with the service as its base URL, for tests on any loop."""
        return self.server.async_client

    @property
    def metrics(self) -> MetricsView:
        """The metrics of the service, by name and labels.

        Raises:
            HarnessError: The registry is not known: you passed an application, not an app factory.
        """
        if self.registry is None:
            raise HarnessError(
                "the metrics registry of the application is not known: serve a callable (registry, audit_store) -> app"
            )
        return MetricsView(self.registry)


class ServiceFactory:
    """Serves ASGI applications, and app factories `(registry, audit_store) -> app`.

    Attributes:
        created: The services of this factory, oldest first.

    Args:
        host: The host of the servers.
        audit_store: The audit store of the process.
    """

    def __init__(self, host: ServerHost, *, audit_store: BufferedAuditStore) -> None:
        self._host = host
        self._audit_store = audit_store
        self._stack = ExitStack()
        self.created: list[LiveService] = []

    def __call__(self, app: ASGIApp | AppFactory) -> LiveService:
        """Serve an application until the end of the test.

        Args:
            app: An ASGI application, or a callable that creates one from a new registry and the audit store.

        Raises:
            Exception: The start-up of the application failed with this exception.
        """
        store = self._audit_store
        registry: CollectorRegistry | None = None
        if _is_app_factory(app):
            registry = CollectorRegistry()
            app = app(registry, store)  # type: ignore[call-arg, arg-type, assignment]
        self._host.register()
        server = LiveServer(
            app,  # type: ignore[arg-type]
            name="service",
            websockets=True,
            startup_timeout=self._host.startup_timeout,
            stop_grace=self._host.stop_grace,
        )
        self._stack.enter_context(server)

        def barrier(timeout: float) -> FlushResult:
            server.wait_until_idle(timeout)
            return store.flush(timeout=timeout)

        service = LiveService(
            server,
            registry=registry,
            audit_trail=AuditTrail(store.client, barrier=barrier, timeout=self._host.settle_timeout),
        )
        self.created.append(service)
        return service

    def close(self) -> None:
        """Stop all services, the newest first."""
        self._stack.close()


def _is_app_factory(candidate: object) -> bool:
    """Return whether `candidate` is a `(registry, audit_store) -> app`. An application takes three arguments."""
    if not callable(candidate):
        raise HarnessError(f"cannot serve a {type(candidate).__name__}: pass an ASGI application or a callable")
    try:
        parameters = inspect.signature(candidate).parameters.values()
    except (TypeError, ValueError):
        return False
    required = [
        p for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    return len(required) == 2

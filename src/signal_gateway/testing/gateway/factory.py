"""What one test makes: any number of live gateways and servers, all stopped at its end."""

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
from signal_gateway.testing.plugin.suite import Suite
from signal_gateway.testing.runtime.metrics import MetricsView
from signal_gateway.testing.runtime.server import LiveServer

__all__ = ["GatewayFactory", "LiveService", "ServiceFactory"]

AppFactory = Callable[[CollectorRegistry, AuditStore], ASGIApp]


class GatewayFactory:
    """Makes live gateways: `factory(processing={"retry": {"max_attempts": 1}})`.

    Attributes:
        made: The gateways that it made.

    Args:
        suite: Counts the servers and keeps their loops.
        config: The settings to start from.
        cluster: The cluster to work on.
        audit_store: The process's audit store.
        overrides: Settings over `config`, in rising precedence, such as those of a marker.
    """

    def __init__(
        self,
        suite: Suite,
        *,
        config: GatewayConfig,
        cluster: Cluster,
        audit_store: AuditStore,
        overrides: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._suite = suite
        self._audit_store = audit_store
        self._cluster = cluster
        self._kubernetes: dict[Cluster, KubernetesClient] = {}
        self._stack = ExitStack()
        self.made: list[LiveGateway] = []
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
        """Make a gateway and serve it until the end of the test.

        Args:
            config: Settings to start from instead of the test's.
            cluster: Another cluster than the test's.
            audit_store: Another audit store than the process's one.
            clock: Another clock than one of its own that runs with the machine and can be moved.
            adapters: Sources of your own.
            authenticator: Tells who a sender is; by default nobody is asked.
            **overrides: Settings by key, merged deeply over `config` and validated anew.

        Raises:
            ConfigurationError: A setting is wrong; the message names it and what is allowed.
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
        self._suite.keep_loops()
        self._suite.servers += 1
        settings = self._suite.settings
        live = LiveGateway(
            gateway,
            cluster=cluster,
            startup_timeout=settings.startup_timeout.value,
            stop_grace=settings.stop_grace.value,
        )
        self._stack.enter_context(live)
        self.made.append(live)
        return live

    def close(self) -> None:
        """Stop every gateway that was made, the last one first, and give back the clients that they used."""
        self._stack.close()

    def _client_for(self, cluster: Cluster) -> KubernetesClient:
        if cluster not in self._kubernetes:
            client = self._kubernetes[cluster] = cluster.client()
            self._stack.callback(cluster.release, client)  # a cluster may outlive the factory by a whole session
        return self._kubernetes[cluster]


class LiveService:
    """A service of your own on a real socket, under the rules of a gateway.

    Attributes:
        server: The server.
        registry: The registry that the service was made with; None for an application that was made elsewhere.
        audit_trail: Exact queries over what the process's audit store recorded.
    """

    def __init__(self, server: LiveServer, *, registry: CollectorRegistry | None, audit_trail: AuditTrail) -> None:
        self.server = server
        self.registry = registry
        self.audit_trail = audit_trail
        self.url = server.url
        self.app = server.app

    @property
    def client(self) -> httpx.Client:
        """A ready client; relative URLs are enough."""
        return self.server.client

    @property
    def async_client(self) -> httpx.AsyncClient:
        """A ready client for tests on any loop; relative URLs are enough."""
        return self.server.async_client

    @property
    def metrics(self) -> MetricsView:
        """This service's metrics, by name and labels.

        Raises:
            HarnessError: The application was made elsewhere, so its registry is not known here.
        """
        if self.registry is None:
            raise HarnessError("the registry of an application is not known: serve a (registry, audit_store) -> app")
        return MetricsView(self.registry)


class ServiceFactory:
    """Serves ASGI applications, or callables `(registry, audit_store) -> app` that make one.

    Attributes:
        made: The services that it made.

    Args:
        suite: Counts the servers and keeps their loops.
        audit_store: The process's audit store.
    """

    def __init__(self, suite: Suite, *, audit_store: BufferedAuditStore) -> None:
        self._suite = suite
        self._audit_store = audit_store
        self._stack = ExitStack()
        self.made: list[LiveService] = []

    def __call__(self, app: ASGIApp | AppFactory) -> LiveService:
        """Serve an application until the end of the test.

        Args:
            app: An ASGI application, or a callable that makes one from a fresh registry and the audit store.

        Raises:
            Exception: The application's own, if its start-up failed.
        """
        store = self._audit_store
        registry: CollectorRegistry | None = None
        if _makes_an_app(app):
            registry = CollectorRegistry()
            app = app(registry, store)  # type: ignore[call-arg, arg-type, assignment]
        self._suite.keep_loops()
        self._suite.servers += 1
        settings = self._suite.settings
        server = LiveServer(
            app,  # type: ignore[arg-type]
            name="service",
            websockets=True,
            startup_timeout=settings.startup_timeout.value,
            stop_grace=settings.stop_grace.value,
        )
        self._stack.enter_context(server)

        def barrier(timeout: float) -> FlushResult:
            server.is_idle(timeout)
            return store.flush(timeout=timeout)

        service = LiveService(server, registry=registry, audit_trail=AuditTrail(store.client, barrier=barrier))
        self.made.append(service)
        return service

    def close(self) -> None:
        """Stop every server that was made, the last one first."""
        self._stack.close()


def _makes_an_app(candidate: object) -> bool:
    """Tell a `(registry, audit_store) -> app` from an application, which takes three arguments."""
    if not callable(candidate):
        raise HarnessError(f"a {type(candidate).__name__} can't be served: pass an ASGI application or a callable")
    try:
        parameters = inspect.signature(candidate).parameters.values()
    except (TypeError, ValueError):
        return False
    required = [
        p for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    return len(required) == 2

"""Factories: create the live gateways and live services of one test, and stop them at its end."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Unpack

from prometheus_client import CollectorRegistry

from signal_gateway.audit.stats import AuditStore
from signal_gateway.audit.store import BufferedAuditStore
from signal_gateway.clock import Clock, MovableClock
from signal_gateway.gateway.config import GatewayConfig, merged
from signal_gateway.gateway.factory import create_gateway
from signal_gateway.gateway.http.authentication import Authenticator
from signal_gateway.gateway.overrides import GatewayOverrides
from signal_gateway.gateway.signals import Adapter
from signal_gateway.kubernetes import KubernetesClient
from signal_gateway.testing.cluster.cluster import Cluster
from signal_gateway.testing.gateway.live import LiveGateway
from signal_gateway.testing.gateway.service import LiveService
from signal_gateway.testing.gateway.service_audit import DataStorageAddress, SharedAudit
from signal_gateway.testing.runtime.host import ServerHost

__all__ = ["GatewayFactory", "ServiceFactory"]


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
        **overrides: Unpack[GatewayOverrides],
    ) -> LiveGateway:
        """Create a gateway and serve it until the end of the test.

        Args:
            config: Settings to use instead of the default settings.
            cluster: A cluster to use instead of the default cluster.
            audit_store: An audit store to use instead of the default store.
            clock: The clock. Default: a new `MovableClock` that runs with the machine.
            adapters: Adapters for your own sources.
            authenticator: Authenticates the senders. Default: senders need no credentials.
            **overrides: Settings by key (`GatewayOverrides`), merged deeply into `config` and validated again.

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


class ServiceFactory:
    """Serves ASGI, WSGI and aiohttp applications, and factories that create them.

    A factory is a function, a class or another callable, or a context manager or generator; each may be async. It takes
    any of these objects by name, in any order, and nothing else without a default:

    - `registry`: a new metrics registry
    - `audit_store`: the audit store of the process
    - `clock`: a `MovableClock`
    - `datastorage_url`: the URL of the DataStorage of the run
    - `gateway_datastorage`: the value of the fixture with this name

    It returns or yields an application, or an object with an attribute `app`. A sync factory runs on the thread of the
    test, an async one on the loop of the server.

    Attributes:
        created: The services of this factory, oldest first.

    Args:
        host: The host of the servers.
        audit_store: The audit store of the process.
        datastorage: The DataStorage of the run. Default: the one of the audit store.
    """

    def __init__(
        self, host: ServerHost, *, audit_store: BufferedAuditStore, datastorage: DataStorageAddress | None = None
    ) -> None:
        self._host = host
        self._audit_store = audit_store
        self._datastorage = datastorage
        self._stack = ExitStack()
        self.created: list[LiveService] = []

    def __call__(
        self,
        app: object,
        *,
        audit_store: AuditStore | None = None,
        registry: CollectorRegistry | None = None,
        clock: Clock | None = None,
    ) -> LiveService:
        """Serve an application until the end of the test.

        Args:
            app: An application, a factory, a context manager, or an object with an attribute `app`.
            audit_store: An audit store to use instead of the default store, such as that of `gateway_outage`.
            registry: The registry that `.metrics` reads, and that a factory takes. Default: a new one for a factory
                that takes it, otherwise the global `prometheus_client.REGISTRY`.
            clock: The clock that a factory takes. Default: a new `MovableClock` that runs with the machine.

        Raises:
            HarnessError: `app` cannot be served. The message has its signature and the accepted ones.
            Exception: A factory or the start-up of the application failed with this exception.
        """
        self._host.register()
        service = LiveService(
            app,
            audit=SharedAudit(self._audit_store, datastorage=self._datastorage)
            if audit_store is None
            else SharedAudit(audit_store),
            registry=registry,
            clock=clock,
            startup_timeout=self._host.startup_timeout,
            stop_grace=self._host.stop_grace,
            settle_timeout=self._host.settle_timeout,
        )
        self._stack.enter_context(service)
        self.created.append(service)
        return service

    def close(self) -> None:
        """Stop all services, the newest first."""
        self._stack.close()

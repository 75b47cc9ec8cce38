"""run_service: the gateway as a process with one audit store and one event loop."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from prometheus_client import CollectorRegistry

from signal_gateway.audit.client.client import DataStorageClient
from signal_gateway.audit.client.token import ClientToken
from signal_gateway.audit.errors import DataStorageUnavailable
from signal_gateway.audit.store import BufferedAuditStore
from signal_gateway.clock import SystemClock
from signal_gateway.gateway.factory import Gateway, create_gateway
from signal_gateway.gateway.http.authentication import Authenticator, TokenAuthenticator
from signal_gateway.gateway.http.token_review import KubernetesAuthenticator
from signal_gateway.gateway.metrics import GatewayMetrics
from signal_gateway.gateway.service.config import AuditConfig, KubernetesConfig, ManagementConfig, ServiceConfig
from signal_gateway.gateway.signals.registry import load_adapters
from signal_gateway.kubernetes import CallObserver, KubernetesClient
from signal_gateway.web.logs import logs_written
from signal_gateway.web.serving.allocator import collect_less_often, limit_free_memory
from signal_gateway.web.serving.app_server import AppServer
from signal_gateway.web.serving.sockets import bind, parse_listen
from signal_gateway.web.serving.stop_signals import StopSignals

__all__ = ["Listening", "run_service"]

_log = logging.getLogger(__name__)

_RESPONSE_SECONDS = 1.0  # from the deadline of a request to the end of its response


class Listening(NamedTuple):
    """The addresses of the service.

    Attributes:
        url: URL for signals.
        management_url: URL for health and metrics; None without a separate listener.
    """

    url: str
    management_url: str | None


async def run_service(config: ServiceConfig, *, on_start: Callable[[Listening], None]) -> None:
    """Serve until SIGTERM or SIGINT, then shut down. A second SIGTERM or SIGINT ends the process at once.

    Shutdown: `/readyz` reports 503 at once, and the gateway accepts signals for the drain delay. Then it stops
    accepting requests, completes those in flight, delivers the audit events, and returns.

    Call this on the main thread, once per process.

    Args:
        config: The settings.
        on_start: Called with the addresses when the service accepts requests.

    Raises:
        DataStorageUnavailable: The server at the audit URL is not DataStorage, or refuses the token.
        KubernetesError: The cluster does not respond, or lacks the namespace or the CRD.
        ConfigurationError: A token file, a TLS file, an adapter, the spool directory or an address is not usable.
    """
    limit_free_memory()
    with logs_written(sys.stderr, level=config.logging.level, format=config.logging.format), StopSignals() as stop:
        tls, adapters = config.server.tls.load(), load_adapters(config.adapters)
        client = _client(config.audit)
        _check(client, config.audit)
        registry = CollectorRegistry()
        spooled = BufferedAuditStore(client, service="gateway", config=config.audit.store, registry=registry)
        metrics = GatewayMetrics(registry)
        async with _cluster(config.kubernetes) as kubernetes, spooled as store:
            gateway = create_gateway(
                config.gateway,
                kubernetes=kubernetes,
                audit_store=store,
                registry=registry,
                metrics=metrics,
                adapters=adapters,
                authenticator=_authenticator(config, kubernetes, observer=metrics),
                separate_management=config.management.listen is not None,
            )
            async with _management(gateway, config.management) as management_url:
                server = AppServer(
                    gateway.app,
                    sock=bind(*parse_listen(config.server.listen)),
                    tls=tls,
                    grace=config.processing.request_deadline + _RESPONSE_SECONDS,
                    streams=_StopLog(),
                )
                collect_less_often()
                await server.run(
                    until=stop.requested,
                    on_start=lambda: on_start(Listening(server.url, management_url)),
                    before_stop=lambda: _drain(gateway, config.server.drain_delay),
                )
            _log.info("no request is in flight any more: delivering the audit events")


def _cluster(config: KubernetesConfig) -> KubernetesClient:
    if config.kubeconfig is None:
        return KubernetesClient.in_cluster()
    return KubernetesClient.from_kubeconfig(config.kubeconfig)


def _authenticator(config: ServiceConfig, kubernetes: KubernetesClient, observer: CallObserver) -> Authenticator | None:
    match config.auth.mode:
        case "kubernetes":
            return KubernetesAuthenticator(
                kubernetes, namespace=config.controller_namespace, clock=SystemClock(), observer=observer
            )
        case "token":
            assert config.auth.token_file is not None, "the configuration requires it"
            return TokenAuthenticator(config.auth.token_file)
        case "none":
            return None


@asynccontextmanager
async def _management(gateway: Gateway, config: ManagementConfig) -> AsyncIterator[str | None]:
    """Serve health and metrics on a separate listener, from before the start of the gateway until after its stop."""
    if config.listen is None:
        yield None
        return
    server = AppServer(gateway.management_app, sock=bind(*parse_listen(config.listen)))
    await server.start()
    try:
        yield server.url
    finally:
        await server.stop()


class _StopLog:
    """Logs the moment from which the server accepts no requests; a gateway holds no response open."""

    def stop(self) -> None:
        _log.info("no requests are accepted any more: completing those in flight")


async def _drain(gateway: Gateway, seconds: float) -> None:
    gateway.announce_shutdown()
    _log.info("shutting down: not ready any more, signals are accepted for another %g s", seconds)
    await asyncio.sleep(seconds)


def _client(config: AuditConfig) -> DataStorageClient:
    token = None if config.token_file is None else ClientToken(config.token_file, source="audit.token_file")
    return DataStorageClient(
        config.datastorage_url,
        token=token,
        tls=config.tls_files,
        source="audit.datastorage_url",
        acknowledgement=config.acknowledgement,
        event_types=config.translated_event_types,
    )


def _check(client: DataStorageClient, config: AuditConfig) -> None:
    """Raise for an unexpected server at the URL. A DataStorage that is down is an error only if it is required."""
    try:
        client.check_delivery()
    except DataStorageUnavailable as exc:
        if exc.answered:
            raise
        if config.required:
            raise DataStorageUnavailable(f"{exc}. Start it, or set audit.required to false", answered=False) from exc
        where = config.spool_directory or "memory"
        _log.warning("audit events wait in %s until DataStorage responds: %s", where, exc)

"""The gateway as a service: one process, one audit store, one loop."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from prometheus_client import CollectorRegistry

from signal_gateway.audit.client.client import DataStorageClient
from signal_gateway.audit.client.token import read_token
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
from signal_gateway.web.serving.allocator import keep_little_memory
from signal_gateway.web.serving.app_server import AppServer
from signal_gateway.web.serving.sockets import bind, parse_listen
from signal_gateway.web.serving.stop_signals import StopSignals

__all__ = ["Listening", "run_service"]

_log = logging.getLogger(__name__)

_ANSWER_SECONDS = 1.0  # from the deadline of a request to the end of its answer


class Listening(NamedTuple):
    """Where the service answers.

    Attributes:
        url: Where signals are sent to.
        management_url: Where health and metrics are, if they have a listener of their own.
    """

    url: str
    management_url: str | None


async def run_service(config: ServiceConfig, *, on_start: Callable[[Listening], None]) -> None:
    """Serve until SIGTERM or SIGINT, then shut down; a second signal ends the process at once.

    Shutting down: not ready from the first moment, while signals are taken for the drain delay; then accept no more,
    finish what is in flight, deliver the audit events, and return.

    Call it on the main thread, once in a process.

    Args:
        config: Everything it needs to know.
        on_start: Called when requests are answered.

    Raises:
        DataStorageUnavailable: Something answers at the audit URL that is no DataStorage, or refuses the token.
        KubernetesError: The cluster does not answer, or lacks the namespace or the CRD.
        ConfigurationError: A token file, the files of TLS, an adapter or the spool directory can't be used, or an
            address can't be listened on.
    """
    keep_little_memory()
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
                    grace=config.processing.request_deadline + _ANSWER_SECONDS,
                    before_drain=lambda: _log.info(
                        "no requests are accepted any more, and those in flight are finished"
                    ),
                )
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
            assert config.auth.token_file is not None, "the configuration sees to it"
            return TokenAuthenticator(config.auth.token_file)
        case "none":
            return None


@asynccontextmanager
async def _management(gateway: Gateway, config: ManagementConfig) -> AsyncIterator[str | None]:
    """Serve health and metrics by themselves, before the gateway starts and until it has stopped."""
    if config.listen is None:
        yield None
        return
    server = AppServer(gateway.management_app, sock=bind(*parse_listen(config.listen)))
    await server.start()
    try:
        yield server.url
    finally:
        await server.stop()


async def _drain(gateway: Gateway, seconds: float) -> None:
    gateway.announce_shutdown()
    _log.info("shutting down: not ready any more, and signals are taken for another %g s", seconds)
    await asyncio.sleep(seconds)


def _client(config: AuditConfig) -> DataStorageClient:
    token = None if config.token_file is None else read_token(config.token_file, source="audit.token_file")
    return DataStorageClient(config.datastorage_url, token=token, source="audit.datastorage_url")


def _check(client: DataStorageClient, config: AuditConfig) -> None:
    """Refuse to start for a stranger at the URL; a DataStorage that is down is no reason unless it is required."""
    try:
        client.check_delivery()
    except DataStorageUnavailable as exc:
        if exc.answered:
            raise
        if config.required:
            raise DataStorageUnavailable(f"{exc}; audit.required wants one at the start", answered=False) from exc
        where = config.spool_directory or "memory"
        _log.warning("audit events wait in %s until DataStorage answers: %s", where, exc)

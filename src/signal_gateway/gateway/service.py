"""The gateway as a service: one process, one audit store, one listener."""

import logging
from collections.abc import Callable

from prometheus_client import CollectorRegistry

from signal_gateway.audit.client import DataStorageClient
from signal_gateway.audit.errors import DataStorageUnavailable
from signal_gateway.audit.store import BufferedAuditStore
from signal_gateway.audit.token import read_token
from signal_gateway.gateway.factory import create_gateway
from signal_gateway.gateway.service_config import AuditConfig, ServiceConfig
from signal_gateway.kubernetes import KubernetesClient
from signal_gateway.web.serving import AppServer
from signal_gateway.web.sockets import bind, parse_listen

__all__ = ["run_service"]

_log = logging.getLogger(__name__)


async def run_service(config: ServiceConfig, *, on_start: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT: then finish what is in flight, deliver the audit events, and return.

    Call it on the main thread.

    Args:
        config: Everything it needs to know.
        on_start: Called with the URL when requests are answered.

    Raises:
        DataStorageUnavailable: Something answers at the audit URL that is no DataStorage, or refuses the token.
        KubernetesError: The cluster does not answer, or lacks the namespace or the CRD.
        ConfigurationError: The token file or the spool directory can't be used, or the address can't be listened on.
    """
    _configure_logging(config.logging.level)
    client = _client(config.audit)
    _check(client, config.audit)

    kubeconfig = config.kubernetes.kubeconfig
    kubernetes = KubernetesClient.in_cluster() if kubeconfig is None else KubernetesClient.from_kubeconfig(kubeconfig)
    registry = CollectorRegistry()
    spooled = BufferedAuditStore(client, service="gateway", config=config.audit.store, registry=registry)
    async with kubernetes, spooled as store:
        gateway = create_gateway(config.gateway, kubernetes=kubernetes, audit_store=store, registry=registry)
        server = AppServer(gateway.app, sock=bind(*parse_listen(config.server.listen)))
        await server.run(on_start=lambda: on_start(server.url))


def _client(config: AuditConfig) -> DataStorageClient:
    token = None if config.token_file is None else read_token(config.token_file, source="audit.token_file")
    return DataStorageClient(config.datastorage_url, token=token, source="audit.datastorage_url")


def _check(client: DataStorageClient, config: AuditConfig) -> None:
    """Refuse to start for a stranger at the URL; a DataStorage that is down is no reason, events wait for it."""
    try:
        client.check_delivery()
    except DataStorageUnavailable as exc:
        if exc.answered:
            raise
        where = config.spool_directory or "memory"
        _log.warning("audit events wait in %s until DataStorage answers: %s", where, exc)


def _configure_logging(level: str) -> None:
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("httpx", "httpx2", "httpcore", "httpcore2", "uvicorn.error"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))

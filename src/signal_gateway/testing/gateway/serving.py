"""serve: any gateway or service on a real loopback socket, without pytest."""

from typing import overload

from prometheus_client import CollectorRegistry

from signal_gateway.audit.stats import AuditStore
from signal_gateway.clock import Clock
from signal_gateway.errors import HarnessError
from signal_gateway.gateway.factory import Gateway
from signal_gateway.testing.cluster.cluster import Cluster
from signal_gateway.testing.gateway.live import LiveGateway
from signal_gateway.testing.gateway.service import LiveService
from signal_gateway.testing.gateway.service_audit import EmbeddedAudit, SharedAudit

__all__ = ["serve"]


@overload
def serve(  # type: ignore[overload-overlap] # a gateway has an attribute `app`, too
    app: Gateway,
    /,
    *,
    cluster: Cluster | None = None,
    startup_timeout: float = ...,
    stop_grace: float = ...,
    settle_timeout: float = ...,
) -> LiveGateway: ...


@overload
def serve(
    app: object,
    /,
    *,
    audit_store: AuditStore | None = None,
    registry: CollectorRegistry | None = None,
    clock: Clock | None = None,
    startup_timeout: float = ...,
    stop_grace: float = ...,
    settle_timeout: float = ...,
) -> LiveService: ...


def serve(
    app: object,
    /,
    *,
    cluster: Cluster | None = None,
    audit_store: AuditStore | None = None,
    registry: CollectorRegistry | None = None,
    clock: Clock | None = None,
    startup_timeout: float = 10.0,
    stop_grace: float = 2.0,
    settle_timeout: float = 10.0,
) -> LiveGateway | LiveService:
    """Return a context manager that serves a gateway, or a service of your own, on a real loopback socket.

    Args:
        app: A gateway that was not started; or an application, factory or context manager, as for `ServiceFactory`.
        cluster: The value of `.cluster` of a gateway.
        audit_store: The audit store that a factory takes. Default: one in memory with an embedded DataStorage, both
            created on first use and closed with the service.
        registry: The registry that `.metrics` of a service reads, and that a factory takes.
        clock: The clock that a factory takes. Default: a new `MovableClock`.
        startup_timeout: Seconds for the start.
        stop_grace: Seconds for open requests after the stop.
        settle_timeout: The default timeout of `settle`, in seconds.

    Raises:
        HarnessError: An argument belongs to the other kind of server.
    """
    if isinstance(app, Gateway):
        _refuse("a gateway", audit_store=audit_store, registry=registry, clock=clock)
        return LiveGateway(
            app,
            cluster=cluster,
            startup_timeout=startup_timeout,
            stop_grace=stop_grace,
            settle_timeout=settle_timeout,
        )
    _refuse("a service", cluster=cluster)
    return LiveService(
        app,
        audit=EmbeddedAudit(flush_timeout=settle_timeout) if audit_store is None else SharedAudit(audit_store),
        registry=registry,
        clock=clock,
        startup_timeout=startup_timeout,
        stop_grace=stop_grace,
        settle_timeout=settle_timeout,
    )


def _refuse(noun: str, **arguments: object) -> None:
    given = [name for name, value in arguments.items() if value is not None]
    if given:
        owner = "create_gateway" if noun == "a gateway" else "gateway_cluster or create_gateway"
        raise HarnessError(f"serve() takes no {', '.join(given)} for {noun}: pass it to {owner} instead")

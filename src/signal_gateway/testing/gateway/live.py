"""LiveGateway: a gateway on a real socket, with its metrics, its clock and its audit trail."""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import httpx
from prometheus_client import CollectorRegistry

from signal_gateway.audit.stats import FlushResult
from signal_gateway.audit.store import BufferedAuditStore
from signal_gateway.audit.trail import AuditTrail
from signal_gateway.clock import MovableClock
from signal_gateway.errors import HarnessError
from signal_gateway.gateway.config import GatewayConfig
from signal_gateway.gateway.factory import Gateway
from signal_gateway.testing.cluster.cluster import Cluster
from signal_gateway.testing.gateway.captured import EVENT_SOURCE, PROMETHEUS_SOURCE, read_captured
from signal_gateway.testing.gateway.payloads import alert, alertmanager_webhook, kubernetes_event
from signal_gateway.testing.runtime.exchanges import Exchange
from signal_gateway.testing.runtime.metrics import MetricsView
from signal_gateway.testing.runtime.server import STARTUP_TIMEOUT, STOP_GRACE, LiveServer

__all__ = ["PROMETHEUS_PATH", "SIGNALS_PATH", "LiveGateway"]

SIGNALS_PATH = "/api/v1/signals"
PROMETHEUS_PATH = f"{SIGNALS_PATH}/{PROMETHEUS_SOURCE}"


class LiveGateway:
    """A gateway on a loopback socket. Its stop never closes the audit store, the Kubernetes client or the cluster.

    Attributes:
        gateway: The gateway.
        metrics: The metrics of the gateway, by name and labels.

    Args:
        gateway: A gateway that was not started.
        cluster: The value of `.cluster`.
        startup_timeout: Seconds for the start, with the first list of RemediationRequests.
        stop_grace: Seconds for open requests after the stop.
        settle_timeout: The default timeout of `settle`, in seconds.
    """

    def __init__(
        self,
        gateway: Gateway,
        *,
        cluster: Cluster | None = None,
        startup_timeout: float = STARTUP_TIMEOUT,
        stop_grace: float = STOP_GRACE,
        settle_timeout: float = STARTUP_TIMEOUT,
    ) -> None:
        self.gateway = gateway
        self.metrics = MetricsView(gateway.registry)
        self._cluster = cluster
        self._recorded = gateway.keep_recorded_ids()
        self._settle_timeout = settle_timeout
        self._server = LiveServer(
            gateway.app, name="gateway", lifespan="on", startup_timeout=startup_timeout, stop_grace=stop_grace
        )

    def start(self) -> None:
        """Start the server and wait until the gateway is ready.

        Raises:
            Exception: The start-up of the gateway failed with this exception.
        """
        self._server.start()

    def stop(self) -> None:
        """Stop the server and check for open tasks and sockets. A second call does nothing.

        Raises:
            HarnessError: A step failed, or a task or socket is still open.
        """
        self._server.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The URL of the gateway, with scheme and port."""
        return self._server.url

    @property
    def client(self) -> httpx.Client:
        """A client with the gateway as its base URL."""
        return self._server.client

    @property
    def async_client(self) -> httpx.AsyncClient:
        """A client with the gateway as its base URL, for tests on any loop."""
        return self._server.async_client

    @property
    def clock(self) -> MovableClock:
        """The clock of the gateway, which you can move: `gateway.clock.advance(30)`.

        Backoff, circuit breaker, freshness and cooldowns use this clock; the time-outs of sockets do not.

        Raises:
            HarnessError: The gateway has another clock than a `MovableClock`.
        """
        clock = self.gateway.clock
        if not isinstance(clock, MovableClock):
            raise HarnessError(f"cannot move a {type(clock).__name__}: create the gateway with clock=MovableClock()")
        return clock

    @property
    def exchanges(self) -> list[Exchange]:
        """The last requests and their responses, oldest first."""
        return self._server.exchanges

    @property
    def config(self) -> GatewayConfig:
        """The settings of the gateway."""
        return self.gateway.config

    @property
    def registry(self) -> CollectorRegistry:
        """The metrics registry of the gateway."""
        return self.gateway.registry

    @property
    def cluster(self) -> Cluster:
        """The cluster of the gateway.

        Raises:
            HarnessError: `serve` was called without a cluster.
        """
        if self._cluster is None:
            raise HarnessError("this gateway was served without a cluster: pass serve(gateway, cluster=...)")
        return self._cluster

    @property
    def audit_trail(self) -> AuditTrail:
        """Exact queries over the events that this gateway recorded: each query settles the gateway first.

        The events of other gateways and services are not in it, although all share a store. `gateway_audit_trail` has
        the events of the whole process.

        Raises:
            HarnessError: The audit store does not deliver to a DataStorage.
        """
        store = self.gateway.audit_store
        if not isinstance(store, BufferedAuditStore):
            raise HarnessError(
                f"a {type(store).__name__} has no DataStorage to query: serve a gateway with a BufferedAuditStore"
            )
        return AuditTrail(store.client, barrier=self._barrier, timeout=self._settle_timeout, recorded=self._recorded)

    def send_alert(
        self,
        name: str,
        *,
        status: Literal["firing", "resolved"] = "firing",
        severity: str | None = "warning",
        annotations: Mapping[str, str] | None = None,
        starts_at: datetime | None = None,
        ends_at: datetime | None = None,
        **labels: str,
    ) -> httpx.Response:
        """Send one alert in the format of Alertmanager.

        Args:
            name: The name of the alert.
            status: `firing` or `resolved`.
            severity: The label `severity`; None leaves it out.
            annotations: The annotations of the alert.
            starts_at: The start time. Default: now, by the clock of the gateway.
            ends_at: The end time of a resolved alert. Default: now.
            **labels: More labels, such as `namespace="prod", deployment="api"`.
        """
        now = self.gateway.clock.now()
        one = alert(
            name,
            status=status,
            severity=severity,
            annotations=annotations,
            starts_at=starts_at or (now if status == "firing" else None),
            ends_at=ends_at or (now if status == "resolved" else None),
            **labels,
        )
        return self.client.post(PROMETHEUS_PATH, json=alertmanager_webhook(one))

    def send_event(
        self,
        reason: str,
        *,
        kind: str,
        name: str,
        namespace: str | None,
        message: str = "",
        type: str = "Warning",
        at: datetime | None = None,
    ) -> httpx.Response:
        """Send one Kubernetes Event, as an event exporter does.

        Args:
            reason: The reason of the Event, such as `BackOff`.
            kind: The kind of the object.
            name: The name of the object.
            namespace: The namespace of the object; None for a cluster-scoped kind.
            message: The text for people.
            type: `Normal`, `Warning` or `Error`.
            at: The time of the Event. Default: now, by the clock of the gateway.
        """
        event = kubernetes_event(
            reason,
            kind=kind,
            name=name,
            namespace=namespace,
            message=message,
            type=type,
            at=at or self.gateway.clock.now(),
        )
        return self.client.post(f"{SIGNALS_PATH}/{EVENT_SOURCE}", json=event)

    def replay(self, path: Path | str, *, keep_times: bool = False) -> list[httpx.Response]:
        """Send captured payloads of a real Alertmanager or event exporter.

        Args:
            path: A file with one payload as JSON, an array of payloads, or one payload per line.
            keep_times: Whether to keep the captured times. By default the newest time of each payload becomes now, by
                the clock of the gateway, because the gateway rejects an Event that is too old.

        Returns:
            The responses, in the order of the payloads.

        Raises:
            HarnessError: The file cannot be read, or a document is no payload.
        """
        now = None if keep_times else self.gateway.clock.now()
        return [
            self.client.post(f"{SIGNALS_PATH}/{source}", json=payload)
            for source, payload in read_captured(path, now=now)
        ]

    def settle(self, timeout: float | None = None) -> FlushResult | None:
        """Wait for the requests in flight and the background writes, then flush the audit store.

        Args:
            timeout: Seconds for each of the steps. Default: `settle_timeout`.

        Returns:
            The result of the flush; None if the store is no `BufferedAuditStore`.

        Raises:
            HarnessError: A request or a background write was still open after the timeout.
        """
        timeout = self._settle_timeout if timeout is None else timeout
        self._settle_gateway(timeout)
        store = self.gateway.audit_store
        return store.flush(timeout=timeout) if isinstance(store, BufferedAuditStore) else None

    def wait_for(self, condition: Callable[[], bool], timeout: float = 30.0) -> None:
        """Wait for the requests of another process, such as an Alertmanager that repeats an alert. Does not poll.

        Args:
            condition: Checked now and after each request to this gateway.
            timeout: The maximum number of seconds.

        Raises:
            HarnessError: The condition was still false after the timeout.
        """
        self._server.wait_for(condition, timeout)

    def _settle_gateway(self, timeout: float) -> None:
        if self._server.stopped:
            return

        async def settle() -> None:
            await self._server.idle()
            await self.gateway.settle()

        self._server.call(settle(), timeout=timeout, doing=f"waiting for the requests and writes of {self.url}")

    def _barrier(self, timeout: float) -> FlushResult:
        result = self.settle(timeout)
        assert result is not None  # `audit_trail` has checked for a BufferedAuditStore
        return result

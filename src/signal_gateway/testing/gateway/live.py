"""LiveGateway: a gateway on a real socket, with what a test wants to know about it."""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import httpx
from prometheus_client import CollectorRegistry

from signal_gateway.audit.stats import FlushResult
from signal_gateway.audit.store import BufferedAuditStore
from signal_gateway.audit.trail import AuditTrail
from signal_gateway.clock import ManualClock, MovableClock
from signal_gateway.errors import HarnessError
from signal_gateway.gateway.config import GatewayConfig
from signal_gateway.gateway.factory import Gateway
from signal_gateway.testing.cluster.cluster import Cluster
from signal_gateway.testing.gateway.captured import EVENT_SOURCE, PROMETHEUS_SOURCE, read_captured
from signal_gateway.testing.gateway.payloads import alert, alertmanager_webhook, kubernetes_event
from signal_gateway.testing.runtime.exchanges import Exchange
from signal_gateway.testing.runtime.metrics import MetricsView
from signal_gateway.testing.runtime.server import LiveServer

__all__ = ["PROMETHEUS_PATH", "SIGNALS_PATH", "LiveGateway", "serve"]

SIGNALS_PATH = "/api/v1/signals"
PROMETHEUS_PATH = f"{SIGNALS_PATH}/{PROMETHEUS_SOURCE}"


class LiveGateway:
    """A gateway that serves on loopback. Stopping it never closes the audit store, the client or the cluster.

    Attributes:
        gateway: The gateway itself.
        metrics: This gateway's metrics, by name and labels.

    Args:
        gateway: A gateway that was not started.
        cluster: The cluster it works on, for `.cluster`.
        startup_timeout: Seconds that its start may take, the first list of RemediationRequests included.
        stop_grace: Seconds that open requests may go on after the stop.
        settle_timeout: Seconds that `settle` waits unless told otherwise.
    """

    def __init__(
        self,
        gateway: Gateway,
        *,
        cluster: Cluster | None = None,
        startup_timeout: float = 10.0,
        stop_grace: float = 2.0,
        settle_timeout: float = 5.0,
    ) -> None:
        self.gateway = gateway
        self.metrics = MetricsView(gateway.registry)
        self._cluster = cluster
        self._settle_timeout = settle_timeout
        self._server = LiveServer(
            gateway.app, name="gateway", lifespan="on", startup_timeout=startup_timeout, stop_grace=stop_grace
        )

    def start(self) -> None:
        """Start serving; returns when the gateway is ready.

        Raises:
            Exception: The gateway's own, if its start-up failed.
        """
        self._server.start()

    def stop(self) -> None:
        """Stop serving and check that nothing is left. Does nothing twice.

        Raises:
            HarnessError: A step failed or something was left.
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
        """Where it answers, a URL with scheme and port."""
        return self._server.url

    @property
    def client(self) -> httpx.Client:
        """A ready client; relative URLs are enough."""
        return self._server.client

    @property
    def async_client(self) -> httpx.AsyncClient:
        """A ready client for tests on any loop; relative URLs are enough."""
        return self._server.async_client

    @property
    def clock(self) -> ManualClock | MovableClock:
        """This gateway's clock, to be moved: `gateway.clock.advance(30)`.

        Backoff, breaker, freshness and cooldowns ask it; the time-outs of sockets do not.

        Raises:
            HarnessError: The gateway was created with a clock that can't be moved.
        """
        clock = self.gateway.clock
        if not isinstance(clock, ManualClock | MovableClock):
            raise HarnessError(f"a {type(clock).__name__} can't be moved: create the gateway with clock=MovableClock()")
        return clock

    @property
    def exchanges(self) -> list[Exchange]:
        """The last requests and their answers, oldest first."""
        return self._server.exchanges

    @property
    def config(self) -> GatewayConfig:
        """This gateway's own settings."""
        return self.gateway.config

    @property
    def registry(self) -> CollectorRegistry:
        """This gateway's own metrics registry."""
        return self.gateway.registry

    @property
    def cluster(self) -> Cluster:
        """The cluster it works on.

        Raises:
            HarnessError: None was passed to `serve`.
        """
        if self._cluster is None:
            raise HarnessError("this gateway was served without a cluster: pass serve(gateway, cluster=...)")
        return self._cluster

    @property
    def audit_trail(self) -> AuditTrail:
        """Exact queries over what was recorded: each one settles this gateway first.

        Raises:
            HarnessError: Its audit store has no DataStorage behind it.
        """
        store = self.gateway.audit_store
        if not isinstance(store, BufferedAuditStore):
            raise HarnessError(
                f"a {type(store).__name__} has no DataStorage to query: serve a gateway with a BufferedAuditStore"
            )
        return AuditTrail(store.client, barrier=self._barrier, timeout=self._settle_timeout)

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
        """Post one alert the way Alertmanager does.

        Args:
            name: The alert's name.
            status: `firing` or `resolved`.
            severity: The label `severity`; None leaves it out.
            annotations: The alert's annotations.
            starts_at: Since when it fires; now by default, by the gateway's clock.
            ends_at: When it was resolved; now by default, for a resolved one.
            **labels: The alert's labels, such as `namespace="prod", deployment="api"`.
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
        """Post one Kubernetes Event, as an exporter of events does.

        Args:
            reason: Why it was sent, such as `BackOff`.
            kind: Kind of the object that it is about.
            name: Its name.
            namespace: Its namespace; None for a cluster-scoped kind.
            message: For people.
            type: `Normal`, `Warning` or `Error`.
            at: When it happened; now by default, by the gateway's clock.
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
        """Post what a real Alertmanager, or an exporter of Kubernetes Events, posted once.

        Args:
            path: A file with one payload as JSON, an array of them, or one a line.
            keep_times: Whether the times stay as they were captured; by default each payload's newest one is now, by
                the gateway's clock, since an Event that is too old is refused.

        Returns:
            The answers, in the order of the payloads.

        Raises:
            HarnessError: The file can't be read, or has something else in it.
        """
        now = None if keep_times else self.gateway.clock.now()
        return [
            self.client.post(f"{SIGNALS_PATH}/{source}", json=payload)
            for source, payload in read_captured(path, now=now)
        ]

    def settle(self, timeout: float | None = None) -> FlushResult | None:
        """Wait until no request and no background write is left, then until every event is delivered.

        Args:
            timeout: Seconds that each of the steps may take; by default the gateway's `settle_timeout`.

        Returns:
            What the flush of the audit store said; None if the store is no `BufferedAuditStore`.

        Raises:
            HarnessError: A request or a background write was still open then.
        """
        timeout = self._settle_timeout if timeout is None else timeout
        self._settle_gateway(timeout)
        store = self.gateway.audit_store
        return store.flush(timeout=timeout) if isinstance(store, BufferedAuditStore) else None

    def wait_for(self, condition: Callable[[], bool], timeout: float = 30.0) -> None:
        """Wait for a neighbour's doing, such as an Alertmanager that sends again, without polling.

        Args:
            condition: Looked at now and after each request that this gateway answered.
            timeout: Seconds to wait at the most.

        Raises:
            HarnessError: It still did not hold then.
        """
        self._server.wait_for(condition, timeout)

    def _settle_gateway(self, timeout: float) -> None:
        async def settle() -> None:
            await self._server.idle()
            await self.gateway.settle()

        self._server.call(settle(), timeout=timeout, doing=f"waiting for open requests and writes of {self.url}")

    def _barrier(self, timeout: float) -> FlushResult:
        result = self.settle(timeout)
        assert result is not None  # `audit_trail` asked for a BufferedAuditStore
        return result


def serve(gateway: Gateway, *, cluster: Cluster | None = None, **options: Any) -> LiveGateway:
    """Return a context manager that serves a gateway on a real loopback socket.

    Args:
        gateway: A gateway that was not started.
        cluster: The cluster it works on, for `.cluster`.
        **options: `startup_timeout`, `stop_grace`, `settle_timeout` in seconds, as `LiveGateway` takes them.
    """
    return LiveGateway(gateway, cluster=cluster, **options)

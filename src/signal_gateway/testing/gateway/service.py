"""LiveService: a service of your own on a real socket, with its metrics, its clock and its audit trail."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property
from types import TracebackType
from typing import Final, Self

import httpx
from prometheus_client import REGISTRY, CollectorRegistry

from signal_gateway.audit.stats import FlushResult
from signal_gateway.audit.trail import AuditTrail
from signal_gateway.clock import Clock, MovableClock
from signal_gateway.errors import HarnessError
from signal_gateway.testing.gateway.application import ServedApplication
from signal_gateway.testing.gateway.hosting import ServiceHosting
from signal_gateway.testing.gateway.service_audit import ServiceAudit
from signal_gateway.testing.runtime.exchanges import Exchange
from signal_gateway.testing.runtime.metrics import MetricsView
from signal_gateway.testing.runtime.server import LiveServer

__all__ = ["LiveService", "ServiceInjections"]

_NO_FLUSH: Final = FlushResult(ok=True, delivered=0, rejected=0, pending=0, error=None)


class ServiceInjections:
    """The objects that the factory of one service may take by name.

    Attributes:
        given_registry: The registry that you passed; None for a new one.

    Args:
        audit: The audit store and the DataStorage.
        registry: The metrics registry. Default: a new one, if a factory takes it.
        clock: The clock. Default: a new `MovableClock` that runs with the machine, if a factory takes it.
    """

    def __init__(self, audit: ServiceAudit, *, registry: CollectorRegistry | None, clock: Clock | None) -> None:
        self.given_registry = registry
        self._audit = audit
        self._clock = clock
        self._taken: set[str] = set()

    @cached_property
    def clock(self) -> Clock:
        """The clock of the service."""
        return MovableClock() if self._clock is None else self._clock

    @cached_property
    def registry(self) -> CollectorRegistry:
        """The registry that you passed, or a new one."""
        return CollectorRegistry() if self.given_registry is None else self.given_registry

    def has_taken(self, name: str) -> bool:
        """Return whether a factory has taken the object with this name."""
        return name in self._taken

    def take(self, name: str) -> object:
        """Return the object for a parameter of a factory, and remember the name."""
        self._taken.add(name)
        if name == "registry":
            return self.registry
        if name == "audit_store":
            return self._audit.store
        if name == "clock":
            return self.clock
        return self._audit.datastorage.url if name == "datastorage_url" else self._audit.datastorage


class LiveService:
    """A service of your own on a loopback socket, with the same rules as a live gateway.

    Use it as a context manager, or call `start` and `stop`. The URL is known before the start. Its stop never closes an
    audit store that you passed.

    Attributes:
        server: The server.
        url: The URL of the service, with scheme and port.

    Args:
        source: An application, a factory, a context manager, or an object with an attribute `app`.
        audit: The audit store and the DataStorage.
        registry: The registry that `metrics` reads, and that a factory takes. Default: a new one for a factory that
            takes it, otherwise the global `prometheus_client.REGISTRY`.
        clock: The clock that a factory takes. Default: a new `MovableClock`.
        startup_timeout: Seconds for the start, with the async factories.
        stop_grace: Seconds for open requests after the stop.
        settle_timeout: The default timeout of `settle`, in seconds.
    """

    def __init__(
        self,
        source: object,
        *,
        audit: ServiceAudit,
        registry: CollectorRegistry | None = None,
        clock: Clock | None = None,
        startup_timeout: float = 10.0,
        stop_grace: float = 2.0,
        settle_timeout: float = 10.0,
    ) -> None:
        self._audit = audit
        self._injections = ServiceInjections(audit, registry=registry, clock=clock)
        self._served = ServedApplication(source, self._injections)
        self._settle_timeout = settle_timeout
        self._metrics_since_start = MetricsView(REGISTRY if registry is None else registry)
        self.server = LiveServer(
            self._served,
            name="service",
            hosting=ServiceHosting(self._served),
            startup_timeout=startup_timeout,
            stop_grace=stop_grace,
        )
        self.url = self.server.url

    def start(self) -> None:
        """Call the factories, start the server and wait until it accepts requests.

        Raises:
            HarnessError: The source cannot be served. The message has its signature and the accepted ones.
            Exception: A factory or the start-up of the application failed with this exception.
        """
        try:
            self._metrics_since_start = self._metrics_since_start.since_now()
            self._served.open()
            self.server.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server, check for open tasks and sockets, and close what the factories opened.

        Raises:
            HarnessError: A step failed, or a task or socket is still open. The other steps ran.
        """
        with ExitStack() as steps:  # in reverse order
            steps.callback(self._audit.close)
            steps.callback(self._served.close)
            steps.callback(self.server.stop)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def app(self) -> object:
        """The application, such as your FastAPI, Flask or aiohttp object.

        Raises:
            HarnessError: The service was not started.
        """
        return self._served.app

    @property
    def instance(self) -> object:
        """The object with the attribute `app` that your factory returned; the application if it returned one."""
        return self._served.instance

    @property
    def client(self) -> httpx.Client:
        """A client with the service as its base URL."""
        return self.server.client

    @property
    def async_client(self) -> httpx.AsyncClient:
        """A client with the service as its base URL, for tests on any loop."""
        return self.server.async_client

    @property
    def exchanges(self) -> list[Exchange]:
        """The last requests and their responses, oldest first."""
        return self.server.exchanges

    @property
    def clock(self) -> MovableClock:
        """The clock that the factory took as `clock`, which you can move: `service.clock.advance(30)`.

        Raises:
            HarnessError: No factory takes a `clock`, or you passed another clock than a `MovableClock`.
        """
        if not self._injections.has_taken("clock"):
            raise HarnessError("the service has no clock to move: serve a factory with a parameter clock")
        clock = self._injections.clock
        if not isinstance(clock, MovableClock):
            raise HarnessError(f"cannot move a {type(clock).__name__}: serve the service with clock=MovableClock()")
        return clock

    @property
    def registry(self) -> CollectorRegistry:
        """The registry that `metrics` reads: your argument, the one that a factory took, or the global one."""
        if self._injections.given_registry is not None or self._injections.has_taken("registry"):
            return self._injections.registry
        return REGISTRY

    @property
    def metrics(self) -> MetricsView:
        """The metrics of the service, by name and labels.

        In a registry that existed before the service, such as the global one, counters, histograms and summaries count
        from the start of the service; a gauge has its current value. Services that share a registry share its values.
        """
        is_new = self._injections.given_registry is None and self._injections.has_taken("registry")
        return MetricsView(self._injections.registry) if is_new else self._metrics_since_start

    @property
    def audit_trail(self) -> AuditTrail:
        """Exact queries over the events that this service recorded: each query settles the service first.

        Raises:
            HarnessError: No factory took the audit store, or the audit store does not deliver to a DataStorage.
        """
        if not self._injections.has_taken("audit_store"):
            raise HarnessError(
                "the events of this application are not known, because it received no audit store: query"
                " gateway_audit_trail, or serve a factory with a parameter audit_store"
            )
        return self._audit.trail(self._barrier, timeout=self._settle_timeout)

    def settle(self, timeout: float | None = None) -> FlushResult | None:
        """Wait for the requests in flight and the tasks that they started, then flush the audit store.

        Args:
            timeout: Seconds for each of the steps. Default: `settle_timeout`.

        Returns:
            The result of the flush; None if the audit store has nothing to flush.

        Raises:
            HarnessError: A request was in flight, or a task of a request ran, after the timeout. The message names it.
        """
        timeout = self._settle_timeout if timeout is None else timeout
        self.server.settle(timeout)
        return self._audit.flush(timeout)

    def wait_for(self, condition: Callable[[], bool], timeout: float = 30.0) -> None:
        """Wait for the requests of another process. Does not poll.

        Args:
            condition: Checked now and after each request to this service.
            timeout: The maximum number of seconds.

        Raises:
            HarnessError: The condition was still false after the timeout.
        """
        self.server.wait_for(condition, timeout)

    def _barrier(self, timeout: float) -> FlushResult:
        return self.settle(timeout) or _NO_FLUSH

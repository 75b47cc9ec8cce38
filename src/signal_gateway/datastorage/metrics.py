"""DataStorageMetrics: the Prometheus metrics of one DataStorage, and the middleware that times requests."""

from collections.abc import Collection

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from signal_gateway.clock import Clock

__all__ = ["AUTHENTICATION_FAILURES", "DataStorageMetrics", "RequestMetricsMiddleware"]

AUTHENTICATION_FAILURES = ("missing", "malformed", "unknown_token", "basic_for_write", "insufficient_scope")
"""The reasons for a 401 or 403: no credentials, unreadable credentials, an unknown token, HTTP Basic for a write, or a
token without the scope."""


class DataStorageMetrics:
    """The metrics of one DataStorage.

    Args:
        registry: The registry of this DataStorage, without these metrics.

    Attributes:
        events: By `result`: `accepted`, `duplicate` or `refused`.
        authentication_failures: By `reason`, one of `AUTHENTICATION_FAILURES`.
        purged: Events that were deleted at the end of their retention.
        request_seconds: By `method`, `path` (`other` for an unknown path) and `status`.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter(
            "datastorage_events",
            "Received audit events by result.",
            ["result"],
            registry=registry,
        )
        for result in ("accepted", "duplicate", "refused"):
            self.events.labels(result)
        self.authentication_failures = Counter(
            "datastorage_authentication_failures",
            "Requests without a token that allows them, by reason.",
            ["reason"],
            registry=registry,
        )
        for reason in AUTHENTICATION_FAILURES:
            self.authentication_failures.labels(reason)
        self.purged = Counter(
            "datastorage_purged", "Audit events that were deleted at the end of their retention.", registry=registry
        )
        self.request_seconds = Histogram(
            "datastorage_request_seconds",
            "Seconds from the headers of a request to the end of its response.",
            ["method", "path", "status"],
            registry=registry,
        )


class RequestMetricsMiddleware:
    """Observe every request in `DataStorageMetrics.request_seconds`.

    Args:
        app: The measured application.
        metrics: The metrics.
        clock: Measures the time.
        paths: The paths with their own label.
    """

    def __init__(self, app: ASGIApp, *, metrics: DataStorageMetrics, clock: Clock, paths: Collection[str]) -> None:
        self._app = app
        self._metrics = metrics
        self._clock = clock
        self._paths = frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        start = self._clock.monotonic()
        status = 500

        async def send_and_read_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_read_status)
        finally:
            path = scope["path"] if scope["path"] in self._paths else "other"
            seconds = self._clock.monotonic() - start
            self._metrics.request_seconds.labels(_method(scope), path, str(status)).observe(seconds)


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in ("GET", "HEAD", "POST") else "other"

"""DataStorage's own metrics, on a registry of its own."""

from collections.abc import Collection

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from signal_gateway.clock import Clock

__all__ = ["AUTHENTICATION_FAILURES", "DataStorageMetrics", "RequestMetricsMiddleware"]

AUTHENTICATION_FAILURES = ("missing", "malformed", "unknown_token", "basic_for_write", "insufficient_scope")
"""Why a request is refused: no credentials, none that can be read, a token that isn't in the file, HTTP Basic where
something would change, or a token that is good for something else."""


class DataStorageMetrics:
    """Every metric of one DataStorage.

    Args:
        registry: Where they are registered; it must not have them yet.

    Attributes:
        events: By `result`: `accepted`, `duplicate` or `refused`.
        authentication_failures: By `reason`, one of `AUTHENTICATION_FAILURES`.
        purged: Events that were deleted because their retention was over.
        request_seconds: By `method`, `path` (`other` for a path that isn't served) and `status`.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter(
            "datastorage_events",
            "Audit events that came in, by what became of them.",
            ["result"],
            registry=registry,
        )
        for result in ("accepted", "duplicate", "refused"):
            self.events.labels(result)
        self.authentication_failures = Counter(
            "datastorage_authentication_failures",
            "Requests that were refused for want of a token that allows them, by what was wrong.",
            ["reason"],
            registry=registry,
        )
        for reason in AUTHENTICATION_FAILURES:
            self.authentication_failures.labels(reason)
        self.purged = Counter(
            "datastorage_purged", "Audit events that were deleted because their retention was over.", registry=registry
        )
        self.request_seconds = Histogram(
            "datastorage_request_seconds",
            "Seconds from a request's headers to the end of its answer.",
            ["method", "path", "status"],
            registry=registry,
        )


class RequestMetricsMiddleware:
    """Observe every request in `DataStorageMetrics.request_seconds`.

    Args:
        app: What is measured.
        metrics: Where it is counted.
        clock: Measures.
        paths: The paths that get a label of their own.
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

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        finally:
            path = scope["path"] if scope["path"] in self._paths else "other"
            seconds = self._clock.monotonic() - start
            self._metrics.request_seconds.labels(_method(scope), path, str(status)).observe(seconds)


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in ("GET", "HEAD", "POST") else "other"

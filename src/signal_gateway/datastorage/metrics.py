"""DataStorageMetrics: the Prometheus metrics of one DataStorage, and the middleware that times requests."""

from collections.abc import Collection

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import Scope

__all__ = ["AUTHENTICATION_FAILURES", "DataStorageMetrics", "RequestMetrics"]

AUTHENTICATION_FAILURES = ("missing", "malformed", "unknown_token", "basic_for_write", "insufficient_scope")
"""The reasons for a 401 or 403: no credentials, unreadable credentials, an unknown token, HTTP Basic for a write, or a
token without the scope."""


class DataStorageMetrics:
    """The metrics of one DataStorage.

    Args:
        registry: The registry of this DataStorage, without these metrics.

    Attributes:
        events: By `result`: `accepted`, `duplicate` or `refused`.
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
        self._authentication_failures = Counter(
            "datastorage_authentication_failures",
            "Requests without a token that allows them, by reason.",
            ["reason"],
            registry=registry,
        )
        for reason in AUTHENTICATION_FAILURES:
            self._authentication_failures.labels(reason)
        self.purged = Counter(
            "datastorage_purged", "Audit events that were deleted at the end of their retention.", registry=registry
        )
        self.request_seconds = Histogram(
            "datastorage_request_seconds",
            "Seconds from the headers of a request to the end of its response.",
            ["method", "path", "status"],
            registry=registry,
        )

    def count_authentication_failure(self, *, reason: str) -> None:
        """Count a request that was refused; `reason` is one of `AUTHENTICATION_FAILURES`."""
        self._authentication_failures.labels(reason).inc()


class RequestMetrics:
    """Observes every request in `DataStorageMetrics.request_seconds`.

    Args:
        metrics: The metrics.
        paths: The paths with their own label.
    """

    def __init__(self, metrics: DataStorageMetrics, *, paths: Collection[str]) -> None:
        self._metrics = metrics
        self._paths = frozenset(paths)

    def begin_request(self) -> None:
        """Do nothing: DataStorage has no metric for requests in flight."""

    def end_request(self, scope: Scope, *, status: int | None, seconds: float) -> None:
        """Observe the duration; a request without a response counts as status 500."""
        path = scope["path"] if scope["path"] in self._paths else "other"
        status = 500 if status is None else status
        method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST") else "other"
        self._metrics.request_seconds.labels(method, path, str(status)).observe(seconds)

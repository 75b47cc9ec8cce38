"""DataStorage's own metrics, on a registry of its own."""

from collections.abc import Collection

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import Scope

__all__ = ["AUTHENTICATION_FAILURES", "DataStorageMetrics", "RequestMetrics"]

AUTHENTICATION_FAILURES = ("missing", "malformed", "unknown_token", "basic_for_write", "insufficient_scope")
"""Why a request is refused: no credentials, none that can be read, a token that isn't in the file, HTTP Basic where
something would change, or a token that is good for something else."""


class DataStorageMetrics:
    """Every metric of one DataStorage.

    Args:
        registry: Where they are registered; it must not have them yet.

    Attributes:
        events: By `result`: `accepted`, `duplicate` or `refused`.
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
        self._authentication_failures = Counter(
            "datastorage_authentication_failures",
            "Requests that were refused for want of a token that allows them, by what was wrong.",
            ["reason"],
            registry=registry,
        )
        for reason in AUTHENTICATION_FAILURES:
            self._authentication_failures.labels(reason)
        self.purged = Counter(
            "datastorage_purged", "Audit events that were deleted because their retention was over.", registry=registry
        )
        self.request_seconds = Histogram(
            "datastorage_request_seconds",
            "Seconds from a request's headers to the end of its answer.",
            ["method", "path", "status"],
            registry=registry,
        )

    def count_authentication_failure(self, *, reason: str) -> None:
        """Count a request that was refused; `reason` is one of `AUTHENTICATION_FAILURES`."""
        self._authentication_failures.labels(reason).inc()


class RequestMetrics:
    """Observes every request in `DataStorageMetrics.request_seconds`.

    Args:
        metrics: Takes the durations.
        paths: The paths that get a label of their own.
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
        self._metrics.request_seconds.labels(_method(scope), path, str(status)).observe(seconds)


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in ("GET", "HEAD", "POST") else "other"

"""DataStorageMetrics: the Prometheus metrics of one DataStorage."""

from prometheus_client import CollectorRegistry, Counter, Histogram

__all__ = ["AUTHENTICATION_FAILURES", "DataStorageMetrics"]

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

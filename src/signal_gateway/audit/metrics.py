"""The audit store's metrics, read from its own counters when somebody scrapes."""

import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

if TYPE_CHECKING:
    from signal_gateway.audit.store import AuditStats, BufferedAuditStore

__all__ = ["register_metrics"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def register_metrics(registry: CollectorRegistry, store: "BufferedAuditStore") -> Callable[[float], object]:
    """Put a store's metrics on a registry; one store for a registry.

    Args:
        registry: Not touched when the store closes; the last figures stay.
        store: Held weakly.

    Returns:
        What to tell how many seconds a delivery took.

    Raises:
        ValueError: The registry has the metrics of another store.
    """
    seconds = Histogram(
        "audit_delivery_seconds", "Time of one delivery to DataStorage.", buckets=_SECONDS, registry=registry
    )
    try:
        registry.register(_StoreCollector(store))
    except ValueError:
        registry.unregister(seconds)
        raise
    return seconds.observe


class _StoreCollector:
    """Turns a store's `stats` into samples."""

    def __init__(self, store: "BufferedAuditStore") -> None:
        self._store = weakref.ref(store)
        self._last: AuditStats | None = None

    def describe(self) -> Iterator[Metric]:
        """Name the metrics, so that a registry refuses a second store's."""
        yield from _families(None)

    def collect(self) -> Iterator[Metric]:
        """Read the counters, or the last that were read if the store is gone."""
        store = self._store()
        if store is not None:
            self._last = store.stats
        yield from _families(self._last)


def _families(stats: "AuditStats | None") -> Iterator[Metric]:
    def counter(name: str, text: str, value: Callable[["AuditStats"], float]) -> Metric:
        return CounterMetricFamily(name, text, value=None if stats is None else value(stats))

    def gauge(name: str, text: str, value: Callable[["AuditStats"], float]) -> Metric:
        return GaugeMetricFamily(name, text, value=None if stats is None else value(stats))

    yield counter("audit_events_recorded", "Audit events that the store took.", lambda now: now.recorded)
    yield counter("audit_events_delivered", "Audit events that DataStorage acknowledged.", lambda now: now.delivered)
    yield counter("audit_events_rejected", "Audit events that DataStorage refused for good.", lambda now: now.rejected)
    yield counter("audit_events_refused", "Audit events that the store did not take.", lambda now: now.refused)
    yield counter(
        "audit_events_adopted", "Audit events of dead stores that were delivered.", lambda now: now.recovered.delivered
    )
    yield counter("audit_delivery_retries", "Deliveries without a verdict, repeated.", lambda now: now.retries)
    yield gauge("audit_events_pending", "Audit events that wait for their delivery.", lambda now: now.pending)
    yield gauge(
        "audit_oldest_pending_seconds",
        "Seconds since the oldest pending audit event was recorded.",
        lambda now: now.oldest_pending_age,
    )

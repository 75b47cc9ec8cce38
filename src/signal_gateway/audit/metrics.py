"""register_metrics: the Prometheus metrics of an audit store, read from its counters at each scrape."""

import weakref
from collections.abc import Callable, Iterator
from typing import Protocol

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from signal_gateway.audit.stats import AuditStats

__all__ = ["ObservedStore", "delivery_histogram", "register_metrics"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class ObservedStore(Protocol):
    """A store with counters."""

    @property
    def stats(self) -> AuditStats:
        """A snapshot of the counters."""
        ...


def delivery_histogram() -> Histogram:
    """Return the metric of the duration of deliveries, not registered yet."""
    return Histogram("audit_delivery_seconds", "Time of one delivery to DataStorage.", buckets=_SECONDS, registry=None)


def register_metrics(registry: CollectorRegistry, store: ObservedStore, delivery_seconds: Histogram) -> None:
    """Register the metrics of a store. A registry can have the metrics of one store only.

    Args:
        registry: Keeps the metrics, with their last values, after the store is closed.
        store: The store, of which the registry keeps a weak reference.
        delivery_seconds: Metric that the flusher of the store updates.

    Raises:
        ValueError: The registry has the metrics of another store.
    """
    registry.register(delivery_seconds)
    try:
        registry.register(_StoreCollector(store))
    except ValueError:
        registry.unregister(delivery_seconds)
        raise


class _StoreCollector:
    """Converts the counters of a store into samples."""

    def __init__(self, store: ObservedStore) -> None:
        self._store = weakref.ref(store)
        self._last: AuditStats | None = None

    def describe(self) -> Iterator[Metric]:
        """Yield the metrics without values, by which a registry refuses a second store."""
        yield from _families(None)

    def collect(self) -> Iterator[Metric]:
        """Yield the counters of the store, or their last values if the store does not exist any more."""
        store = self._store()
        if store is not None:
            self._last = store.stats
        yield from _families(self._last)


def _families(stats: AuditStats | None) -> Iterator[Metric]:
    def counter(name: str, text: str, value: Callable[[AuditStats], float]) -> Metric:
        return CounterMetricFamily(name, text, value=None if stats is None else value(stats))

    def gauge(name: str, text: str, value: Callable[[AuditStats], float]) -> Metric:
        return GaugeMetricFamily(name, text, value=None if stats is None else value(stats))

    yield counter("audit_events_recorded", "Audit events that the store recorded.", lambda now: now.recorded)
    yield counter("audit_events_delivered", "Audit events that DataStorage acknowledged.", lambda now: now.delivered)
    yield counter("audit_events_rejected", "Audit events that DataStorage rejected.", lambda now: now.rejected)
    yield counter("audit_events_refused", "Audit events that the store refused.", lambda now: now.refused)
    yield counter("audit_events_omitted", "Audit events that event_types leaves out.", lambda now: now.omitted)
    yield counter(
        "audit_events_adopted",
        "Audit events of orphaned segments that were delivered.",
        lambda now: now.recovered.delivered,
    )
    yield counter("audit_delivery_retries", "Deliveries without a verdict, repeated.", lambda now: now.retries)
    yield gauge("audit_events_pending", "Audit events that wait for their delivery.", lambda now: now.pending)
    yield gauge(
        "audit_oldest_pending_seconds",
        "Seconds since the oldest pending audit event was recorded.",
        lambda now: now.oldest_pending_age,
    )

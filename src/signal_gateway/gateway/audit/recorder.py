"""Journal: hands a gateway's audit events to the store and counts what became of them."""

from collections import deque

from signal_gateway.audit.errors import AuditStoreClosed, AuditStoreFull
from signal_gateway.audit.event import AuditEvent
from signal_gateway.audit.stats import AuditStore
from signal_gateway.errors import GatewayError
from signal_gateway.gateway.metrics import GatewayMetrics

__all__ = ["AuditUnavailable", "Journal"]

_MOST_RECENT = 20


class AuditUnavailable(GatewayError):  # noqa: N818 - a state of the service
    """The audit store takes no events now, so nothing may be done that would have to be recorded."""


class Journal:
    """The gateway's side of the audit store, which it neither makes nor closes.

    Attributes:
        recent: The newest events that the store took, oldest first.

    Args:
        store: Where events go.
        metrics: Where they are counted.
    """

    def __init__(self, store: AuditStore, *, metrics: GatewayMetrics) -> None:
        self._store = store
        self._metrics = metrics
        self.recent: deque[AuditEvent] = deque(maxlen=_MOST_RECENT)

    def require_accepting(self) -> None:
        """Make sure that events can be recorded, before doing what they would tell.

        Raises:
            AuditUnavailable: They cannot.
        """
        if not self._store.accepting:
            raise AuditUnavailable("the audit store is not accepting events")

    def record(self, *events: AuditEvent) -> None:
        """Record events, in order.

        Raises:
            AuditUnavailable: The store is closed or full; that event and those after it were not taken.
        """
        for taken, event in enumerate(events):
            try:
                self._store.record(event)
            except (AuditStoreClosed, AuditStoreFull) as exc:
                for _ in events[taken:]:
                    self._metrics.count_audit_event(outcome="refused")
                raise AuditUnavailable(f"the audit store did not take {event.event_type}") from exc
            self._metrics.count_audit_event(outcome="recorded")
            self.recent.append(event)

"""AuditRecorder: records the audit events of a gateway in the store and counts them."""

from collections import deque

from signal_gateway.audit.errors import AuditStoreClosed, AuditStoreFull
from signal_gateway.audit.event import AuditEvent
from signal_gateway.audit.recorded_ids import RecordedIds
from signal_gateway.audit.stats import AuditStore
from signal_gateway.errors import GatewayError
from signal_gateway.gateway.metrics import GatewayMetrics

__all__ = ["AuditRecorder", "AuditUnavailable"]

_MAX_RECENT = 20


class AuditUnavailable(GatewayError):  # noqa: N818 - a state of the service
    """The audit store accepts no events now, so the gateway must not act."""


class AuditRecorder:
    """Records audit events in the store of the process, which it does not own.

    Attributes:
        recent: The newest recorded events, oldest first.
        recorded: Notes the id of each recorded event; None for no such notes.

    Args:
        store: The audit store.
        metrics: Counts the events.
    """

    def __init__(self, store: AuditStore, *, metrics: GatewayMetrics) -> None:
        self._store = store
        self._metrics = metrics
        self.recent: deque[AuditEvent] = deque(maxlen=_MAX_RECENT)
        self.recorded: RecordedIds | None = None

    def require_accepting(self) -> None:
        """Check that the store accepts events. Call this before an action that an event has to report.

        Raises:
            AuditUnavailable: The store accepts no events.
        """
        if not self._store.accepting:
            raise AuditUnavailable("the audit store is not accepting events")

    def record(self, *events: AuditEvent) -> None:
        """Record events, in order.

        Raises:
            AuditUnavailable: The store is closed or full. This event and the events after it are not recorded.
        """
        for recorded, event in enumerate(events):
            try:
                self._store.record(event)
            except (AuditStoreClosed, AuditStoreFull) as exc:
                for _ in events[recorded:]:
                    self._metrics.count_audit_event(outcome="refused")
                raise AuditUnavailable(f"the audit store refused the event {event.event_type}") from exc
            self._metrics.count_audit_event(outcome="recorded")
            self.recent.append(event)
            if self.recorded is not None:
                self.recorded.add(event.event_id)

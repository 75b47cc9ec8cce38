"""RecordingAuditStore: an audit store in memory, for unit tests."""

from signal_gateway.audit.event import AuditEvent

__all__ = ["RecordingAuditStore"]


class RecordingAuditStore:
    """Keeps the recorded events in memory, in order, and delivers none.

    Attributes:
        events: The recorded events.
        accepting: The value of `AuditStore.accepting`. Set it to False to test a service with a full store.
    """

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []
        self.accepting = True

    def record(self, event: AuditEvent) -> None:
        """Append the event."""
        self.events.append(event)

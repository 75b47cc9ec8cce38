"""RecordingAuditStore: an audit store that is a list, for unit tests."""

from signal_gateway.audit.event import AuditEvent

__all__ = ["RecordingAuditStore"]


class RecordingAuditStore:
    """Keeps what was recorded in `events`, in order; delivers nothing.

    Attributes:
        events: What was recorded.
        accepting: What `AuditStore.accepting` answers; set it to False to see how a service takes it.
    """

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []
        self.accepting = True

    def record(self, event: AuditEvent) -> None:
        """Append the event."""
        self.events.append(event)

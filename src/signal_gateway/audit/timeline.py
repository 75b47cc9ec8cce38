"""StoredEvent: an audit event as DataStorage returns it; timeline: a table of events for a terminal."""

from collections.abc import Collection, Sequence
from typing import Self

from signal_gateway._machine import machine
from signal_gateway.audit.event import AuditEvent

__all__ = ["MAX_ROWS", "StoredEvent", "timeline", "without_control_characters"]

MAX_ROWS = 60
"""Maximum rows of a table. A longer timeline shows its first and its last events."""

_HEADINGS = ("time (UTC)", "offset", "event_type", "outcome", "correlation_id", "event_id")


class StoredEvent(AuditEvent):
    """An audit event as DataStorage returns it.

    Attributes:
        event_date: UTC day of the event.
        sequence: Position in the order of storage.
        received_at: Time at which DataStorage received the event.
        clock_skew: Whether the timestamp was more than an hour ahead of `received_at`.
    """

    event_date: machine.date | None = None
    sequence: int | None = None
    received_at: machine.datetime | None = None
    clock_skew: bool | None = None

    @classmethod
    def from_wire(cls, document: object) -> Self:
        """Validate a stored event; see `AuditEvent.from_wire`. The Go original writes 0 for days that it does not read.

        Args:
            document: The decoded JSON.

        Raises:
            pydantic.ValidationError: A member is missing or violates a rule.
        """
        if isinstance(document, dict) and document.get("retention_days") == 0:
            document = {name: value for name, value in document.items() if name != "retention_days"}
        return super().from_wire(document)


def timeline(events: Sequence[StoredEvent], *, marked: Collection[str] = ()) -> str:
    """Return a table of the events, with the number of omitted ones.

    Args:
        events: Oldest first. Offsets are seconds from the first event.
        marked: Ids of the events to mark with an arrow.
    """
    if not events:
        return "  (no events)"
    first, last = events[: MAX_ROWS // 2], events[MAX_ROWS // 2 :][-MAX_ROWS // 2 :]
    rows = [_HEADINGS, *(_row(event, events[0]) for event in (*first, *last))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    arrows = ["  ", *("→ " if event.event_id in marked else "  " for event in (*first, *last))]
    lines = [arrow + "  ".join(map(str.ljust, row, widths)).rstrip() for arrow, row in zip(arrows, rows, strict=True)]
    omitted = len(events) - len(first) - len(last)
    if omitted:
        lines.insert(1 + len(first), f"  … {omitted} events between them are left out …")
    return "\n".join(lines)


def without_control_characters(text: str) -> str:
    """Return the text with escaped control characters, safe to print on a terminal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _row(event: StoredEvent, first: StoredEvent) -> tuple[str, ...]:
    offset = (event.event_timestamp - first.event_timestamp).total_seconds()
    return (
        f"{event.event_timestamp:%H:%M:%S.%f}",
        f"{offset:+.3f}s",
        without_control_characters(event.event_type),
        event.event_outcome,
        without_control_characters(event.correlation_id),
        event.event_id,
    )

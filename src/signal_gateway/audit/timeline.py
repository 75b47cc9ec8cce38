"""Audit events as a table for a terminal."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from signal_gateway.audit.trail import StoredEvent

__all__ = ["MAX_ROWS", "timeline", "without_control_characters"]

MAX_ROWS = 60
"""How many events a table shows: of more, the first and the last."""

_HEADINGS = ("time (UTC)", "offset", "event_type", "outcome", "correlation_id", "event_id")


def timeline(events: "Sequence[StoredEvent]", *, marked: Collection[str] = ()) -> str:
    """Return a table of events in their order; what it leaves out it counts.

    Args:
        events: Oldest first; the offsets are seconds from the first.
        marked: Ids of the events that an arrow points to.
    """
    if not events:
        return "  (no events)"
    first, last = events[: MAX_ROWS // 2], events[MAX_ROWS // 2 :][-MAX_ROWS // 2 :]
    rows = [_HEADINGS, *(_row(event, events[0]) for event in (*first, *last))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    arrows = ["  ", *("→ " if event.event_id in marked else "  " for event in (*first, *last))]
    lines = [arrow + "  ".join(map(str.ljust, row, widths)).rstrip() for arrow, row in zip(arrows, rows, strict=True)]
    left_out = len(events) - len(first) - len(last)
    if left_out:
        lines.insert(1 + len(first), f"  … {left_out} events between them are left out …")
    return "\n".join(lines)


def without_control_characters(text: str) -> str:
    """Return a text that others wrote with its control characters escaped, so that none reaches the terminal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _row(event: "StoredEvent", first: "StoredEvent") -> tuple[str, ...]:
    offset = (event.event_timestamp - first.event_timestamp).total_seconds()
    return (
        f"{event.event_timestamp:%H:%M:%S.%f}",
        f"{offset:+.3f}s",
        without_control_characters(event.event_type),
        event.event_outcome,
        without_control_characters(event.correlation_id),
        event.event_id,
    )

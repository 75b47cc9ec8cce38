"""The events of both campaigns: numbered for each writer, and some marked as bad."""

from dataclasses import dataclass
from typing import Any

from signal_gateway.audit import AuditEvent

__all__ = ["Order", "order_event", "read_order"]


@dataclass(frozen=True, slots=True)
class Order:
    """What a server finds out about one event.

    Attributes:
        event_id: Its idempotency key.
        writer: Who recorded it.
        number: Which of that writer's events it is, from 0.
        bad: Whether the server is to refuse it for good.
    """

    event_id: str
    writer: str
    number: int
    bad: bool


def order_event(writer: str, number: int, *, bad: bool = False, filler: str = "") -> AuditEvent:
    return AuditEvent(
        event_type="order.placed",
        event_category="order",
        event_action="placed",
        event_outcome="success",
        correlation_id=f"{writer}/{number}",
        severity="bad" if bad else None,
        event_data={"event_type": "order.placed", "writer": writer, "number": number, "filler": filler},
    )


def read_order(document: dict[str, Any]) -> Order:
    data = document["event_data"]
    return Order(document["event_id"], data["writer"], data["number"], document.get("severity") == "bad")

"""Events for tests of what reads them: put into a DataStorage as another service's store would."""

from datetime import UTC, datetime, timedelta

from signal_gateway.audit import AuditEvent, DataStorageClient
from signal_gateway.audit.client.results import BatchAccepted


def order_event(number: int = 0, *, age: timedelta = timedelta(), **fields: object) -> AuditEvent:
    """Return an event of an order that happened some time ago."""
    members = {
        "event_type": "order.placed",
        "event_timestamp": datetime.now(UTC) - age,
        "event_category": "order",
        "event_action": "placed",
        "event_outcome": "success",
        "correlation_id": "order-1",
        **fields,
    }
    return AuditEvent.model_validate(
        members | {"event_data": {"event_type": members["event_type"], "number": number, "shop": f"s-{number % 2}"}}
    )


def store_events(client: DataStorageClient, *events: AuditEvent) -> list[str]:
    """Store events in this order, in batches that every DataStorage takes, and return their ids."""
    for start in range(0, len(events), 1000):
        batch = events[start : start + 1000]
        body = b"[" + b",".join(event.to_wire() for event in batch) + b"]"
        answer = client.deliver(body, len(batch))
        assert isinstance(answer, BatchAccepted), answer
    return [event.event_id for event in events]

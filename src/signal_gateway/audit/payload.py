"""Payload: an event as the bytes that will be sent, checked once more."""

import orjson

from signal_gateway.audit.errors import InvalidAuditEvent
from signal_gateway.audit.event import AuditEvent, encoded_event_data

__all__ = ["encoded"]


def encoded(event: AuditEvent, *, max_bytes: int) -> bytes:
    """Encode an event for its delivery.

    Args:
        event: An event; it was valid when it was made, but its `event_data` can be changed.
        max_bytes: Most bytes of a batch.

    Returns:
        One JSON object.

    Raises:
        InvalidAuditEvent: It is no AuditEvent, breaks a rule by now, or fits into no batch.
    """
    if not isinstance(event, AuditEvent):
        raise InvalidAuditEvent(f"record takes an AuditEvent, not {type(event).__name__} {event!r:.200}")
    try:
        encoded_event_data(event.event_data)
        payload = event.to_wire()
    except (ValueError, orjson.JSONEncodeError) as exc:
        raise InvalidAuditEvent(f"event_data of {event.event_type} {event.event_id} was changed and now {exc}") from exc
    inner = event.event_data.get("event_type")
    if inner != event.event_type:
        raise InvalidAuditEvent(
            f"event_data of {event.event_id} was changed and now has event_type {inner!r}, not {event.event_type!r}"
        )
    if len(payload) + 2 > max_bytes:  # with the brackets around it
        raise InvalidAuditEvent(
            f"{event.event_type} {event.event_id} is {len(payload)} bytes of JSON and does not fit into a batch of"
            f" {max_bytes}: shorten it, or raise max_batch_bytes"
        )
    return payload

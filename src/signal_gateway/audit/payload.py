"""Payload: an event as the bytes that will be sent, checked once more."""

import orjson

from signal_gateway.audit.errors import InvalidAuditEvent
from signal_gateway.audit.event import MAX_EVENT_DATA_BYTES, AuditEvent, encoded_event_data

__all__ = ["encoded"]

_BACKSLASH = ord("\\")


def encoded(event: AuditEvent, max_bytes: int) -> bytes:
    """Encode an event for its delivery.

    It was valid when it was made, but its `event_data` can be changed. What that can do to its size, its NUL characters
    and its type is looked at again, as far as the encoded bytes give reason to; the rest is for the server to say.

    Args:
        event: An event.
        max_bytes: Most bytes of a batch.

    Returns:
        One JSON object.

    Raises:
        InvalidAuditEvent: It is no AuditEvent, breaks a rule by now, or fits into no batch.
    """
    if isinstance(event, AuditEvent) and event.event_data.get("event_type") == event.event_type:
        try:
            payload = event.to_wire()
        except orjson.JSONEncodeError:
            return _checked(event, max_bytes=max_bytes)
        size = len(payload)
        if size <= MAX_EVENT_DATA_BYTES and size + 2 <= max_bytes and _BACKSLASH not in payload:
            return payload
    return _checked(event, max_bytes=max_bytes)


def _checked(event: AuditEvent, *, max_bytes: int) -> bytes:
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

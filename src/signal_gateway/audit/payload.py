"""Payload: an event as the bytes that will be sent, its size checked once more."""

import orjson

from signal_gateway.audit.errors import InvalidAuditEvent
from signal_gateway.audit.event import MAX_EVENT_DATA_BYTES, AuditEvent, encoded_event_data

__all__ = ["certain_bytes", "encoded"]


def certain_bytes(max_bytes: int) -> int:
    """Return how long an event may be for certain to have no part that is too long.

    Args:
        max_bytes: Most bytes of a batch.
    """
    return min(MAX_EVENT_DATA_BYTES, max_bytes - 2)  # the brackets of the array


def encoded(event: AuditEvent, fine_bytes: int, max_bytes: int) -> tuple[bytes, int]:
    """Encode an event for its delivery.

    It was valid when it was made, but its `event_data` can be changed; its size is looked at again. What else may be
    wrong with it by now is for the server to say.

    Args:
        event: An event.
        fine_bytes: `certain_bytes(max_bytes)`.
        max_bytes: Most bytes of a batch.

    Returns:
        One JSON object, and the event's lane.

    Raises:
        InvalidAuditEvent: It is no AuditEvent, is no JSON or too large by now, or fits into no batch.
    """
    if isinstance(event, AuditEvent):
        try:
            found = event.encoded()
        except orjson.JSONEncodeError as exc:
            raise _changed(event, f"is not JSON: {exc}") from exc
        if len(found[0]) <= fine_bytes:
            return found
    return _checked(event, max_bytes=max_bytes)


def _checked(event: AuditEvent, *, max_bytes: int) -> tuple[bytes, int]:
    if not isinstance(event, AuditEvent):
        raise InvalidAuditEvent(f"record takes an AuditEvent, not {type(event).__name__} {event!r:.200}")
    try:
        encoded_event_data(event.event_data)
    except ValueError as exc:
        raise _changed(event, str(exc)) from exc
    payload, lane = event.encoded()
    if len(payload) + 2 > max_bytes:
        raise InvalidAuditEvent(
            f"{event.event_type} {event.event_id} is {len(payload)} bytes of JSON and does not fit into a batch of"
            f" {max_bytes}: shorten it, or raise max_batch_bytes"
        )
    return payload, lane


def _changed(event: AuditEvent, what: str) -> InvalidAuditEvent:
    return InvalidAuditEvent(f"event_data of {event.event_type} {event.event_id} was changed and now {what}")

"""An event's two other forms: the row that is stored, and the JSON that is read."""

from datetime import UTC, datetime, timedelta

import orjson

from signal_gateway.audit.event import AuditEvent
from signal_gateway.datastorage.backend import EventRow, StoredEvent

__all__ = ["MAX_CLOCK_LEAD", "has_same_content", "microseconds", "row_of", "to_json"]

MAX_CLOCK_LEAD = timedelta(hours=1)
"""How far an event's timestamp may be ahead of its arrival before it is marked `clock_skew`."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    """Return microseconds since the epoch, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def row_of(event: AuditEvent, *, received_at: int) -> EventRow:
    """Write an event as it is stored, with the server's defaults for the actor and the resource.

    Args:
        event: A valid event.
        received_at: Microseconds since the epoch.
    """
    envelope = {field: value for field, value in event.__dict__.items() if value is not None and field != "event_data"}
    envelope.setdefault("actor_type", "service")
    envelope.setdefault("actor_id", f"{event.event_category}-service")
    envelope.setdefault("resource_type", event.event_category)
    envelope.setdefault("resource_id", event.correlation_id)
    return EventRow(
        event.event_id,
        microseconds(event.event_timestamp),
        received_at,
        event.event_type,
        event.event_category,
        event.event_outcome,
        event.correlation_id,
        event.severity,
        orjson.dumps(envelope).decode(),
        orjson.dumps(event.event_data).decode(),
    )


def to_json(event: StoredEvent) -> bytes:
    """Write an event as it is read: its wire members, and what the server adds.

    The stored JSON is taken as it is, so that no number or text changes on the way out.
    """
    happened = _EPOCH + event.event_timestamp * _MICROSECOND
    received = _EPOCH + event.received_at * _MICROSECOND
    added: dict[str, object] = {"event_date": happened.date(), "sequence": event.sequence, "received_at": received}
    if happened - received > MAX_CLOCK_LEAD:
        added["clock_skew"] = True
    return b"".join(
        (
            event.envelope[:-1].encode(),
            b',"event_data":',
            event.event_data.encode(),
            b",",
            orjson.dumps(added)[1:],
        )
    )


def has_same_content(one: EventRow | StoredEvent, other: EventRow | StoredEvent) -> bool:
    """Tell whether two events say the same; the order of JSON members and the time of arrival don't count."""
    return _same_json(one.envelope, other.envelope) and _same_json(one.event_data, other.event_data)


def _same_json(one: str, other: str) -> bool:
    return one == other or _sorted(one) == _sorted(other)


def _sorted(document: str) -> bytes:
    # comparing decoded objects would take 1, 1.0 and true for the same
    return orjson.dumps(orjson.loads(document), option=orjson.OPT_SORT_KEYS)

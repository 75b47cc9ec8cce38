"""From a request's body to valid events, or to a 400 that names every item at fault."""

import asyncio
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from signal_gateway.audit.event import AuditEvent
from signal_gateway.datastorage.backend import EventRow
from signal_gateway.datastorage.http.response_models import ItemError
from signal_gateway.datastorage.record import row_of, rows_of
from signal_gateway.web.problem import Problem

__all__ = ["read_batch", "read_event"]

# about a millisecond's work
_EVENTS_PER_TURN = 200
_UUID_TEXT_LENGTH = 36

# a refusal names every bad item, and says of each what is wrong in at most so many words
_MAX_ERRORS_PER_ITEM = 5
_MAX_REASON_LENGTH = 300


def read_event(body: bytes) -> AuditEvent:
    """Read a body that holds one event.

    Raises:
        Problem: 400; see `read_batch`.
    """
    event = _event_or_errors(0, _json(body))
    if not isinstance(event, AuditEvent):
        raise _refusal("The event is not valid", event)
    return event


async def read_batch(body: bytes, *, max_events: int, received_at: int) -> Sequence[EventRow]:
    """Read a body that holds an array of events, giving way to other requests now and then.

    Args:
        body: JSON.
        max_events: The largest batch that is taken.
        received_at: When it came in, in microseconds since the epoch.

    Raises:
        Problem: 400. For a batch with bad items its member `errors` has an object `{index, event_id, field,
            reason}` for what is wrong with each of them, five at the most; `event_id` and `field` may be null.
    """
    items = _json(body)
    if not isinstance(items, list):
        raise Problem(400, "The body must be a JSON array of events; one event alone goes to /api/v1/audit/events.")
    if not 1 <= len(items) <= max_events:
        raise Problem(400, f"The batch has {len(items)} events; send 1 to {max_events}.")

    rows: list[EventRow] = []
    errors: list[ItemError] = []
    bad_items = 0
    for start in range(0, len(items), _EVENTS_PER_TURN):
        await asyncio.sleep(0)
        turn = items[start : start + _EVENTS_PER_TURN]
        if (rows_in_turn := rows_of(turn, received_at=received_at)) is not None:
            rows.extend(rows_in_turn)
            continue
        for index, item in enumerate(turn, start):
            event = _event_or_errors(index, item)
            if isinstance(event, AuditEvent):
                rows.append(row_of(event, received_at=received_at))
            else:
                bad_items += 1
                errors.extend(event)
    if errors:
        raise _refusal(f"{bad_items} of {len(items)} events are not valid and nothing was stored", errors)
    return rows


def _json(body: bytes) -> Any:
    try:
        # orjson would turn a whole number of more than 64 bits into a float in silence
        return from_json(body, cache_strings="keys")  # most values are never seen again
    except ValueError as exc:
        raise Problem(400, f"The body is not JSON: {exc}.") from exc


def _event_or_errors(index: int, item: Any) -> AuditEvent | list[ItemError]:
    try:
        return AuditEvent.from_wire(item)
    except ValidationError as exc:
        event_id = item.get("event_id") if isinstance(item, dict) else None
        if not isinstance(event_id, str) or len(event_id) > _UUID_TEXT_LENGTH:
            event_id = None
        return [
            ItemError(
                index=index,
                event_id=event_id,
                field=".".join(str(part) for part in error["loc"]) or None,
                reason=_cut(str(error["ctx"]["error"]) if error["type"] == "value_error" else error["msg"]),
            )
            for error in exc.errors(include_url=False, include_input=False)[:_MAX_ERRORS_PER_ITEM]
        ]


def _cut(reason: str) -> str:
    """Keep a reason that quotes what was sent from becoming as large as that."""
    return reason if len(reason) <= _MAX_REASON_LENGTH else f"{reason[: _MAX_REASON_LENGTH - 1]}…"


def _refusal(what: str, errors: list[ItemError]) -> Problem:
    first = errors[0]
    detail = f"{what}; the first: item {first.index}, {first.field or 'the item itself'}: {first.reason}"
    return Problem(400, detail, members={"errors": errors})

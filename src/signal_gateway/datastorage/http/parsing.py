"""Parsing: converts request bodies to valid events, or to a 400 with every invalid item."""

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

# about a millisecond of work
_EVENTS_PER_TURN = 200
_UUID_TEXT_LENGTH = 36

# a 400 lists every invalid item, with a limited text for each
_MAX_ERRORS_PER_ITEM = 5
_MAX_REASON_LENGTH = 300


def read_event(body: bytes) -> AuditEvent:
    """Parse a body with one event.

    Raises:
        Problem: 400; see `read_batch`.
    """
    event = _event_or_errors(0, _json(body))
    if not isinstance(event, AuditEvent):
        raise _invalid("The event is not valid", event)
    return event


async def read_batch(body: bytes, *, max_events: int, received_at: int) -> Sequence[EventRow]:
    """Parse a body with an array of events. Other requests get their turn in between.

    Args:
        body: JSON.
        max_events: The most events of a batch.
        received_at: The time of arrival, in microseconds since the epoch.

    Raises:
        Problem: 400. Its member `errors` has an object `{index, event_id, field, reason}` for each error of an item,
            at most five for one item; `event_id` and `field` may be null.
    """
    items = _json(body)
    if not isinstance(items, list):
        raise Problem(400, "The body must be a JSON array of events. POST a single event to /api/v1/audit/events.")
    if not 1 <= len(items) <= max_events:
        raise Problem(400, f"The batch has {len(items)} events; send 1 to {max_events}.")

    rows: list[EventRow] = []
    errors: list[ItemError] = []
    invalid_items = 0
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
                invalid_items += 1
                errors.extend(event)
    if errors:
        raise _invalid(f"{invalid_items} of {len(items)} events are not valid, nothing was stored", errors)
    return rows


def _json(body: bytes) -> Any:
    try:
        # orjson silently converts an integer of more than 64 bits to a float
        return from_json(body, cache_strings="keys")  # most values occur once
    except ValueError as exc:
        raise Problem(400, f"The body is not valid JSON: {exc}.") from exc


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
                reason=_cut(
                    str(error["ctx"]["error"]) if "ctx" in error and error["type"] == "value_error" else error["msg"]
                ),
            )
            for error in exc.errors(include_url=False, include_input=False)[:_MAX_ERRORS_PER_ITEM]
        ]


def _cut(reason: str) -> str:
    """Limit the length of a reason, which may quote the body."""
    return reason if len(reason) <= _MAX_REASON_LENGTH else f"{reason[: _MAX_REASON_LENGTH - 1]}…"


def _invalid(summary: str, errors: list[ItemError]) -> Problem:
    first = errors[0]
    detail = f"{summary}. The first error: item {first.index}, {first.field or 'the item itself'}: {first.reason}"
    return Problem(400, detail, members={"errors": errors})

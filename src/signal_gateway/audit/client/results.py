"""DeliveryResult: what DataStorage's answer to a batch means for the events in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import orjson

__all__ = [
    "BatchAccepted",
    "BatchRejected",
    "BatchTooLarge",
    "BatchUndelivered",
    "DeliveryResult",
    "describe",
    "read_result",
]

_MAX_RETRY_AFTER = 3600.0
_SHOWN_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class BatchAccepted:
    """Every event of the batch is stored, or taken by a server that answers 202."""


@dataclass(frozen=True, slots=True)
class BatchTooLarge:
    """The batch is larger than the server takes.

    Attributes:
        reason: What the server said.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class BatchRejected:
    """The server finds fault with the events and stored none of them.

    Attributes:
        reason: What the server said about the batch.
        items: What it said about single events, by their index in the batch; empty when it named none.
    """

    reason: str
    items: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BatchUndelivered:
    """No verdict about the events: the server or the set-up is at fault, so they are kept.

    Attributes:
        reason: What went wrong.
        retry_after: Seconds that the server asked to be left alone, at most an hour: a broken clock there must
            not park the queue for days.
    """

    reason: str
    retry_after: float | None = None


DeliveryResult = BatchAccepted | BatchTooLarge | BatchRejected | BatchUndelivered


def read_result(
    status: int, headers: Mapping[str, str], content: bytes, *, count: int, now: datetime
) -> DeliveryResult:
    """Say what an HTTP response to a batch means.

    Args:
        status: HTTP status.
        headers: Response headers, by their names in lower case or in any case if the mapping ignores it.
        content: The whole body.
        count: How many events were sent.
        now: The wall-clock time, for a Retry-After that is a date.

    Returns:
        Anything but an acknowledgement or a verdict about the events is `BatchUndelivered`.
    """
    said = describe(status, headers, content)
    match status:
        case HTTPStatus.ACCEPTED:
            return BatchAccepted()
        case HTTPStatus.CREATED:
            document = _json_object(content)
            event_ids = document.get("event_ids")
            if isinstance(event_ids, list) and len(event_ids) == count:
                return BatchAccepted()
            listed = len(event_ids) if isinstance(event_ids, list) else "no"
            return BatchUndelivered(f"{said}: {listed} event_ids for {count} events")
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return BatchTooLarge(said)
        case HTTPStatus.BAD_REQUEST | HTTPStatus.UNPROCESSABLE_ENTITY if (
            _media_type(headers) == "application/problem+json"
        ):
            return BatchRejected(said, _named_items(_json_object(content), count=count, reason=said))
        case _:
            return BatchUndelivered(said, _retry_after(headers.get("retry-after"), now))


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _json_object(content: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def describe(status: int, headers: Mapping[str, str], content: bytes) -> str:
    """Say in a few words what a server answered: the status and its own words, or else the content type."""
    document = _json_object(content)
    detail = document.get("detail") or document.get("message") or document.get("title")
    if not isinstance(detail, str):
        detail = _media_type(headers) or "no content type"
    location = headers.get("location")
    moved = f", to {location}" if location and 300 <= status < 400 else ""
    return f"answered {status} ({detail[:_SHOWN_CHARACTERS]}){moved}"


def _named_items(problem: Mapping[str, Any], *, count: int, reason: str) -> dict[int, str]:
    errors = problem.get("errors")
    items: dict[int, str] = {}
    for error in errors if isinstance(errors, list) else [problem]:
        if not isinstance(error, dict):
            continue
        index = error.get("index")
        if isinstance(index, int) and not isinstance(index, bool) and 0 <= index < count:
            said = ": ".join(str(error[key]) for key in ("field", "reason", "detail", "message") if error.get(key))
            items[index] = f"{items[index]}; {said}" if index in items else said or reason
    return items


def _retry_after(value: str | None, now: datetime) -> float | None:
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _MAX_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - now).total_seconds(), 0.0), _MAX_RETRY_AFTER)

"""DeliveryResult: the meaning of DataStorage's response for the events of a batch."""

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
    """DataStorage stored all events of the batch (201), or accepted them for storage (202)."""


@dataclass(frozen=True, slots=True)
class BatchTooLarge:
    """The batch exceeds a limit of DataStorage.

    Attributes:
        reason: Reason that DataStorage gave.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class BatchRejected:
    """DataStorage rejected events and stored none of the batch.

    Attributes:
        reason: Reason for the batch.
        items: Reasons for single events, by their index in the batch; empty if DataStorage named none.
    """

    reason: str
    items: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BatchUndelivered:
    """No verdict on the events, because of a failure of the network, the server or the configuration.

    Attributes:
        reason: The failure.
        retry_after: Seconds to wait, from `Retry-After`, at most an hour: a wrong clock of the server must not stop
            the delivery for days.
    """

    reason: str
    retry_after: float | None = None


DeliveryResult = BatchAccepted | BatchTooLarge | BatchRejected | BatchUndelivered


def read_result(
    status: int, headers: Mapping[str, str], content: bytes, *, count: int, now: datetime
) -> DeliveryResult:
    """Return the meaning of an HTTP response for a batch.

    Args:
        status: HTTP status.
        headers: Response headers, with names in lower case or in a case-insensitive mapping.
        content: Complete body.
        count: Number of events in the batch.
        now: Wall-clock time, for a `Retry-After` with a date.

    Returns:
        `BatchUndelivered` for any response that is neither an acknowledgement nor a verdict.
    """
    if status == HTTPStatus.ACCEPTED:
        return BatchAccepted()
    if status == HTTPStatus.CREATED:
        try:
            event_ids = orjson.loads(content)["event_ids"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            event_ids = None
        if isinstance(event_ids, list) and len(event_ids) == count:
            return BatchAccepted()
        listed = len(event_ids) if isinstance(event_ids, list) else "no"
        return BatchUndelivered(f"{describe(status, headers, content)}: {listed} event_ids for {count} events")
    reason = describe(status, headers, content)
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return BatchTooLarge(reason)
    is_problem = _media_type(headers) == "application/problem+json"
    if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY) and is_problem:
        return BatchRejected(reason, _named_items(_json_object(content), count=count, reason=reason))
    return BatchUndelivered(reason, _retry_after(headers.get("retry-after"), now))


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _json_object(content: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def describe(status: int, headers: Mapping[str, str], content: bytes) -> str:
    """Describe a response in a few words: its status, and its detail or else its content type."""
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

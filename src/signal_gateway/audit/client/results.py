"""DeliveryResult: the meaning of DataStorage's response for the events of a batch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from operator import itemgetter
from typing import Any, Literal
from uuid import UUID

import orjson

from signal_gateway.audit.client.translation import KUBERNAUT_PROBLEMS

__all__ = [
    "BATCH_PATH",
    "Acknowledgement",
    "BatchAccepted",
    "BatchRejected",
    "BatchTooLarge",
    "BatchUndelivered",
    "DeliveryResult",
    "SentBatch",
    "describe",
    "is_problem_of_kubernaut",
    "read_result",
]

BATCH_PATH = "/api/v1/audit/events/batch"
"""Path of the endpoint for batches, behind the path of the URL."""

_MAX_RETRY_AFTER = 3600.0
_SHOWN_CHARACTERS = 300

_BEFORE_ID = b'{"version":"1.0","event_id":"'  # the usual beginning of an event
_ID = itemgetter(slice(36))  # of the bytes behind that


@dataclass(frozen=True, slots=True)
class SentBatch:
    """The batch of a request.

    Attributes:
        body: JSON array of events.
        count: Number of events.
    """

    body: bytes
    count: int


@dataclass(frozen=True, slots=True)
class BatchAccepted:
    """DataStorage stored all events of the batch, and named them in its response."""


@dataclass(frozen=True, slots=True)
class BatchTooLarge:
    """The batch exceeds a limit of DataStorage, or of a proxy in front of it.

    Attributes:
        reason: Reason that the server gave.
        is_verdict: Whether DataStorage itself says so. A single event that only a proxy finds too large is kept.
    """

    reason: str
    is_verdict: bool = True


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


Acknowledgement = Literal["event_ids", "event_count"]
"""Proof that a 201 acknowledges a batch: the ids of its events, or as many ids of a server that assigns its own."""

DeliveryResult = BatchAccepted | BatchTooLarge | BatchRejected | BatchUndelivered


def read_result(
    status: int,
    headers: Mapping[str, str],
    content: bytes,
    *,
    batch: SentBatch,
    now: datetime,
    acknowledgement: Acknowledgement = "event_ids",
) -> DeliveryResult:
    """Return the meaning of an HTTP response for a batch.

    Args:
        status: HTTP status.
        headers: Response headers, with names in lower case or in a case-insensitive mapping.
        content: Complete body.
        batch: The batch that was sent.
        now: Wall-clock time, for a `Retry-After` with a date.
        acknowledgement: Proof that a 201 is an acknowledgement.

    Returns:
        `BatchUndelivered` for any response that is neither an acknowledgement nor a verdict. Only a 201 can be an
        acknowledgement: a mock, a cassette or a proxy may give any 2xx. Only a problem of DataStorage itself is a
        verdict that gives an event up: it names events of the batch, or the path of the request as its `instance`, or
        its `type` is one of kubernaut's DataStorage, whose problems have neither.
    """
    if status == HTTPStatus.CREATED:
        missing = _missing_acknowledgement(content, batch, acknowledgement)
        if missing is None:
            return BatchAccepted()
        return BatchUndelivered(f"{describe(status, headers, content)}, no acknowledgement: {missing}")
    reason = describe(status, headers, content)
    problem = _problem(headers, content)
    items = _named_items(problem, count=batch.count, reason=reason)
    is_own = bool(items) or _names_the_service(problem)
    if status >= 400 and not is_own:
        reason = f"{reason}, in the words of a proxy or another server"
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return BatchTooLarge(reason, is_verdict=is_own)
    if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY) and is_own:
        return BatchRejected(reason, items)
    if 200 <= status < 300:
        reason = f"{reason}, no acknowledgement: DataStorage answers 201. Check the URL, this may be a mock or a proxy"
    return BatchUndelivered(reason, _retry_after(headers.get("retry-after"), now))


def _names_the_service(problem: Mapping[str, Any]) -> bool:
    return str(problem.get("instance")).rstrip("/").endswith(BATCH_PATH) or _has_type_of_kubernaut(problem)


def _has_type_of_kubernaut(problem: Mapping[str, Any]) -> bool:
    return str(problem.get("type")).startswith(KUBERNAUT_PROBLEMS)


def is_problem_of_kubernaut(headers: Mapping[str, str], content: bytes) -> bool:
    """Return whether a response is a problem of kubernaut's DataStorage."""
    return _has_type_of_kubernaut(_problem(headers, content))


def _problem(headers: Mapping[str, str], content: bytes) -> dict[str, Any]:
    return _json_object(content) if _media_type(headers) == "application/problem+json" else {}


def _missing_acknowledgement(content: bytes, batch: SentBatch, acknowledgement: Acknowledgement) -> str | None:
    """Return why the body of a 201 does not acknowledge a batch; None if it does."""
    named = _json_object(content).get("event_ids")
    if not isinstance(named, list):
        return f"its body has no event_ids for {batch.count} events"
    if len(named) != batch.count:
        return f"its body has {len(named)} event_ids for {batch.count} events"
    # decoding the array takes ten times as long, and is needed only for events with an unusual beginning
    found = b" ".join(map(_ID, batch.body.split(_BEFORE_ID)[1:])).decode(errors="replace").split(" ")
    if named == found or named == [event["event_id"] for event in orjson.loads(batch.body)]:
        return None
    if acknowledgement == "event_count":
        are_assigned = len(set(filter(_is_uuid, named))) == len(named)
        return None if are_assigned else "its event_ids are not distinct UUIDs"
    return f"its event_ids name other events, the first is {named[0]!r:.50}"


def _is_uuid(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(UUID(value))
    except ValueError:
        return False


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

"""AuditFilters, EventPage and Limits: what DataStorage is asked, and what it answers."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict

import orjson

__all__ = ["AuditFilters", "EventPage", "Limits", "parameters", "read_limits", "read_lines", "read_page"]


class AuditFilters(TypedDict, total=False):
    """What an audit query may ask for; every filter is exact, and they are all to be met.

    Attributes:
        correlation_id: Whole correlation id.
        event_type: Whole event type.
        event_category: Whole category.
        event_outcome: `success`, `failure` or `pending`.
        severity: Whole severity.
        since: From then on; an aware datetime, or a text that the server reads (RFC 3339, a date, `24h`).
        until: Until then; the same forms.
        detail_key: A key of `event_data`; together with `detail_value`.
        detail_value: Its value.
    """

    correlation_id: str
    event_type: str
    event_category: str
    event_outcome: str
    severity: str
    since: datetime | str
    until: datetime | str
    detail_key: str
    detail_value: str


@dataclass(frozen=True, slots=True)
class EventPage:
    """One page of a query.

    Attributes:
        events: The events as the server sent them, decoded.
        total: How many match in all.
        has_more: Whether another page follows.
        cursor: Where it begins, from a server that has cursors.
    """

    events: tuple[dict[str, Any], ...]
    total: int
    has_more: bool
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a DataStorage takes.

    Attributes:
        max_batch: Events in a batch.
        max_body_bytes: Bytes of a request's body.
        max_event_bytes: Bytes of one event's `event_data`.
    """

    max_batch: int
    max_body_bytes: int
    max_event_bytes: int


def parameters(filters: AuditFilters) -> dict[str, str]:
    """Return the filters as the query parameters of a URL."""
    return {name: value.isoformat() if isinstance(value, datetime) else str(value) for name, value in filters.items()}


def read_page(content: bytes) -> EventPage:
    """Read the body of an answer.

    Raises:
        ValueError: It is none that a DataStorage gives; the message says what is missing.
    """
    try:
        document = orjson.loads(content)
        pagination = document["pagination"]
        return EventPage(
            events=tuple(document["data"]),
            total=int(pagination["total"]),
            has_more=bool(pagination["has_more"]),
            cursor=pagination.get("next_cursor"),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as exc:
        raise ValueError("without 'data' and 'pagination'") from exc


def read_limits(content: bytes) -> Limits:
    """Read the body of an answer.

    Raises:
        ValueError: It is none that a DataStorage gives; the message says what is missing.
    """
    try:
        document = orjson.loads(content)
        names = ("max_batch", "max_body_bytes", "max_event_bytes")
        limits = [document[name] for name in names]
    except (orjson.JSONDecodeError, KeyError, TypeError) as exc:
        raise ValueError("without 'max_batch', 'max_body_bytes' and 'max_event_bytes'") from exc
    for name, limit in zip(names, limits, strict=True):
        if type(limit) is not int or limit < 1:
            raise ValueError(f"with {name} = {limit!r}")
    return Limits(*limits)


def read_lines(chunks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the events of an export, holding one line and one chunk at a time.

    Args:
        chunks: The NDJSON, cut anywhere.

    Raises:
        ValueError: A line is no JSON object, or the last one has no end.
    """
    parts: list[bytes] = []  # of a line whose end has not come; joined once, however many chunks it takes
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        parts.append(first)
        for other in others:
            yield _read_line(b"".join(parts))
            parts = [other]
    if any(parts):
        raise ValueError("the last line has no end")


def _read_line(line: bytes) -> dict[str, Any]:
    document = orjson.loads(line)
    if not isinstance(document, dict):
        raise ValueError(f"a line is no JSON object but {line[:50]!r}")
    return document

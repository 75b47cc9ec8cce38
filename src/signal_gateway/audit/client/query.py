"""AuditFilters: the filters of a query; EventPage and Limits: the decoded responses of DataStorage."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypedDict

import orjson

__all__ = [
    "AuditFilters",
    "EventPage",
    "ExportBlock",
    "Limits",
    "encoded_block",
    "ignored_filters",
    "parameters",
    "read_blocks",
    "read_limits",
    "read_lines",
    "read_page",
]

_EVERYWHERE = frozenset(
    ("correlation_id", "event_type", "event_category", "event_outcome", "severity", "since", "until")
)
"""The filters that every DataStorage knows. The Go original ignores other ones in silence."""


class AuditFilters(TypedDict, total=False):
    """Filters of an audit query. Every filter but `text` is exact, and an event must match all of them.

    Attributes:
        correlation_id: Correlation id.
        event_type: Event type.
        event_category: Category.
        event_outcome: `success`, `failure` or `pending`.
        severity: Severity.
        resource_type: Kind of the resource, such as `Deployment`; also matches `resource_kind` in `event_data`, where
            gateways of older releases have the workload.
        resource_id: The resource, such as `prod/payment-api`.
        resource_name: The part of `resource_id` after its last slash, such as `payment-api`, or `resource_name` in
            `event_data`.
        namespace: Namespace of the envelope, of a `resource_id` such as `prod/payment-api`, or of `event_data`.
        actor_type: Type of the actor, such as `user`.
        actor_id: Id of the actor.
        text: A part of the resource, the actor, the correlation id or the name of the signal, in any case of A to Z.
        since: Earliest time: an aware datetime, or a text for the server (RFC 3339, a date, `24h`).
        until: Latest time, in the same forms.
        detail_key: Key in `event_data`, together with `detail_value`.
        detail_value: Value of that key.
    """

    correlation_id: str
    event_type: str
    event_category: str
    event_outcome: str
    severity: str
    resource_type: str
    resource_id: str
    resource_name: str
    namespace: str
    actor_type: str
    actor_id: str
    text: str
    since: datetime | str
    until: datetime | str
    detail_key: str
    detail_value: str


@dataclass(frozen=True, slots=True)
class EventPage:
    """One page of the result of a query.

    Attributes:
        events: The events, decoded.
        total: Number of matching events; at least so many if it is not exact.
        has_more: Whether there is another page.
        cursor: Cursor of the next page; None from a server without cursors.
        total_is_exact: Whether DataStorage counted all matching events.
    """

    events: tuple[dict[str, Any], ...]
    total: int
    has_more: bool
    cursor: str | None
    total_is_exact: bool = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a DataStorage.

    Attributes:
        max_batch: Maximum events of a batch.
        max_body_bytes: Maximum bytes of a request body.
        max_event_bytes: Maximum bytes of the `event_data` of an event.
    """

    max_batch: int
    max_body_bytes: int
    max_event_bytes: int


def parameters(filters: AuditFilters) -> dict[str, str]:
    """Return the filters as the query parameters of a URL."""
    return {name: value.isoformat() if isinstance(value, datetime) else str(value) for name, value in filters.items()}


def ignored_filters(filters: Mapping[str, object], page: EventPage) -> list[str]:
    """Return the filters that the DataStorage of a page did not apply: of an event without `sequence`, all but seven.

    An empty page is right with every filter.
    """
    if not page.events or "sequence" in page.events[0]:
        return []
    return sorted(filters.keys() - _EVERYWHERE)


def read_page(content: bytes) -> EventPage:
    """Decode the body of a response to a query.

    Raises:
        ValueError: The body is not a page; the message names the missing members.
    """
    try:
        document = orjson.loads(content)
        pagination = document["pagination"]
        return EventPage(
            events=tuple(document["data"]),
            total=int(pagination["total"]),
            has_more=bool(pagination["has_more"]),
            cursor=pagination.get("next_cursor"),
            total_is_exact=pagination.get("total_is_exact", True) is True,
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as exc:
        raise ValueError("without 'data' and 'pagination'") from exc


def read_limits(content: bytes) -> Limits:
    """Decode the body of a response with limits.

    Raises:
        ValueError: The body does not contain limits; the message names the missing members.
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


class ExportBlock(NamedTuple):
    """A part of an export.

    Attributes:
        content: NDJSON, whole lines.
        events: Number of its events.
    """

    content: bytes
    events: int


def encoded_block(events: Sequence[dict[str, Any]]) -> ExportBlock:
    """Return events as a part of an export."""
    lines = (orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE) for event in events)
    return ExportBlock(b"".join(lines), len(events))


def read_blocks(chunks: Iterable[bytes]) -> Iterator[ExportBlock]:
    """Yield an export in whole lines, without decoding them. The ends of each block must be those of JSON objects.

    Args:
        chunks: NDJSON in chunks of any size.

    Raises:
        ValueError: A block has a line that is not a JSON object, or the last line is incomplete.
    """
    parts: list[bytes] = []  # of an incomplete line
    for chunk in chunks:
        end = chunk.rfind(b"\n") + 1
        if end:
            content = b"".join((*parts, chunk[:end]))
            yield ExportBlock(content, _number_of_objects(content))
            parts.clear()
        if end < len(chunk):
            parts.append(chunk[end:])
    if parts:
        raise ValueError("the last line is incomplete")


def _number_of_objects(lines: bytes) -> int:
    if not (lines.startswith(b"{") and lines.endswith(b"}\n")):
        for line in lines.splitlines():  # to name the line, or for lines with spaces around the object
            _read_line(line)
    return lines.count(b"\n")


def read_lines(chunks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the events of an export, with one line and one chunk in memory at a time.

    Args:
        chunks: NDJSON in chunks of any size.

    Raises:
        ValueError: A line is not a JSON object, or the last line is incomplete.
    """
    parts: list[bytes] = []  # of an incomplete line; joined once, for any number of chunks
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        parts.append(first)
        for other in others:
            yield _read_line(b"".join(parts))
            parts = [other]
    if any(parts):
        raise ValueError("the last line is incomplete")


def _read_line(line: bytes) -> dict[str, Any]:
    document = orjson.loads(line)
    if not isinstance(document, dict):
        raise ValueError(f"a line is not a JSON object: {line[:50]!r}")
    return document

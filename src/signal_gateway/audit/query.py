"""AuditFilters and Page: what DataStorage is asked, and what it answers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict

import orjson

__all__ = ["AuditFilters", "Page", "parameters", "read_page"]


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
class Page:
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


def parameters(filters: AuditFilters) -> dict[str, str]:
    """Return the filters as the query parameters of a URL."""
    return {name: value.isoformat() if isinstance(value, datetime) else str(value) for name, value in filters.items()}


def read_page(content: bytes) -> Page:
    """Read the body of an answer.

    Raises:
        ValueError: It is none that a DataStorage gives; the message says what is missing.
    """
    try:
        document = orjson.loads(content)
        pagination = document["pagination"]
        return Page(
            events=tuple(document["data"]),
            total=int(pagination["total"]),
            has_more=bool(pagination["has_more"]),
            cursor=pagination.get("next_cursor"),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as exc:
        raise ValueError("without 'data' and 'pagination'") from exc

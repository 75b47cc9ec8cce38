"""EventQuery: the filters, order and paging of a query, and their form as parameters of a URL."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple, cast

from signal_gateway.web.problem import Problem

__all__ = [
    "COUNT_LIMIT",
    "CURSOR",
    "DEFAULT_LIMIT",
    "INDEXED",
    "MAX_LIMIT",
    "MAX_OFFSET",
    "PARAMETERS",
    "RELATIVE",
    "UNINDEXED",
    "ZONELESS",
    "EventQuery",
    "Order",
    "Position",
    "event_query",
]

DEFAULT_LIMIT = 50
MAX_LIMIT = 1000
MAX_OFFSET = 2**63 - 1
COUNT_LIMIT = 10_000
"""The most events that are read for the total of a query, unless an exact total is wanted."""

INDEXED = ("correlation_id", "event_type", "severity", "event_category", "event_outcome")
"""The filters with an index; the most selective first, as far as it is known without reading the events."""

UNINDEXED = ("namespace", "resource_type", "resource_id", "resource_name", "actor_type", "actor_id", "text", "detail")
"""The filters that need the event itself."""

Order = Literal["asc", "desc"]

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
ZONELESS = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?")
"""A date-time without a zone, which is in UTC."""
_RFC_3339 = re.compile(ZONELESS.pattern + r"([Zz]|[+-]\d\d:\d\d)?")
RELATIVE = re.compile(r"(?:\d{1,9}(?:\.\d{1,9})?(?:ms|[smhd]))+")
_PARTS = re.compile(r"([\d.]+)([a-z]+)")
_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
CURSOR = re.compile(r"(asc|desc)\.(-?\d{1,18})\.(\d{1,18})")


class Position(NamedTuple):
    """The position of an event in the order of a query.

    Attributes:
        event_timestamp: Microseconds since the epoch.
        sequence: Orders events with the same timestamp.
    """

    event_timestamp: int
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """The filters, order and paging of a query. An event matches if all filters match; None matches every event.

    Attributes:
        correlation_id: Exact.
        event_type: Exact.
        event_category: Exact.
        event_outcome: Exact.
        severity: Exact. An event without a severity does not match.
        resource_type: Exact, such as `Deployment`. It also matches `resource_kind` in `event_data`, where gateways of
            older releases have the workload; likewise the next two.
        resource_name: The last part of `resource_id`, after its last slash, or `resource_name` in `event_data`; exact.
        namespace: Exact: the namespace of the envelope, of a `resource_id` with one slash if the envelope has none, or
            of `event_data`. An event without a namespace does not match.
        resource_id: Exact, such as `prod/payment-api`.
        actor_type: Exact, such as `user`.
        actor_id: Exact.
        text: A part of a name: of `resource_id`, `actor_id`, `correlation_id`, or of `signal_name` or `resource_name`
            in `event_data`. The letters A to Z match in both cases.
        since: The earliest `event_timestamp`, inclusive.
        until: The latest `event_timestamp`, inclusive.
        detail: The name of a top-level member of `event_data` and its value as text. A string with that text matches,
            and so does the number, boolean or null that the text is in JSON.
        order: By `event_timestamp`, then by `sequence`.
        limit: The size of a page, 1 to 1000.
        offset: The number of events to skip.
        after: Return only events after this position.
        count_limit: The most events that are counted for the total; None for all.
    """

    correlation_id: str | None = None
    event_type: str | None = None
    event_category: str | None = None
    event_outcome: str | None = None
    severity: str | None = None
    resource_type: str | None = None
    resource_id: str | None = None
    resource_name: str | None = None
    namespace: str | None = None
    actor_type: str | None = None
    actor_id: str | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    detail: tuple[str, str] | None = None
    order: Order = "desc"
    limit: int = DEFAULT_LIMIT
    offset: int = 0
    after: Position | None = None
    count_limit: int | None = COUNT_LIMIT

    @property
    def is_scan(self) -> bool:
        """Whether the query may read many events: a filter has no index, or the total is exact."""
        return self.count_limit is None or any(getattr(self, name) is not None for name in UNINDEXED)

    @property
    def examined_limit(self) -> int | None:
        """The most events that are read for the total: half of `count_limit` if no index alone can count them."""
        indexed = sum(getattr(self, name) is not None for name in INDEXED)
        if self.count_limit is None or (indexed < 2 and not self.is_scan):
            return self.count_limit
        return max(1, self.count_limit // 2)

    def cursor(self, position: Position) -> str:
        """Return the cursor of the next page of this query, as `event_query` parses it.

        Consecutive pages have each event exactly once that was committed before the first page was read. They are not
        a feed: an event that is committed later may belong to a page that you have already read. It may arrive late
        with any timestamp, and PostgreSQL may commit a batch after another one with higher sequences.
        """
        return f"{self.order}.{position.event_timestamp}.{position.sequence}"


def event_query(parameters: Iterable[tuple[str, str]], *, now: datetime) -> EventQuery:
    """Parse a query from the parameters of a URL.

    Args:
        parameters: Decoded names and values, in order.
        now: The reference of a relative time such as `24h`.

    Raises:
        Problem: 400, with the first parameter that is unknown, repeated or invalid, and the allowed values. An unknown
            parameter is an error because a misspelt filter would match every event.
    """
    given: dict[str, str] = {}
    for name, value in parameters:
        if name not in _PARAMETERS:
            raise _invalid(name, f"is not a parameter of this query; use {', '.join(_PARAMETERS)}")
        if name in given:
            raise _invalid(name, "is given more than once")
        if value or name not in _MAY_BE_EMPTY:
            given[name] = value

    values: dict[str, Any] = {}
    for name, value in given.items():
        try:
            values[name] = _PARAMETERS[name](value, now)
        except (ValueError, OverflowError) as exc:
            raise _invalid(name, str(exc)) from exc
    return EventQuery(**_combined(values))


def _combined(values: dict[str, Any]) -> dict[str, Any]:
    """Combine the parameters that depend on each other."""
    key, value = values.pop("detail_key", None), values.pop("detail_value", None)
    if (key is None) != (value is None):
        raise _invalid(
            "detail_value" if value is None else "detail_key", "is missing: use detail_key and detail_value together"
        )
    if key is not None:
        values["detail"] = (key, value)

    if values.pop("total", None) == "exact":
        values["count_limit"] = None

    if "cursor" in values:
        order, after = values.pop("cursor")
        if "offset" in values:
            raise _invalid("offset", "cannot be combined with cursor: a cursor already has a position")
        if values.setdefault("order", order) != order:
            raise _invalid("cursor", f"belongs to a query with order={order}; use the same order or leave order out")
        values["after"] = after
    return values


def _invalid(parameter: str, reason: str) -> Problem:
    return Problem(
        400,
        f"Query parameter {parameter!r} {reason}.",
        members={"errors": [{"field": parameter, "reason": reason}]},
    )


def _text(value: str, _now: datetime) -> str:
    return value


def _outcome(value: str, _now: datetime) -> str:
    return _one_of(value, "success", "failure", "pending")


def _order(value: str, _now: datetime) -> Order:
    return cast(Order, _one_of(value, "asc", "desc"))


def _total(value: str, _now: datetime) -> str:
    return _one_of(value, "bounded", "exact")


def _one_of(value: str, *allowed: str) -> str:
    if value not in allowed:
        raise ValueError(f"must be one of {', '.join(allowed)}, not {value!r}")
    return value


def _limit(value: str, _now: datetime) -> int:
    return _whole_number(value, 1, MAX_LIMIT)


def _offset(value: str, _now: datetime) -> int:
    return _whole_number(value, 0, MAX_OFFSET)


def _whole_number(value: str, low: int, high: int) -> int:
    number = int(value) if value.isascii() and value.isdigit() and len(value) <= len(str(high)) else -1
    if not low <= number <= high:
        raise ValueError(f"must be a whole number from {low} to {high}, not {value!r}")
    return number


def _time(value: str, now: datetime) -> datetime:
    try:
        if RELATIVE.fullmatch(value):
            parts = (timedelta(**{_UNITS[unit]: float(number)}) for number, unit in _PARTS.findall(value))
            return now - sum(parts, timedelta())
        if _DATE.fullmatch(value):
            return datetime.fromisoformat(value).replace(tzinfo=UTC)
        if _RFC_3339.fullmatch(value):
            moment = datetime.fromisoformat(value.upper())
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise ValueError(f"is not a valid time: {value!r}: {exc}") from exc
    hint = "; write the + of the offset as %2B" if " " in value else ""
    raise ValueError(
        f"must be an RFC 3339 time such as 2026-01-31T12:00:00Z (UTC without a zone), a date (00:00 UTC) or a time "
        f"before now such as 30m, 1h30m, 7d, not {value!r}{hint}"
    )


def _cursor(value: str, _now: datetime) -> tuple[str, Position]:
    parts = CURSOR.fullmatch(value)
    if parts is None:
        raise ValueError(f"must be the next_cursor of an earlier response, not {value!r}")
    return parts[1], Position(int(parts[2]), int(parts[3]))


_PARAMETERS: dict[str, Callable[[str, datetime], Any]] = {
    "correlation_id": _text,
    "event_type": _text,
    "event_category": _text,
    "event_outcome": _outcome,
    "severity": _text,
    "resource_type": _text,
    "resource_id": _text,
    "resource_name": _text,
    "namespace": _text,
    "actor_type": _text,
    "actor_id": _text,
    "text": _text,
    "since": _time,
    "until": _time,
    "detail_key": _text,
    "detail_value": _text,
    "limit": _limit,
    "offset": _offset,
    "order": _order,
    "cursor": _cursor,
    "total": _total,
}

# generated clients send an empty text for a filter that is not set
_MAY_BE_EMPTY = frozenset(_PARAMETERS) - {"detail_key", "detail_value", "limit", "offset", "order", "cursor", "total"}

PARAMETERS: tuple[str, ...] = tuple(_PARAMETERS)
"""The parameter names that `event_query` accepts."""

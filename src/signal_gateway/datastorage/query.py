"""EventQuery: which events, in which order, and how it is written in a URL."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple, cast

from signal_gateway.web.problem import Problem

__all__ = [
    "CURSOR",
    "DEFAULT_LIMIT",
    "MAX_LIMIT",
    "MAX_OFFSET",
    "PARAMETERS",
    "RELATIVE",
    "EventQuery",
    "Order",
    "Position",
    "event_query",
]

DEFAULT_LIMIT = 50
MAX_LIMIT = 1000
MAX_OFFSET = 2**63 - 1

Order = Literal["asc", "desc"]

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
RELATIVE = re.compile(r"(\d{1,9})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
CURSOR = re.compile(r"(asc|desc)\.(-?\d{1,18})\.(\d{1,18})")


class Position(NamedTuple):
    """An event's place in every order.

    Attributes:
        event_timestamp: Microseconds since the epoch.
        sequence: Decides between events of the same moment.
    """

    event_timestamp: int
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """Which events to read. A filter that is None matches every event; all of them must match.

    Attributes:
        correlation_id: Exact.
        event_type: Exact.
        event_category: Exact.
        event_outcome: Exact.
        severity: Exact; an event without one is not matched.
        since: The earliest `event_timestamp`, itself included.
        until: The latest `event_timestamp`, itself included.
        detail: A top-level member of `event_data` and its value as text: matched by a string of that text
            and by the number, boolean or null that the text is in JSON.
        order: By `event_timestamp`, then by `sequence`.
        limit: The size of a page, 1 to 1000.
        offset: How many events to pass over first.
        after: Only what follows this position in the order.
    """

    correlation_id: str | None = None
    event_type: str | None = None
    event_category: str | None = None
    event_outcome: str | None = None
    severity: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    detail: tuple[str, str] | None = None
    order: Order = "desc"
    limit: int = DEFAULT_LIMIT
    offset: int = 0
    after: Position | None = None

    def cursor(self, position: Position) -> str:
        """Write where the next page of this query starts; `event_query` reads it back.

        Pages that follow each other have everything exactly once that was committed when the first was read. They
        are no feed: what is committed later may have its place on a page that was read already, as an event may come
        in late with any timestamp and, on PostgreSQL, a batch may be committed after one with higher sequences.
        """
        return f"{self.order}.{position.event_timestamp}.{position.sequence}"


def event_query(parameters: Iterable[tuple[str, str]], *, now: datetime) -> EventQuery:
    """Read a query from the parameters of a URL.

    Args:
        parameters: Names and values, decoded, in their order.
        now: What a relative time such as `24h` is subtracted from.

    Raises:
        Problem: 400; the first parameter that is unknown, repeated or wrong, and what is allowed. An unknown
            one is refused because a filter with a slip in its name would return everything.
    """
    given: dict[str, str] = {}
    for name, value in parameters:
        if name not in _PARAMETERS:
            raise _refusal(name, f"is not a parameter of this query; it takes {', '.join(_PARAMETERS)}")
        if name in given:
            raise _refusal(name, "is given more than once")
        if not value:
            raise _refusal(name, "is empty; leave it out to match every event")
        given[name] = value

    values: dict[str, Any] = {}
    for name, value in given.items():
        try:
            values[name] = _PARAMETERS[name](value, now)
        except (ValueError, OverflowError) as exc:
            raise _refusal(name, str(exc)) from exc
    return EventQuery(**_combined(values))


def _combined(values: dict[str, Any]) -> dict[str, Any]:
    """Join the parameters that only make sense together."""
    key, value = values.pop("detail_key", None), values.pop("detail_value", None)
    if (key is None) != (value is None):
        raise _refusal("detail_value" if value is None else "detail_key", "is missing: the two are given together")
    if key is not None:
        values["detail"] = (key, value)

    if "cursor" in values:
        order, after = values.pop("cursor")
        if "offset" in values:
            raise _refusal("offset", "can't be combined with cursor: a cursor says where to go on by itself")
        if values.setdefault("order", order) != order:
            raise _refusal("cursor", f"is of a query with order={order}; ask for that order or leave it out")
        values["after"] = after
    return values


def _refusal(parameter: str, reason: str) -> Problem:
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
        if relative := RELATIVE.fullmatch(value):
            return now - timedelta(**{_UNITS[relative[2]]: int(relative[1])})
        if _DATE.fullmatch(value):
            return datetime.fromisoformat(value).replace(tzinfo=UTC)
        if _RFC_3339.fullmatch(value):
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise ValueError(f"is no time: {value!r}: {exc}") from exc
    hint = "; write the + of its offset as %2B" if " " in value else ""
    raise ValueError(
        f"must be an RFC 3339 time such as 2026-01-31T12:00:00Z, a date (its first moment in UTC) or a time "
        f"before now such as 30m, 24h, 7d, not {value!r}{hint}"
    )


def _cursor(value: str, _now: datetime) -> tuple[str, Position]:
    parts = CURSOR.fullmatch(value)
    if parts is None:
        raise ValueError(f"must be a next_cursor that an earlier answer gave, not {value!r}")
    return parts[1], Position(int(parts[2]), int(parts[3]))


_PARAMETERS: dict[str, Callable[[str, datetime], Any]] = {
    "correlation_id": _text,
    "event_type": _text,
    "event_category": _text,
    "event_outcome": _outcome,
    "severity": _text,
    "since": _time,
    "until": _time,
    "detail_key": _text,
    "detail_value": _text,
    "limit": _limit,
    "offset": _offset,
    "order": _order,
    "cursor": _cursor,
}

PARAMETERS: tuple[str, ...] = tuple(_PARAMETERS)
"""The names that `event_query` takes."""

"""Moments as RFC 3339 text, the form they have in alerts, in Kubernetes objects and in answers."""

import re
from datetime import UTC, datetime

__all__ = ["parse_rfc3339", "rfc3339"]

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def rfc3339(moment: datetime) -> str:
    """Write an aware moment in UTC with a `Z`, with microseconds only where there are any."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def parse_rfc3339(text: str) -> datetime:
    """Read a date-time of RFC 3339, in UTC; digits finer than a microsecond are cut off.

    Raises:
        ValueError: It is not one, or lies outside the years 1 to 9999.
    """
    if not _RFC3339.fullmatch(text):
        raise ValueError(f"{text!r} is not an RFC 3339 date-time such as 2026-01-31T12:00:00Z")
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise ValueError(f"{text!r} is not a moment within the years 1 to 9999") from exc

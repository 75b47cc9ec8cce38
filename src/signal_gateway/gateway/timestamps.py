"""rfc3339 and parse_rfc3339: times as text, as in alerts, Kubernetes objects and responses."""

import re
from datetime import UTC, datetime

__all__ = ["parse_rfc3339", "rfc3339"]

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def rfc3339(moment: datetime) -> str:
    """Format an aware datetime in UTC with `Z`, with microseconds unless they are zero."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def parse_rfc3339(text: str) -> datetime:
    """Parse an RFC 3339 date-time and convert it to UTC. Digits beyond microseconds are cut off.

    Raises:
        ValueError: The text is not an RFC 3339 date-time, or is outside the years 1 to 9999.
    """
    if not _RFC3339.fullmatch(text):
        raise ValueError(f"{text!r} is not an RFC 3339 date-time such as 2026-01-31T12:00:00Z")
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise ValueError(f"{text!r} is outside the years 1 to 9999") from exc

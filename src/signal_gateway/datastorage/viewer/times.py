"""Texts of times and durations. All times are in UTC."""

from datetime import UTC, datetime, timedelta

__all__ = ["moment", "rfc_3339", "span_text", "stamp"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_SPANS = (("d", 86_400_000_000), ("h", 3_600_000_000), ("min", 60_000_000))


def moment(microseconds: int) -> datetime:
    """Convert microseconds since the epoch to a datetime."""
    return _EPOCH + timedelta(microseconds=microseconds)


def rfc_3339(microseconds: int) -> str:
    """Format a time exactly, as `event_query` parses it."""
    return moment(microseconds).isoformat().replace("+00:00", "Z")


def stamp(microseconds: int) -> str:
    """Format a time for display, with milliseconds."""
    return moment(microseconds).isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")


def span_text(microseconds: int) -> str:
    """Format a duration with at most two units, such as `1.2 s` or `3 h 5 min`."""
    if microseconds < 0:
        return f"\N{MINUS SIGN}{span_text(-microseconds)}"
    if microseconds < 1000:
        return f"{microseconds} µs" if microseconds else "0 s"
    if microseconds < 1_000_000:
        return f"{microseconds // 1000} ms"
    if microseconds < 60_000_000:
        return f"{microseconds // 100_000 / 10:g} s"

    smaller = (*_SPANS[1:], ("s", 1_000_000))
    for (unit, size), (small_unit, small_size) in zip(_SPANS, smaller, strict=True):
        if microseconds >= size:
            whole, rest = divmod(microseconds, size)
            return f"{whole} {unit} {rest // small_size} {small_unit}" if rest >= small_size else f"{whole} {unit}"
    raise AssertionError(microseconds)

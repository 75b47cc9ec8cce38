"""Text as programs in Go write it, of which Alertmanager is one."""

from datetime import UTC, datetime
from typing import Final

__all__ = ["quoted", "rfc3339"]

_ESCAPES: Final = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}


def rfc3339(moment: datetime) -> str:
    """Write a time: a fraction of a second ends with its last digit that is no zero (`time.RFC3339Nano`).

    Args:
        moment: Aware.
    """
    whole, point, fraction = moment.astimezone(UTC).isoformat().removesuffix("+00:00").partition(".")
    return whole + (point + fraction).rstrip("0") + "Z"


def quoted(text: str) -> str:
    """Put text into quotes, and escape what can't be printed (`strconv.Quote`)."""
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

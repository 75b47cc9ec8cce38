"""Times and quoted strings in the format of Go programs such as Alertmanager."""

from datetime import UTC, datetime
from typing import Final

__all__ = ["go_quoted", "go_time"]

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


def go_time(moment: datetime) -> str:
    """Format a time as `time.RFC3339Nano` does: without zeros at the end of the fraction of a second.

    Args:
        moment: An aware time.
    """
    whole, point, fraction = moment.astimezone(UTC).isoformat().removesuffix("+00:00").partition(".")
    return whole + (point + fraction).rstrip("0") + "Z"


def go_quoted(text: str) -> str:
    """Quote a string as `strconv.Quote` does: non-printable characters are escaped."""
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

"""Cut what a sender sends down to a size, measured as JSON."""

from collections.abc import Mapping

import orjson

__all__ = ["cut_mapping", "cut_text", "cut_utf8"]


def cut_text(text: str, max_bytes: int) -> str:
    """Return the longest beginning of a text that is at most `max_bytes` of UTF-8."""
    encoded = text.encode()
    return text if len(encoded) <= max_bytes else cut_utf8(encoded, max_bytes)


def cut_utf8(encoded: bytes, max_bytes: int) -> str:
    """Return the longest beginning of a text that is at most `max_bytes` of its UTF-8, which decodes no more of it."""
    return encoded[:max_bytes].decode(errors="ignore")


def cut_mapping(mapping: Mapping[str, str], max_bytes: int) -> dict[str, str]:
    """Return the first entries of a mapping whose JSON together is at most `max_bytes`; an entry is kept whole or not.

    Args:
        mapping: Any string map, such as labels.
        max_bytes: Size of the result as JSON, in bytes.
    """
    room = max_bytes - len("{}")
    kept = {}
    for key, value in mapping.items():
        room -= len(orjson.dumps(key)) + len(orjson.dumps(value)) + len(":,")
        if room < 0:
            break
        kept[key] = value
    return kept

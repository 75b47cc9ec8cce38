"""cut_text, cut_utf8 and cut_mapping: cut input from a sender to a size in bytes."""

from collections.abc import Mapping

import orjson

__all__ = ["cut_mapping", "cut_text", "cut_utf8"]


def cut_text(text: str, max_bytes: int) -> str:
    """Return the longest prefix of a text with at most `max_bytes` of UTF-8."""
    encoded = text.encode()
    return text if len(encoded) <= max_bytes else cut_utf8(encoded, max_bytes)


def cut_utf8(encoded: bytes, max_bytes: int) -> str:
    """Return the longest prefix of a UTF-8 text with at most `max_bytes`, without decoding the rest."""
    return encoded[:max_bytes].decode(errors="ignore")


def cut_mapping(mapping: Mapping[str, str], max_bytes: int) -> dict[str, str]:
    """Return the first entries of a mapping whose JSON has at most `max_bytes`. Each entry is kept whole or dropped.

    Args:
        mapping: A map of strings, such as labels.
        max_bytes: Highest size of the result as JSON.
    """
    remaining = max_bytes - len("{}")
    kept = {}
    for key, value in mapping.items():
        remaining -= len(orjson.dumps(key)) + len(orjson.dumps(value)) + len(":,")
        if remaining < 0:
            break
        kept[key] = value
    return kept

"""Kubernetes objects as plain JSON: encoding, paths and timestamps."""

from datetime import datetime
from typing import Any

import orjson

__all__ = ["JsonObject", "copy_json", "encode", "field_at", "timestamp"]

JsonObject = dict[str, Any]


def encode(value: object) -> bytes:
    """Encode a value as JSON with sorted keys, so that equal objects have equal bytes.

    A comparison of bytes also distinguishes `true` from `1`, unlike Python's `==`.
    """
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def copy_json(value: JsonObject) -> JsonObject:
    """Return a deep copy of a JSON object."""
    copied: JsonObject = orjson.loads(orjson.dumps(value))
    return copied


def field_at(value: JsonObject, path: str) -> object:
    """Return the value at a dotted path such as `status.phase`; None without one."""
    found: object = value
    for part in path.split("."):
        if not isinstance(found, dict):
            return None
        found = found.get(part)
    return found


def timestamp(moment: datetime) -> str:
    """Format an aware UTC time as Kubernetes does: RFC 3339 in whole seconds with a `Z`."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

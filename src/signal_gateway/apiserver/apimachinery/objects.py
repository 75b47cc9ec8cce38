"""Kubernetes objects as plain JSON: encoding, paths into them, timestamps."""

from datetime import datetime
from typing import Any

import orjson

__all__ = ["JsonObject", "copy_json", "encode", "field_at", "timestamp"]

JsonObject = dict[str, Any]


def encode(value: object) -> bytes:
    """Return `value` as JSON with sorted keys, so that equal objects have equal bytes.

    Comparing bytes also tells `true` from `1`, which Python's `==` does not.
    """
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def copy_json(value: JsonObject) -> JsonObject:
    """Return a deep copy of a JSON object."""
    copied: JsonObject = orjson.loads(orjson.dumps(value))
    return copied


def field_at(value: JsonObject, path: str) -> object:
    """Return what stands at a dotted path such as `status.phase`, or `None` where there is nothing."""
    found: object = value
    for part in path.split("."):
        if not isinstance(found, dict):
            return None
        found = found.get(part)
    return found


def timestamp(moment: datetime) -> str:
    """Write an aware UTC moment as Kubernetes does: RFC 3339 in whole seconds with a `Z`."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

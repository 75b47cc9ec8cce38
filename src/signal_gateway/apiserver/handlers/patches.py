"""Patches: JSON merge patch (RFC 7396) and JSON Patch (RFC 6902)."""

from typing import Any

from signal_gateway.apiserver.apimachinery.objects import JsonObject, copy_json, encode
from signal_gateway.apiserver.apimachinery.status import StatusError, bad_request

__all__ = ["json_patch", "merge_patch"]


def merge_patch(target: object, patch: object) -> Any:
    """Return a copy of `target` with a merge patch applied."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def json_patch(target: JsonObject, operations: object) -> Any:
    """Return a copy of `target` with the operations of a JSON Patch applied.

    Raises:
        StatusError: 400 if `operations` is not a list of objects; 422 if an operation or a test fails.
    """
    if not isinstance(operations, list) or not all(isinstance(operation, dict) for operation in operations):
        raise bad_request("a JSON patch must be an array of operations")
    document: Any = {"": copy_json(target)}
    try:
        for operation in operations:
            _apply(document, operation)
    except (LookupError, TypeError, ValueError) as exc:
        message = "the server rejected our request due to an error in our request"
        raise StatusError(422, message, reason="Invalid", details={}) from exc
    return document[""]


def _apply(document: JsonObject, operation: JsonObject) -> None:
    path = _pointer(operation["path"])
    match operation["op"]:
        case "add":
            _add(document, path, operation["value"])
        case "remove":
            _remove(document, path)
        case "replace":
            value = operation["value"]
            _remove(document, path)
            _add(document, path, value)
        case "move":
            _add(document, path, _remove(document, _pointer(operation["from"])))
        case "copy":
            found = _find(document, _pointer(operation["from"]))
            _add(document, path, copy_json({"": found})[""])
        case "test":
            if encode(_find(document, path)) != encode(operation.get("value")):
                raise ValueError(f"the test of {operation['path']} failed")
        case other:
            raise ValueError(f"unknown operation {other!r}")


def _pointer(text: object) -> list[str]:
    """Split a JSON pointer. The first part is the root of the document."""
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise ValueError(f"{text!r} is not a JSON pointer")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")]


def _find(document: object, path: list[str]) -> Any:
    found: Any = document
    for part in path:
        found = found[_index(found, part)] if isinstance(found, list) else found[part]
    return found


def _add(document: object, path: list[str], value: object) -> None:
    parent, last = _find(document, path[:-1]), path[-1]
    if isinstance(parent, list):
        position = len(parent) if last == "-" else _index(parent, last, is_end_allowed=True)
        parent.insert(position, value)
    elif isinstance(parent, dict):
        parent[last] = value
    else:
        raise TypeError(f"cannot add {last!r} to a scalar")


def _remove(document: object, path: list[str]) -> Any:
    parent, last = _find(document, path[:-1]), path[-1]
    return parent.pop(_index(parent, last)) if isinstance(parent, list) else parent.pop(last)


def _index(items: list[object], part: str, *, is_end_allowed: bool = False) -> int:
    if not part.isdecimal() or (len(part) > 1 and part[0] == "0"):
        raise ValueError(f"{part!r} is not an array index")
    index = int(part)
    if index >= len(items) + is_end_allowed:
        raise IndexError(f"index {index} is past the end")
    return index

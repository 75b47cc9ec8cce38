"""Serializer: reads JSON and YAML into plain values, within bounds of depth and size."""

import json
from collections.abc import Iterator
from typing import Any, Final

import orjson
import yaml

__all__ = ["duplicate_fields", "load_json", "load_yaml"]

_MAX_DEPTH: Final = (
    100  # the deepest objects of Kubernetes, schemas of CustomResourceDefinitions, have about forty levels
)
_MAX_VALUES: Final = 3_000_000  # a request of 3 MiB has fewer, unless YAML aliases repeat them


class _Loader(yaml.SafeLoader):
    """A YAML loader with the types of JSON: a time stays a string."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load_json(text: bytes) -> Any:
    """Decode JSON.

    Raises:
        ValueError: The text is not JSON, or its nesting is too deep.
    """
    return _within_bounds(orjson.loads(text))


def load_yaml(text: bytes) -> Any:
    """Decode one YAML document with the values of JSON.

    Raises:
        ValueError: The text is not YAML, has several documents, its nesting is too deep, or JSON lacks a value's type.
    """
    try:
        return orjson.loads(orjson.dumps(_within_bounds(yaml.load(text, _Loader))))
    except (yaml.YAMLError, orjson.JSONEncodeError, RecursionError) as exc:
        raise ValueError(str(exc)) from exc


def duplicate_fields(text: bytes) -> list[str]:
    """Return one message for each duplicate field of an object in a JSON text, such as `spec.size`."""
    has_duplicates = False

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal has_duplicates
        fields = _Fields(pairs)
        if len(fields) < len(pairs):
            has_duplicates = True
            seen: set[str] = set()
            fields.duplicates = [name for name, _ in pairs if name in seen or seen.add(name)]  # type: ignore[func-returns-value]
        return fields

    value = json.loads(text, object_pairs_hook=collect)
    return [f'duplicate field "{path}"' for path in _duplicates(value, "")] if has_duplicates else []


class _Fields(dict[str, Any]):
    duplicates: list[str]


def _duplicates(value: object, path: str) -> Iterator[str]:
    if isinstance(value, _Fields):
        for name in getattr(value, "duplicates", ()):
            yield f"{path}.{name}".lstrip(".")
        for name, item in value.items():
            yield from _duplicates(item, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _duplicates(item, f"{path}[{index}]")


def _within_bounds(value: Any) -> Any:
    """Return a value unchanged.

    Raises:
        ValueError: Its nesting is too deep, or aliases make it too large.
    """
    level, depth, count = [value], 0, 0
    while level:
        depth += 1
        if depth > _MAX_DEPTH:
            raise ValueError(f"nested more than {_MAX_DEPTH} deep")
        below = []
        for one in level:
            for item in one.values() if isinstance(one, dict) else one if isinstance(one, list) else ():
                count += 1
                if isinstance(item, dict | list):
                    below.append(item)
            if count > _MAX_VALUES:
                raise ValueError(f"more than {_MAX_VALUES} values")
        level = below
    return value

"""Documents: JSON and YAML texts read into plain values, within bounds."""

import json
from collections.abc import Iterator
from typing import Any, Final

import orjson
import yaml

__all__ = ["duplicate_fields", "load_json", "load_yaml"]

_MAX_DEPTH: Final = 100  # of what Kubernetes has, a schema in a definition is the deepest, at some forty
_MAX_VALUES: Final = 3_000_000  # more don't fit into the 3 MiB of a request, unless YAML's aliases repeat them


class _Loader(yaml.SafeLoader):
    """Reads YAML as JSON would: a time stays text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load_json(text: bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: It is no JSON, or nested too deeply.
    """
    return _bounded(orjson.loads(text))


def load_yaml(text: bytes) -> Any:
    """Return the value of a YAML document that could be JSON, too.

    Raises:
        ValueError: It is no YAML, not one document, nested too deeply, or has what JSON can't say.
    """
    try:
        return orjson.loads(orjson.dumps(_bounded(yaml.load(text, _Loader))))
    except (yaml.YAMLError, orjson.JSONEncodeError, RecursionError) as exc:
        raise ValueError(str(exc)) from exc


def duplicate_fields(text: bytes) -> list[str]:
    """Return a complaint for each field that an object in a JSON text has more than once, such as `spec.size`."""
    has_duplicates = False

    def note(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal has_duplicates
        fields = _Fields(pairs)
        if len(fields) < len(pairs):
            has_duplicates = True
            seen: set[str] = set()
            fields.duplicates = [name for name, _ in pairs if name in seen or seen.add(name)]  # type: ignore[func-returns-value]
        return fields

    value = json.loads(text, object_pairs_hook=note)
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


def _bounded(value: Any) -> Any:
    """Return a value as it is, unless it is too deep, or its aliases make it too large."""
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

"""Every setting there is: its value, where that comes from, and what it is about."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import yaml
from pydantic import BaseModel

from signal_gateway.gateway.service.setting_source import Sourced
from signal_gateway.web.secrets import MASK, is_secret_name, masked

__all__ = ["Setting", "list_settings"]

_SECTION_OF_A_DOCSTRING: Final = re.compile(r"^\w+:$")
_ATTRIBUTE: Final = re.compile(r"^    (?P<name>\w+): (?P<text>.+)$")


class Setting(NamedTuple):
    """One key.

    Attributes:
        key: Dotted path, such as `processing.retry.max_attempts`.
        value: As it would be written in a file, a secret as stars; None where it is required and not set.
        source: `default`, `file:line` or a variable; None where it is required and not set.
        description: What it is about.
    """

    key: str
    value: str | None
    source: str | None
    description: str


def list_settings(
    model: type[BaseModel], *, values: BaseModel | None = None, sources: Sourced | None = None
) -> list[Setting]:
    """Return all settings, section by section.

    Args:
        model: Whose; it describes them in the `Attributes` of its docstring.
        values: What holds; the defaults by default.
        sources: Where values come from that are none.
    """
    return list(_settings(model, (), values, sources or Sourced()))


def _settings(
    model: type[BaseModel], path: tuple[str, ...], values: BaseModel | None, sources: Sourced
) -> Iterator[Setting]:
    descriptions = _descriptions(model)
    for name, field in model.model_fields.items():
        below = field.annotation
        value = field.get_default(call_default_factory=True) if values is None else getattr(values, name)
        if isinstance(below, type) and issubclass(below, BaseModel):
            yield from _settings(below, (*path, name), value if isinstance(value, BaseModel) else None, sources)
        elif values is None and field.is_required():
            yield Setting(".".join((*path, name)), None, None, descriptions.get(name, ""))
        else:
            source = sources.source_of((*path, name)) or "default"
            yield Setting(".".join((*path, name)), _written(name, value), source, descriptions.get(name, ""))


def _written(name: str, value: object) -> str:
    if isinstance(value, Path):
        value = str(value)
    elif value is not None and is_secret_name(name):
        return MASK
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000)
    return masked(text.removesuffix("...\n").strip())


def _descriptions(model: type[BaseModel]) -> dict[str, str]:
    """Return what a model's docstring says about each of its attributes."""
    found: dict[str, str] = {}
    name, is_inside = None, False
    for line in (inspect.getdoc(model) or "").splitlines():
        if _SECTION_OF_A_DOCSTRING.match(line):
            is_inside = line == "Attributes:"
            continue
        if not is_inside or not line.strip():
            continue
        begin = _ATTRIBUTE.match(line)
        if begin is not None:
            name = begin["name"]
            found[name] = begin["text"]
        elif name is not None:
            found[name] += " " + line.strip()
    return found

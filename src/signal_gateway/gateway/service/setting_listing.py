"""list_settings: every setting with its value, the source of the value, and a description."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml
from pydantic import BaseModel

from signal_gateway.gateway.service.setting_source import SettingSources
from signal_gateway.web.secrets import MASK, is_secret_name, masked

__all__ = ["ListedSetting", "list_settings"]


class ListedSetting(NamedTuple):
    """One setting.

    Attributes:
        key: Dotted path, such as `processing.retry.max_attempts`.
        value: The value as YAML, with secrets masked; None for a required setting without a value.
        source: `default`, `file:line` or a variable; None for a required setting without a value.
        description: The meaning of the setting, with its unit.
    """

    key: str
    value: str | None
    source: str | None
    description: str


def list_settings(
    model: type[BaseModel], *, values: BaseModel | None = None, sources: SettingSources | None = None
) -> list[ListedSetting]:
    """Return all settings of a model, section by section.

    Args:
        model: The model; its fields have descriptions.
        values: The values to list; the defaults of the model by default.
        sources: The sources of the values that are not defaults.
    """
    return list(_settings(model, (), values, sources or SettingSources()))


def _settings(
    model: type[BaseModel], path: tuple[str, ...], values: BaseModel | None, sources: SettingSources
) -> Iterator[ListedSetting]:
    for name, field in model.model_fields.items():
        section = field.annotation
        value = field.get_default(call_default_factory=True) if values is None else getattr(values, name)
        if isinstance(section, type) and issubclass(section, BaseModel):
            yield from _settings(section, (*path, name), value if isinstance(value, BaseModel) else None, sources)
        elif values is None and field.is_required():
            yield ListedSetting(".".join((*path, name)), None, None, field.description or "")
        else:
            source = sources.source_of((*path, name)) or "default"
            yield ListedSetting(".".join((*path, name)), _as_yaml(name, value), source, field.description or "")


def _as_yaml(name: str, value: object) -> str:
    if isinstance(value, Path):
        value = str(value)
    elif value is not None and is_secret_name(name):
        return MASK
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000)
    return masked(text.removesuffix("...\n").strip())

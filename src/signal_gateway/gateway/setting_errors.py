"""setting_errors: the errors of a configuration, one per setting, from those of pydantic."""

from collections.abc import Mapping
from typing import NamedTuple

from pydantic import BaseModel, ValidationError

__all__ = ["SettingError", "allowed_keys", "setting_errors", "setting_keys"]


class SettingError(NamedTuple):
    """One error of one setting.

    Attributes:
        key: Dotted path, such as `processing.retry.max_attempts`.
        value: The rejected value; None if the setting is missing.
        reason: Why the value is rejected, with the allowed values.
        is_missing: Whether the setting is required and absent.
    """

    key: str
    value: object
    reason: str
    is_missing: bool


def setting_errors(error: ValidationError, model: type[BaseModel]) -> list[SettingError]:
    """Return the errors of a validation, one per setting.

    Args:
        error: The error that the validation of `model` raised.
        model: The model; the reason for an unknown key lists the keys of its section.
    """
    found = []
    for detail in error.errors():
        path = [str(part) for part in detail["loc"]]
        kind = detail["type"]
        reason = detail["msg"].removeprefix("Value error, ")
        if kind == "extra_forbidden":
            reason = f"there is no such key; allowed here: {', '.join(allowed_keys(model, path[:-1]))}"
        elif kind in {"model_type", "model_attributes_type"}:
            reason = f"this is a section; set its keys instead: {', '.join(allowed_keys(model, path))}"
        is_missing = kind == "missing"
        value = None if is_missing else detail["input"]
        found.append(SettingError(".".join(path), value, "it is required" if is_missing else reason, is_missing))
    return found


def allowed_keys(model: type[BaseModel], path: list[str]) -> list[str]:
    """Return the keys of the section at a path; an empty list if there is no such section."""
    for key in path:
        field = model.model_fields.get(key)
        section = field.annotation if field is not None else None
        if not (isinstance(section, type) and issubclass(section, BaseModel)):
            return []
        model = section
    return sorted(model.model_fields)


def setting_keys(model: type[BaseModel]) -> Mapping[str, tuple[str, ...]]:
    """Return the keys below each dotted path of a model: of a section at least one, of a plain setting none.

    Args:
        model: The model of all settings.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name, field in model.model_fields.items():
        section = field.annotation
        below = setting_keys(section) if isinstance(section, type) and issubclass(section, BaseModel) else {}
        found[name] = tuple(f"{name}.{key}" for key, inner in below.items() if not inner)
        found |= {f"{name}.{key}": tuple(f"{name}.{one}" for one in inner) for key, inner in below.items()}
    return found

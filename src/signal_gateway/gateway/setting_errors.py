"""What is wrong with settings, said for the person who wrote them."""

from typing import NamedTuple

from pydantic import BaseModel, ValidationError

__all__ = ["SettingError", "allowed_keys", "setting_errors"]


class SettingError(NamedTuple):
    """One thing that is wrong with one setting.

    Attributes:
        key: Dotted path, such as `processing.retry.max_attempts`.
        value: What was given; None where nothing was.
        reason: What is allowed.
        is_missing: Whether the setting is required and absent.
    """

    key: str
    value: object
    reason: str
    is_missing: bool


def setting_errors(error: ValidationError, model: type[BaseModel]) -> list[SettingError]:
    """Return what is wrong, setting by setting, in the words of someone who writes a configuration.

    Args:
        error: What validating `model` raised.
        model: The model, whose keys are listed where one is unknown.
    """
    found = []
    for detail in error.errors():
        path = [str(part) for part in detail["loc"]]
        kind = detail["type"]
        reason = detail["msg"].removeprefix("Value error, ")
        if kind == "extra_forbidden":
            reason = f"there is no such key; allowed here: {', '.join(allowed_keys(model, path[:-1]))}"
        elif kind in {"model_type", "model_attributes_type"}:
            reason = f"this is a section; it must hold keys out of: {', '.join(allowed_keys(model, path))}"
        is_missing = kind == "missing"
        value = None if is_missing else detail["input"]
        found.append(SettingError(".".join(path), value, "it is required" if is_missing else reason, is_missing))
    return found


def allowed_keys(model: type[BaseModel], path: list[str]) -> list[str]:
    """Return the keys of the section at a path; none if there is no such section."""
    for key in path:
        field = model.model_fields.get(key)
        section = field.annotation if field is not None else None
        if not (isinstance(section, type) and issubclass(section, BaseModel)):
            return []
        model = section
    return sorted(model.model_fields)

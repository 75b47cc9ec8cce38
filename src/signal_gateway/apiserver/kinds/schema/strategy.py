"""ModelStrategy: the strategy of a built-in kind, by its model, defaults and validation."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from signal_gateway.apiserver.apimachinery.objects import JsonObject
from signal_gateway.apiserver.apimachinery.status import Cause
from signal_gateway.apiserver.kinds.schema.canonical import canonicalize
from signal_gateway.apiserver.kinds.schema.models import fields_of

__all__ = ["ModelStrategy", "missing_required"]

_NOT_VALIDATED = frozenset(("apiVersion", "kind", "metadata", "status"))
_VALIDATED_ELSEWHERE = frozenset(
    ("HTTPHeader.value", "PolicyRule.verbs", "RoleRef.kind", "Subject.kind", "Sysctl.value")
)


def _set_no_defaults(new: JsonObject, old: JsonObject | None) -> None:
    """Set no defaults."""


def _find_no_causes(_new: JsonObject, _old: JsonObject | None) -> list[Cause]:
    return []


@dataclass(frozen=True, slots=True)
class ModelStrategy:
    """The strategy of a built-in kind.

    Attributes:
        model: Module and class of lightkube's model, such as `core_v1.Pod`.
        defaulter: Sets the defaults of an object, in place; gets the stored object, too, on an update.
        validator: Returns the causes why the values of an object are invalid, except missing required fields.
    """

    model: str
    defaulter: Callable[[JsonObject, JsonObject | None], None] = _set_no_defaults
    validator: Callable[[JsonObject, JsonObject | None], list[Cause]] = _find_no_causes

    def prepare(self, new: JsonObject, old: JsonObject | None) -> list[str]:
        """Convert an object to its canonical form and set its defaults, in place.

        Raises:
            FieldTypeError: A value has the wrong type.
        """
        dropped = canonicalize(new, self.model)
        self.defaulter(new, old)
        return dropped

    def validate(self, new: JsonObject, old: JsonObject | None) -> list[Cause]:
        """Return the causes why an object is invalid, missing required fields included."""
        return [*missing_required(new, self.model), *self.validator(new, old)]


def missing_required(object: JsonObject, model: str, path: str = "") -> Iterator[Cause]:
    """Yield a cause for every required string or list that is empty, except in metadata and status.

    Args:
        object: An object in canonical form, or a part of one.
        model: Its model.
        path: Its path in the object.
    """
    for name, field in fields_of(model).items():
        place = f"{path}.{name}" if path else name
        if not path and name in _NOT_VALIDATED:
            continue
        value = object.get(name)
        is_empty = value in (None, "", [])
        if field.is_required and field.type.name in ("string", "list") and is_empty:
            if f"{model.partition('.')[2]}.{name}" not in _VALIDATED_ELSEWHERE:
                yield Cause.required(place)
        elif field.type.model and isinstance(value, dict):
            yield from missing_required(value, field.type.model, place)
        elif field.type.item is not None and field.type.item.model and isinstance(value, list):
            for index, item in enumerate(value):
                yield from missing_required(item, field.type.item.model, f"{place}[{index}]")

"""The rules of a built-in kind: the form of its model, what is filled in, and what is checked."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from signal_gateway.apiserver.apimachinery.objects import JsonObject
from signal_gateway.apiserver.apimachinery.status import Cause
from signal_gateway.apiserver.kinds.schema.conforming import conform
from signal_gateway.apiserver.kinds.schema.models import fields_of

__all__ = ["ModelStrategy", "missing"]

_NOT_CHECKED = frozenset(("apiVersion", "kind", "metadata", "status"))
_CHECKED_ELSEWHERE = frozenset(("HTTPHeader.value", "PolicyRule.verbs", "RoleRef.kind", "Subject.kind", "Sysctl.value"))


def _leave(new: JsonObject, old: JsonObject | None) -> None:
    """Fill nothing in."""


def _accept(_new: JsonObject, _old: JsonObject | None) -> list[Cause]:
    return []


@dataclass(frozen=True, slots=True)
class ModelStrategy:
    """The rules of a built-in kind.

    Attributes:
        model: Module and class of lightkube's model, such as `core_v1.Pod`.
        default: Fills in, in place, what the kind's objects always have; given the stored object on an update.
        validate: Returns what is wrong with an object's values, required fields apart.
    """

    model: str
    default: Callable[[JsonObject, JsonObject | None], None] = _leave
    validate: Callable[[JsonObject, JsonObject | None], list[Cause]] = _accept

    def shape(self, new: JsonObject, old: JsonObject | None) -> list[str]:
        """Bring an object into its model's form and fill in what it always has.

        Raises:
            FieldTypeError: A value has the wrong type.
        """
        dropped = conform(new, self.model)
        self.default(new, old)
        return dropped

    def check(self, new: JsonObject, old: JsonObject | None) -> list[Cause]:
        """Return what is missing and what is wrong."""
        return [*missing(new, self.model), *self.validate(new, old)]


def missing(object: JsonObject, model: str, path: str = "") -> Iterator[Cause]:
    """Yield a cause for every required text or list that is empty; an object's metadata and status are not looked at.

    Args:
        object: An object in its model's form, or a part of one.
        model: Its model.
        path: Where it stands.
    """
    for name, field in fields_of(model).items():
        place = f"{path}.{name}" if path else name
        if not path and name in _NOT_CHECKED:
            continue
        value = object.get(name)
        is_empty = value in (None, "", [])
        if field.is_required and field.type.name in ("string", "list") and is_empty:
            if f"{model.partition('.')[2]}.{name}" not in _CHECKED_ELSEWHERE:
                yield Cause.required(place)
        elif field.type.model and isinstance(value, dict):
            yield from missing(value, field.type.model, place)
        elif field.type.item is not None and field.type.item.model and isinstance(value, list):
            for index, item in enumerate(value):
                yield from missing(item, field.type.item.model, f"{place}[{index}]")

"""Label and field selectors, in the grammar of `k8s.io/apimachinery/pkg/labels` and `.../fields`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from signal_gateway.apiserver.apimachinery.objects import JsonObject, field_at
from signal_gateway.apiserver.apimachinery.resources import FieldSource, Resource
from signal_gateway.apiserver.apimachinery.status import StatusError, bad_request

__all__ = ["Selector", "parse_selector"]

Labels = Mapping[str, str]

_TOKEN = re.compile(r"\s*(==|!=|[=!,()<>]|[^\s=!,()<>]+)\s*")
_SYMBOLS = frozenset(("==", "!=", "=", "!", ",", "(", ")", "<", ">"))


@dataclass(frozen=True, slots=True)
class Selector:
    """What a list or a watch is narrowed to.

    Attributes:
        labels: Requirements on the labels, all of which hold.
        fields: Requirements on fields: source, wanted value, whether it must be equal.
    """

    labels: tuple[Callable[[Labels], bool], ...] = ()
    fields: tuple[tuple[FieldSource, str, bool], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.labels or self.fields)

    def matches(self, object: JsonObject) -> bool:
        """Return whether an object is selected."""
        if self.labels:
            labels = object["metadata"].get("labels", {})
            if not all(requirement(labels) for requirement in self.labels):
                return False
        return all((_field_text(object, source) == wanted) is is_equal for source, wanted, is_equal in self.fields)


def parse_selector(resource: Resource, label_selector: str, field_selector: str) -> Selector:
    """Read both selectors of a request.

    Raises:
        StatusError: 400 if one is malformed, or a field can't be selected by.
    """
    return Selector(_parse_labels(label_selector), _parse_fields(resource, field_selector))


def _field_text(object: JsonObject, source: FieldSource) -> str:
    value = field_at(object, source.path)
    if isinstance(value, bool):
        return "true" if value else "false"
    return source.absent if value is None else str(value)


def _parse_fields(resource: Resource, text: str) -> tuple[tuple[FieldSource, str, bool], ...]:
    requirements = []
    for term in text.split(","):
        if not term:
            continue
        match = re.fullmatch(r"([^=!]*)(!=|==|=)(.*)", term, re.DOTALL)
        if match is None:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{term}'")
        path, operator, value = match.groups()
        if path not in ("metadata.name", "metadata.namespace", *resource.selectable_fields):
            raise _unknown_field(resource, path)
        source = resource.field_sources.get(path) or FieldSource(path)
        requirements.append((source, value, operator != "!="))
    return tuple(requirements)


def _unknown_field(resource: Resource, path: str) -> StatusError:
    if resource.is_custom or resource.selectable_fields:
        return bad_request(f"field label not supported: {path}")
    known = '"metadata.name", "metadata.namespace"'
    return bad_request(f'"{path}" is not a known field selector: only {known}')


def _parse_labels(text: str) -> tuple[Callable[[Labels], bool], ...]:
    tokens = _Tokens(text)
    requirements = []
    while tokens.next:
        requirements.append(_requirement(tokens))
        if not tokens.next:
            break
        if tokens.take() != ",":
            raise bad_request(f"found '{tokens.last}', expected: ',' or 'end of string'")
        if tokens.next in _SYMBOLS - {"!"} or not tokens.next:
            raise bad_request(f"found '{tokens.next}', expected: identifier after ','")
    return tuple(requirements)


class _Tokens:
    """The words of a selector, read from left to right; the end is the empty string."""

    def __init__(self, text: str) -> None:
        self._rest: list[str] = [*_TOKEN.findall(text), ""]
        self.last = ""

    @property
    def next(self) -> str:
        return self._rest[0]

    def take(self) -> str:
        self.last = self._rest.pop(0) if len(self._rest) > 1 else ""
        return self.last


def _requirement(tokens: _Tokens) -> Callable[[Labels], bool]:
    is_negated = tokens.next == "!"
    if is_negated:
        tokens.take()
    key = tokens.take()
    if not key or key in _SYMBOLS:
        raise bad_request(f"found '{key}', expected: !, identifier, or 'end of string'")
    if is_negated:
        return lambda labels: key not in labels
    if tokens.next in ("", ","):
        return lambda labels: key in labels
    match tokens.take():
        case "=" | "==":
            value = _value(tokens)
            return lambda labels: labels.get(key) == value
        case "!=":
            value = _value(tokens)
            return lambda labels: labels.get(key) != value
        case "in":
            values = _values(tokens)
            return lambda labels: labels.get(key) in values
        case "notin":
            values = _values(tokens)
            return lambda labels: key not in labels or labels[key] not in values
        case "<" | ">" as operator:
            return _comparison(key, operator, _value(tokens))
        case other:
            raise bad_request(f"unable to parse requirement: found '{other}', expected: '=', '!=', '==', 'in', notin'")


def _comparison(key: str, operator: str, bound: str) -> Callable[[Labels], bool]:
    if not re.fullmatch(r"-?\d+", bound):
        raise bad_request(
            f"unable to parse requirement: for 'Gt', 'Lt' operators, the value must be an integer: {bound}"
        )

    def compares(labels: Labels) -> bool:
        value = labels.get(key, "")
        if not re.fullmatch(r"-?\d+", value):
            return False
        return int(value) > int(bound) if operator == ">" else int(value) < int(bound)

    return compares


def _value(tokens: _Tokens) -> str:
    if tokens.next in ("", ","):
        return ""
    if tokens.next in _SYMBOLS:
        raise bad_request(f"unable to parse requirement: found '{tokens.next}', expected: identifier")
    return tokens.take()


def _values(tokens: _Tokens) -> frozenset[str]:
    if tokens.take() != "(":
        raise bad_request(f"unable to parse requirement: found '{tokens.last}', expected: '('")
    values = set()
    while True:
        if tokens.next in (",", ")"):
            values.add("")
        else:
            values.add(_value(tokens))
        if tokens.take() == ")":
            return frozenset(values)
        if tokens.last != ",":
            raise bad_request(f"unable to parse requirement: found '{tokens.last}', expected: ',' or ')'")

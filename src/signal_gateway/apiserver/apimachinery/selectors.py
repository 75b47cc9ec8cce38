"""Label and field selectors: those of a request, and the `LabelSelector` of an object.

The grammar is that of `k8s.io/apimachinery/pkg/labels` and `.../fields`; the rest follows `.../apis/meta/v1`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson

from signal_gateway.apiserver.apimachinery.objects import JsonObject, encode, field_at
from signal_gateway.apiserver.apimachinery.resources import FieldSource, Resource
from signal_gateway.apiserver.apimachinery.status import Cause, StatusError, bad_request

__all__ = [
    "Selector",
    "format_label_selector",
    "invalid_label_selector",
    "label_selector_matches",
    "parse_selector",
    "template_labels_mismatch",
    "validate_workload_selector",
]

Labels = Mapping[str, str]

_TOKEN = re.compile(r"\s*(==|!=|[=!,()<>]|[^\s=!,()<>]+)\s*")
_SYMBOLS = frozenset(("==", "!=", "=", "!", ",", "(", ")", "<", ">"))


@dataclass(frozen=True, slots=True)
class Selector:
    """The label and field selectors of a list or a watch.

    Attributes:
        labels: Requirements on the labels; an object must meet all.
        fields: Requirements on fields: source, value, and whether the field must equal it.
    """

    labels: tuple[Callable[[Labels], bool], ...] = ()
    fields: tuple[tuple[FieldSource, str, bool], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.labels or self.fields)

    def matches(self, object: JsonObject) -> bool:
        """Return whether an object meets all requirements."""
        if self.labels:
            labels = object["metadata"].get("labels", {})
            if not all(requirement(labels) for requirement in self.labels):
                return False
        return all((_field_text(object, source) == wanted) is is_equal for source, wanted, is_equal in self.fields)


def parse_selector(resource: Resource, label_selector: str, field_selector: str) -> Selector:
    """Parse both selectors of a request.

    Raises:
        StatusError: 400 for a malformed selector, or a field that selectors do not support.
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
    """The tokens of a selector, from left to right; the end is the empty string."""

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


def label_selector_matches(selector: JsonObject, labels: Mapping[str, str]) -> bool:
    """Return whether an object's label selector matches labels; an empty selector matches all labels."""
    wanted = selector.get("matchLabels", {}).items()
    return wanted <= labels.items() and all(_holds(term, labels) for term in selector.get("matchExpressions", []))


def _holds(term: JsonObject, labels: Mapping[str, str]) -> bool:
    key, values = term["key"], term.get("values", [])
    match term["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def format_label_selector(selector: JsonObject) -> str:
    """Return an object's label selector in the notation of a query parameter."""
    terms = [f"{key}={value}" for key, value in sorted(selector.get("matchLabels", {}).items())]
    for term in sorted(selector.get("matchExpressions", []), key=lambda term: str(term["key"])):
        key, values = term["key"], ",".join(sorted(term.get("values", [])))
        forms = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}
        terms.append(forms.get(term["operator"], f"!{key}"))
    return ",".join(terms)


def validate_workload_selector(new: JsonObject, old: JsonObject | None, workload: str) -> list[Cause]:
    """Return the causes why the selector of a workload is invalid.

    Args:
        new: The workload's spec.
        old: Its spec before an update; None on a create.
        workload: The workload's name in messages, such as `deployment`.
    """
    selector = new.get("selector")
    labels = new.get("template", {}).get("metadata", {}).get("labels", {})
    if selector is None:
        return [Cause.required("spec.selector"), template_labels_mismatch(labels)]
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        return [invalid_label_selector(selector, f"empty selector is invalid for {workload}")]
    causes = []
    for index, term in enumerate(selector.get("matchExpressions", [])):
        path = f"spec.selector.matchExpressions[{index}]"
        if term["operator"] not in ("In", "NotIn", "Exists", "DoesNotExist"):
            causes.append(Cause.invalid(f"{path}.operator", term["operator"], "not a valid selector operator"))
        elif term["operator"] in ("In", "NotIn") and not term.get("values"):
            detail = "must be specified when `operator` is 'In' or 'NotIn'"
            causes.append(Cause.required(f"{path}.values", detail))
    if old is not None and encode(selector) != encode(old["selector"]):
        causes.append(invalid_label_selector(selector, "field is immutable"))
    if not causes and not label_selector_matches(selector, labels):
        causes.append(template_labels_mismatch(labels))
    return causes


def template_labels_mismatch(labels: Mapping[str, str]) -> Cause:
    """Return the cause for a selector that does not match the template's labels."""
    detail = "`selector` does not match template `labels`"
    return Cause("FieldValueInvalid", "spec.template.metadata.labels", f"Invalid value: {_go_map(labels)}: {detail}")


def invalid_label_selector(selector: JsonObject, detail: str) -> Cause:
    """Return the cause for a selector that breaks a rule, with the selector in Go's notation."""
    terms = selector.get("matchExpressions", [])
    shown = ", ".join(
        f'v1.LabelSelectorRequirement{{Key:"{term["key"]}", Operator:"{term["operator"]}", '
        f"Values:[]string{_braced(term.get('values'))}}}"
        for term in terms
    )
    expressions = f"{{{shown}}}" if terms else "(nil)"
    text = (
        f"v1.LabelSelector{{MatchLabels:{_go_map(selector.get('matchLabels'))}, "
        f"MatchExpressions:[]v1.LabelSelectorRequirement{expressions}}}"
    )
    return Cause("FieldValueInvalid", "spec.selector", f"Invalid value: {text}: {detail}")


def _go_map(labels: Mapping[str, str] | None) -> str:
    """Return labels in Go's notation, as in the API server's messages."""
    if not labels:
        return "map[string]string(nil)"
    pairs = ", ".join(f"{_quoted(key)}:{_quoted(value)}" for key, value in sorted(labels.items()))
    return f"map[string]string{{{pairs}}}"


def _braced(values: list[str] | None) -> str:
    return f"{{{', '.join(_quoted(value) for value in values)}}}" if values else "(nil)"


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()

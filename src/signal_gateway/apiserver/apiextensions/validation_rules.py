"""Validation rules: `x-kubernetes-validations` of a schema, their own validation and that of objects.

The requirements for rules are those of `k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel`.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from signal_gateway.apiserver.apiextensions.cel import CompileError, EvaluationError, compile_rule, evaluate
from signal_gateway.apiserver.apimachinery.objects import JsonObject, encode
from signal_gateway.apiserver.apimachinery.status import Cause, not_implemented

__all__ = ["has_rules", "validate_rule_definitions", "validate_rules"]

_IMMUTABLE: Final = frozenset(("self == oldSelf", "oldSelf == self"))
_OLD: Final = re.compile(r"\boldSelf\b")
_REASONS: Final = ("FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired", "FieldValueDuplicate")
_WORDS: Final = {
    "FieldValueForbidden": "Forbidden: {detail}",
    "FieldValueRequired": "Required value: {detail}",
    "FieldValueDuplicate": "Duplicate value: {value}: {detail}",
    "FieldValueInvalid": "Invalid value: {value}: {detail}",
}
_MAP_KEYS: Final = "x-kubernetes-list-map-keys"


def has_rules(schema: JsonObject) -> bool:
    """Return whether a schema, or a schema inside it, has a rule."""
    return next(_rules(schema, ""), None) is not None


def validate_rule_definitions(schema: JsonObject, path: str) -> list[Cause]:
    """Return the causes why the rules of a schema are invalid.

    Args:
        schema: A version's `openAPIV3Schema`.
        path: Its path in the definition.

    Raises:
        StatusError: 501 if a rule uses an unsupported feature.
    """
    causes = []
    for place, rule in _rules(schema, path):
        expression = str(rule.get("rule", "")).strip()
        if not expression:
            causes.append(Cause.required(f"{place}.rule", "rule is not specified"))
            continue
        if rule.get("optionalOldSelf"):
            raise not_implemented(f"optionalOldSelf of the validation rule {expression!r}")
        reason = rule.get("reason")
        if reason is not None and reason not in _REASONS:
            causes.append(Cause.not_supported(f"{place}.reason", reason, _REASONS))
        for field in ("rule", "messageExpression"):
            if (text := rule.get(field)) and text.strip() not in _IMMUTABLE:
                try:
                    compile_rule(text)
                except CompileError as exc:
                    causes.append(Cause.invalid(f"{place}.{field}", text, f"compilation failed: {exc}"))
    return causes


def validate_rules(new: Any, old: Any, schema: JsonObject, path: str = "", *, has_old: bool) -> list[Cause]:
    """Return a cause for each rule that a value breaks; a rule with `oldSelf` needs an earlier value.

    Args:
        new: The value.
        old: The value before.
        schema: Its schema.
        path: Its path in the object.
        has_old: Whether there is a value before.
    """
    causes = [
        cause
        for rule in schema.get("x-kubernetes-validations", [])
        if (cause := _broken_rule(rule, new, old, path, schema.get("type", ""), has_old=has_old)) is not None
    ]
    if isinstance(new, dict):
        additional = schema.get("additionalProperties")
        for name, item in new.items():
            child = schema.get("properties", {}).get(name, additional)
            if isinstance(child, dict):
                had = has_old and isinstance(old, dict) and name in old
                place = f"{path}.{name}".lstrip(".")
                causes += validate_rules(item, old[name] if had else None, child, place, has_old=had)
    elif isinstance(new, list) and isinstance(items := schema.get("items"), dict):
        before = _items_by_key(old, schema) if has_old else {}
        for index, item in enumerate(new):
            key = _key_of(item, schema) or b""
            had = key in before
            causes += validate_rules(item, before.get(key), items, f"{path}[{index}]", has_old=had)
    return causes


def _broken_rule(rule: JsonObject, new: Any, old: Any, path: str, type: str, *, has_old: bool) -> Cause | None:
    expression = rule["rule"].strip()
    if _OLD.search(expression) and not has_old:
        return None
    variables = {"self": new, "oldSelf": old}
    try:
        holds = encode(new) == encode(old) if expression in _IMMUTABLE else evaluate(expression, variables)
    except EvaluationError as exc:
        return Cause.invalid(path, type, f"rule evaluation error: {exc} evaluating rule: {expression}")
    if holds is True:
        return None
    reason = rule.get("reason", "FieldValueInvalid")
    place = f"{path}{rule.get('fieldPath', '')}".lstrip(".")
    words = _WORDS[reason].format(value=encode(type).decode(), detail=_detail(rule, variables))
    return Cause(reason, place, words)


def _detail(rule: JsonObject, variables: JsonObject) -> str:
    if text := rule.get("messageExpression"):
        try:
            message = evaluate(text, variables)
        except EvaluationError:
            message = ""  # then, as on a real server, the plain message is used
        if isinstance(message, str) and message.strip() and "\n" not in message:
            return message
    return rule.get("message") or f"failed rule: {rule['rule'].strip()}"


def _rules(schema: JsonObject, path: str) -> Iterator[tuple[str, JsonObject]]:
    for index, rule in enumerate(schema.get("x-kubernetes-validations") or []):
        yield f"{path}.x-kubernetes-validations[{index}]", rule
    for name, child in schema.get("properties", {}).items():
        yield from _rules(child, f"{path}.properties[{name}]")
    for keyword in ("items", "additionalProperties"):
        if isinstance(child := schema.get(keyword), dict):
            yield from _rules(child, f"{path}.{keyword}")


def _items_by_key(old: Any, schema: JsonObject) -> dict[bytes, Any]:
    """Return a list's items by their keys; only the items of a list of type map have keys."""
    keyed = ((_key_of(item, schema), item) for item in old) if isinstance(old, list) else ()
    return {key: item for key, item in keyed if key is not None}


def _key_of(item: Any, schema: JsonObject) -> bytes | None:
    keys = schema.get(_MAP_KEYS)
    return encode([item.get(key) for key in keys]) if keys and isinstance(item, dict) else None

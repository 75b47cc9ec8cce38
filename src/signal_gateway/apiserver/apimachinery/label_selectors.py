"""Label selectors as they stand in objects: `matchLabels` and `matchExpressions`."""

from collections.abc import Mapping

import orjson

from signal_gateway.apiserver.apimachinery.objects import JsonObject, encode
from signal_gateway.apiserver.apimachinery.status import Cause

__all__ = ["check_selector", "go_map", "selector_text", "selects"]


def selects(selector: JsonObject, labels: Mapping[str, str]) -> bool:
    """Return whether a selector matches labels; an empty one matches everything."""
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


def selector_text(selector: JsonObject) -> str:
    """Return a selector as a query parameter takes it."""
    terms = [f"{key}={value}" for key, value in sorted(selector.get("matchLabels", {}).items())]
    for term in sorted(selector.get("matchExpressions", []), key=lambda term: str(term["key"])):
        key, values = term["key"], ",".join(sorted(term.get("values", [])))
        forms = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}
        terms.append(forms.get(term["operator"], f"!{key}"))
    return ",".join(terms)


def check_selector(new: JsonObject, old: JsonObject | None, workload: str) -> list[Cause]:
    """Return what is wrong with the selector of a workload.

    Args:
        new: The workload's spec.
        old: Its spec before an update.
        workload: What to call it.
    """
    selector = new.get("selector")
    labels = new.get("template", {}).get("metadata", {}).get("labels", {})
    if selector is None:
        return [Cause.required("spec.selector"), unmatched(labels)]
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        return [invalid_selector(selector, f"empty selector is invalid for {workload}")]
    causes = []
    for index, term in enumerate(selector.get("matchExpressions", [])):
        path = f"spec.selector.matchExpressions[{index}]"
        if term["operator"] not in ("In", "NotIn", "Exists", "DoesNotExist"):
            causes.append(Cause.invalid(f"{path}.operator", term["operator"], "not a valid selector operator"))
        elif term["operator"] in ("In", "NotIn") and not term.get("values"):
            detail = "must be specified when `operator` is 'In' or 'NotIn'"
            causes.append(Cause.required(f"{path}.values", detail))
    if old is not None and encode(selector) != encode(old["selector"]):
        causes.append(invalid_selector(selector, "field is immutable"))
    if not causes and not selects(selector, labels):
        causes.append(unmatched(labels))
    return causes


def unmatched(labels: Mapping[str, str]) -> Cause:
    """Say that a workload would not find its own pods."""
    detail = "`selector` does not match template `labels`"
    return Cause("FieldValueInvalid", "spec.template.metadata.labels", f"Invalid value: {go_map(labels)}: {detail}")


def invalid_selector(selector: JsonObject, detail: str) -> Cause:
    """Say that a selector breaks a rule; it is shown in Go's notation, as the API server does."""
    terms = selector.get("matchExpressions", [])
    shown = ", ".join(
        f'v1.LabelSelectorRequirement{{Key:"{term["key"]}", Operator:"{term["operator"]}", '
        f"Values:[]string{_braced(term.get('values'))}}}"
        for term in terms
    )
    expressions = f"{{{shown}}}" if terms else "(nil)"
    text = (
        f"v1.LabelSelector{{MatchLabels:{go_map(selector.get('matchLabels'))}, "
        f"MatchExpressions:[]v1.LabelSelectorRequirement{expressions}}}"
    )
    return Cause("FieldValueInvalid", "spec.selector", f"Invalid value: {text}: {detail}")


def go_map(labels: Mapping[str, str] | None) -> str:
    """Return labels in Go's notation, which is how the API server shows them."""
    if not labels:
        return "map[string]string(nil)"
    pairs = ", ".join(f"{_quoted(key)}:{_quoted(value)}" for key, value in sorted(labels.items()))
    return f"map[string]string{{{pairs}}}"


def _braced(values: list[str] | None) -> str:
    return f"{{{', '.join(_quoted(value) for value in values)}}}" if values else "(nil)"


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()

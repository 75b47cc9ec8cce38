"""Horizontal pod autoscalers, in autoscaling/v1 and v2, and pod disruption budgets: defaults and checks.

After `pkg/apis/autoscaling`, its conversions, and `pkg/apis/policy/validation` of Kubernetes. An autoscaler is stored
as v2 has it. What v1 has no fields for (metrics other than of the CPU, behavior, conditions) travels through it in
annotations.
"""

import re
from typing import Any

import orjson

from signal_gateway.apiserver.apimachinery.objects import JsonObject
from signal_gateway.apiserver.apimachinery.status import Cause, bad_request
from signal_gateway.apiserver.kinds.schema.strategy import ModelStrategy

__all__ = ["AUTOSCALERS", "AUTOSCALERS_V1", "BUDGETS", "from_v2", "to_v2"]

_CPU_PERCENT = 80
_ANNOTATION = "autoscaling.alpha.kubernetes.io/"
_METRICS, _BEHAVIOR = f"{_ANNOTATION}metrics", f"{_ANNOTATION}behavior"
_CURRENT_METRICS, _CONDITIONS = f"{_ANNOTATION}current-metrics", f"{_ANNOTATION}conditions"
_V1_PERCENT, _V1_CURRENT_PERCENT = "targetCPUUtilizationPercentage", "currentCPUUtilizationPercentage"
_PERCENT = r"[0-9]+%"
_PERCENT_RULE = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for "
    f"validation is '{_PERCENT}')"
)


def _cpu_metric(percent: int) -> JsonObject:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


def to_v2(autoscaler: JsonObject) -> JsonObject:
    """Return an autoscaling/v1 autoscaler as v2 has it."""
    spec, status = dict(autoscaler["spec"]), dict(autoscaler["status"])
    metadata = dict(autoscaler["metadata"])
    annotations = dict(metadata.pop("annotations", {}))
    metrics, current_metrics = _read(annotations, _METRICS) or [], _read(annotations, _CURRENT_METRICS) or []
    if (percent := spec.pop(_V1_PERCENT, None)) is not None:
        metrics.insert(0, _cpu_metric(percent))
    if (percent := status.pop(_V1_CURRENT_PERCENT, None)) is not None:
        current_metrics.insert(0, _current_cpu_metric(percent))
    spec |= _known({"metrics": metrics, "behavior": _read(annotations, _BEHAVIOR)})
    status |= _known({"currentMetrics": current_metrics, "conditions": _read(annotations, _CONDITIONS)})
    metadata |= _known({"annotations": annotations})
    return autoscaler | {"apiVersion": "autoscaling/v2", "metadata": metadata, "spec": spec, "status": status}


def from_v2(autoscaler: JsonObject) -> JsonObject:
    """Return an autoscaling/v2 autoscaler as v1 has it."""
    spec, status = dict(autoscaler["spec"]), dict(autoscaler["status"])
    metadata = dict(autoscaler["metadata"])
    annotations = dict(metadata.get("annotations", {}))
    percent, metrics = _without_cpu(spec.pop("metrics", []), "target")
    current_percent, current_metrics = _without_cpu(status.pop("currentMetrics", []), "current")
    spec |= _known({_V1_PERCENT: percent})
    status |= _known({_V1_CURRENT_PERCENT: current_percent})
    left = {
        _METRICS: metrics,
        _BEHAVIOR: spec.pop("behavior", None),
        _CURRENT_METRICS: current_metrics,
        _CONDITIONS: status.pop("conditions", None),
    }
    annotations |= {name: orjson.dumps(value).decode() for name, value in _known(left).items()}
    metadata |= _known({"annotations": annotations})
    return autoscaler | {"apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status}


def _current_cpu_metric(percent: int) -> JsonObject:
    return {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": percent}}}


def _known(fields: JsonObject) -> JsonObject:
    """Return the fields that say something."""
    return {name: value for name, value in fields.items() if value not in (None, [], {})}


def _without_cpu(metrics: list[JsonObject], field: str) -> tuple[int | None, list[JsonObject]]:
    """Split metrics into what v1 can say, the percentage of the CPU, and the others."""
    percent: int | None = None
    others = []
    for metric in metrics:
        resource = metric.get("resource", {})
        found = resource.get(field, {}).get("averageUtilization")
        if resource.get("name") == "cpu" and found is not None and percent is None:
            percent = found
        else:
            others.append(metric)
    return percent, others


def _read(annotations: dict[str, str], name: str) -> Any:
    """Take what v1 can't say out of an annotation."""
    try:
        return orjson.loads(annotations.pop(name, "null"))
    except orjson.JSONDecodeError as exc:
        raise bad_request(f"the annotation {name} can't be read: {exc}") from exc


def _default_autoscaler(new: JsonObject, old: JsonObject | None) -> None:
    spec = new["spec"]
    spec.setdefault("minReplicas", 1)
    if not spec.get("metrics"):
        spec["metrics"] = [_cpu_metric(_CPU_PERCENT)]
    if "behavior" in spec:
        _default_behavior(spec["behavior"])
    _default_status(new, old)


def _default_behavior(behavior: JsonObject) -> None:
    by_percent = {"type": "Percent", "value": 100, "periodSeconds": 15}
    by_pods = {"type": "Pods", "value": 4, "periodSeconds": 15}
    for direction, policies in (("scaleUp", [by_pods, by_percent]), ("scaleDown", [by_percent])):
        rules = behavior.setdefault(direction, {})
        rules.setdefault("selectPolicy", "Max")
        rules.setdefault("policies", [dict(policy) for policy in policies])
    behavior["scaleUp"].setdefault("stabilizationWindowSeconds", 0)


def _default_autoscaler_v1(new: JsonObject, old: JsonObject | None) -> None:
    new["spec"].setdefault("minReplicas", 1)
    if _METRICS not in new["metadata"].get("annotations", {}):
        new["spec"].setdefault(_V1_PERCENT, _CPU_PERCENT)
    _default_status(new, old)


def _default_status(new: JsonObject, old: JsonObject | None) -> None:
    if old is None:
        new["status"] = {"currentReplicas": 0, "desiredReplicas": 0}


def _check_autoscaler(new: JsonObject, _old: JsonObject | None) -> list[Cause]:
    spec = new["spec"]
    least, most = spec["minReplicas"], spec["maxReplicas"]
    causes = []
    if least < 1:
        causes.append(Cause.invalid("spec.minReplicas", least, "must be greater than or equal to 1"))
    if most < 1:
        causes.append(Cause.invalid("spec.maxReplicas", most, "must be greater than 0"))
    if most < least:
        causes.append(Cause.invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"))
    return causes


def _default_budget(new: JsonObject, old: JsonObject | None) -> None:
    new.setdefault("spec", {})
    if old is None:
        counts = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
        new["status"] = dict.fromkeys(counts, 0)


def _check_budget(new: JsonObject, _old: JsonObject | None) -> list[Cause]:
    spec = new["spec"]
    causes = []
    if "minAvailable" in spec and "maxUnavailable" in spec:
        causes.append(Cause.invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set"))
    for field in ("minAvailable", "maxUnavailable"):
        value = spec.get(field, 0)
        if isinstance(value, str) and not re.fullmatch(_PERCENT, value):
            causes.append(Cause.invalid(f"spec.{field}", value, _PERCENT_RULE))
        elif isinstance(value, int) and value < 0:
            causes.append(Cause.invalid(f"spec.{field}", value, "must be greater than or equal to 0"))
    return causes


AUTOSCALERS = ModelStrategy("autoscaling_v2.HorizontalPodAutoscaler", _default_autoscaler, _check_autoscaler)
AUTOSCALERS_V1 = ModelStrategy("autoscaling_v1.HorizontalPodAutoscaler", _default_autoscaler_v1, _check_autoscaler)
BUDGETS = ModelStrategy("policy_v1.PodDisruptionBudget", _default_budget, _check_budget)

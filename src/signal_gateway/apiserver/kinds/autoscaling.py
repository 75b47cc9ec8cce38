"""Horizontal pod autoscalers, in autoscaling/v1 and v2: defaults, validation and conversion.

After `pkg/apis/autoscaling` and its conversions in Kubernetes. An autoscaler is stored in the form of v2. Fields that
v1 lacks (metrics other than of the CPU, behavior, conditions) pass through v1 in annotations.
"""

from typing import Any

import orjson

from signal_gateway.apiserver.apimachinery.objects import JsonObject
from signal_gateway.apiserver.apimachinery.status import Cause, bad_request
from signal_gateway.apiserver.kinds.schema.strategy import ModelStrategy

__all__ = ["AUTOSCALERS", "AUTOSCALERS_V1", "from_v2", "to_v2"]

_CPU_PERCENT = 80
_ANNOTATION = "autoscaling.alpha.kubernetes.io/"
_METRICS, _BEHAVIOR = f"{_ANNOTATION}metrics", f"{_ANNOTATION}behavior"
_CURRENT_METRICS, _CONDITIONS = f"{_ANNOTATION}current-metrics", f"{_ANNOTATION}conditions"
_V1_PERCENT, _V1_CURRENT_PERCENT = "targetCPUUtilizationPercentage", "currentCPUUtilizationPercentage"


def _cpu_metric(percent: int) -> JsonObject:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


def to_v2(autoscaler: JsonObject) -> JsonObject:
    """Convert an autoscaler from autoscaling/v1 to v2."""
    spec, status = dict(autoscaler["spec"]), dict(autoscaler["status"])
    metadata = dict(autoscaler["metadata"])
    annotations = dict(metadata.pop("annotations", {}))
    metrics, current_metrics = _read(annotations, _METRICS) or [], _read(annotations, _CURRENT_METRICS) or []
    if (percent := spec.pop(_V1_PERCENT, None)) is not None:
        metrics.insert(0, _cpu_metric(percent))
    if (percent := status.pop(_V1_CURRENT_PERCENT, None)) is not None:
        current_metrics.insert(0, _current_cpu_metric(percent))
    spec |= _not_empty({"metrics": metrics, "behavior": _read(annotations, _BEHAVIOR)})
    status |= _not_empty({"currentMetrics": current_metrics, "conditions": _read(annotations, _CONDITIONS)})
    metadata |= _not_empty({"annotations": annotations})
    return autoscaler | {"apiVersion": "autoscaling/v2", "metadata": metadata, "spec": spec, "status": status}


def from_v2(autoscaler: JsonObject) -> JsonObject:
    """Convert an autoscaler from autoscaling/v2 to v1."""
    spec, status = dict(autoscaler["spec"]), dict(autoscaler["status"])
    metadata = dict(autoscaler["metadata"])
    annotations = dict(metadata.get("annotations", {}))
    percent, metrics = _without_cpu(spec.pop("metrics", []), "target")
    current_percent, current_metrics = _without_cpu(status.pop("currentMetrics", []), "current")
    spec |= _not_empty({_V1_PERCENT: percent})
    status |= _not_empty({_V1_CURRENT_PERCENT: current_percent})
    left = {
        _METRICS: metrics,
        _BEHAVIOR: spec.pop("behavior", None),
        _CURRENT_METRICS: current_metrics,
        _CONDITIONS: status.pop("conditions", None),
    }
    annotations |= {name: orjson.dumps(value).decode() for name, value in _not_empty(left).items()}
    metadata |= _not_empty({"annotations": annotations})
    return autoscaler | {"apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status}


def _current_cpu_metric(percent: int) -> JsonObject:
    return {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": percent}}}


def _not_empty(fields: JsonObject) -> JsonObject:
    """Return the fields that are not empty."""
    return {name: value for name, value in fields.items() if value not in (None, [], {})}


def _without_cpu(metrics: list[JsonObject], field: str) -> tuple[int | None, list[JsonObject]]:
    """Split metrics into the CPU percentage, which v1 has a field for, and the others."""
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
    """Remove an annotation and return its JSON value."""
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


def _validate_autoscaler(new: JsonObject, _old: JsonObject | None) -> list[Cause]:
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


AUTOSCALERS = ModelStrategy("autoscaling_v2.HorizontalPodAutoscaler", _default_autoscaler, _validate_autoscaler)
AUTOSCALERS_V1 = ModelStrategy("autoscaling_v1.HorizontalPodAutoscaler", _default_autoscaler_v1, _validate_autoscaler)

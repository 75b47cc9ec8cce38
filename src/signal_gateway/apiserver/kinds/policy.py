"""Pod disruption budgets (policy): defaults and validation.

After `pkg/apis/policy/validation` of Kubernetes.
"""

import re

from signal_gateway.apiserver.apimachinery.objects import JsonObject
from signal_gateway.apiserver.apimachinery.status import Cause
from signal_gateway.apiserver.kinds.schema.strategy import ModelStrategy

__all__ = ["BUDGETS"]

_PERCENT = r"[0-9]+%"
_PERCENT_RULE = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for "
    f"validation is '{_PERCENT}')"
)


def _default_budget(new: JsonObject, old: JsonObject | None) -> None:
    new.setdefault("spec", {})
    if old is None:
        counts = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
        new["status"] = dict.fromkeys(counts, 0)


def _validate_budget(new: JsonObject, _old: JsonObject | None) -> list[Cause]:
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


BUDGETS = ModelStrategy("policy_v1.PodDisruptionBudget", _default_budget, _validate_budget)

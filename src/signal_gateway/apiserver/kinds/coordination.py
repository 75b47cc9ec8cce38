"""Leases (coordination.k8s.io): defaults and validation."""

from signal_gateway.apiserver.apimachinery.objects import JsonObject
from signal_gateway.apiserver.apimachinery.status import Cause
from signal_gateway.apiserver.kinds.schema.strategy import ModelStrategy

__all__ = ["LEASES"]


def _default_lease(new: JsonObject, _old: JsonObject | None) -> None:
    new.setdefault("spec", {})


def _validate_lease(new: JsonObject, _old: JsonObject | None) -> list[Cause]:
    spec = new["spec"]
    duration, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    causes = []
    if duration is not None and duration <= 0:
        causes.append(Cause.invalid("spec.leaseDurationSeconds", duration, "must be greater than 0"))
    if transitions is not None and transitions < 0:
        causes.append(Cause.invalid("spec.leaseTransitions", transitions, "must be greater than or equal to 0"))
    return causes


LEASES = ModelStrategy("coordination_v1.Lease", _default_lease, _validate_lease)

"""Deployments, replica sets, stateful sets, daemon sets and replication controllers: defaults and validation.

After `pkg/apis/apps/v1/defaults.go` and `pkg/apis/apps/validation/validation.go` of Kubernetes.
"""

from signal_gateway.apiserver.apimachinery.objects import JsonObject, encode
from signal_gateway.apiserver.apimachinery.selectors import template_labels_mismatch, validate_workload_selector
from signal_gateway.apiserver.apimachinery.status import Cause
from signal_gateway.apiserver.kinds.core.pods import default_template, validate_pod_spec
from signal_gateway.apiserver.kinds.schema.strategy import ModelStrategy

__all__ = ["DAEMON_SETS", "DEPLOYMENTS", "REPLICATION_CONTROLLERS", "REPLICA_SETS", "STATEFUL_SETS"]

_TEMPLATE = "spec.template.spec"
_RESTART_POLICIES = ("Always",)
_TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
_STATEFUL_SET_FIELDS = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)
_COUNTS = ("readyReplicas", "availableReplicas", "updatedReplicas", "fullyLabeledReplicas", "currentReplicas")


def _default_deployment(new: JsonObject, old: JsonObject | None) -> None:
    spec = new["spec"]
    default_template(spec["template"])
    spec.setdefault("replicas", 1)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    if old is None:
        new["status"] = {}


def _validate_deployment(new: JsonObject, old: JsonObject | None) -> list[Cause]:
    spec = new["spec"]
    strategy = spec["strategy"]
    causes = []
    if strategy["type"] not in ("Recreate", "RollingUpdate"):
        causes.append(Cause.not_supported("spec.strategy.type", strategy["type"], ("Recreate", "RollingUpdate")))
    elif strategy["type"] == "Recreate" and "rollingUpdate" in strategy:
        detail = "may not be specified when strategy `type` is 'Recreate'"
        causes.append(Cause.forbidden("spec.strategy.rollingUpdate", detail))
    return _validate_workload(new, old, "deployment") + causes


def _default_replica_set(new: JsonObject, old: JsonObject | None) -> None:
    spec = new["spec"]
    default_template(spec.setdefault("template", {}))
    spec.setdefault("replicas", 1)
    if old is None:
        new["status"] = {"replicas": 0}


def _validate_replica_set(new: JsonObject, old: JsonObject | None) -> list[Cause]:
    return _validate_workload(new, old, "replicaset")


def _default_stateful_set(new: JsonObject, old: JsonObject | None) -> None:
    spec = new["spec"]
    _default_replica_set(new, old)
    spec.setdefault("serviceName", "")
    spec.setdefault("podManagementPolicy", "OrderedReady")
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        strategy.setdefault("rollingUpdate", {}).setdefault("partition", 0)
    spec.setdefault("revisionHistoryLimit", 10)


def _validate_stateful_set(new: JsonObject, old: JsonObject | None) -> list[Cause]:
    causes = []
    if old is not None:
        before, after = (
            {key: value for key, value in object["spec"].items() if key not in _STATEFUL_SET_FIELDS}
            for object in (old, new)
        )
        if encode(before) != encode(after):
            fields = ", ".join(f"'{field}'" for field in _STATEFUL_SET_FIELDS[:-1])
            detail = f"updates to statefulset spec for fields other than {fields} and 'minReadySeconds' are forbidden"
            return [Cause.forbidden("spec", detail)]
    policy = new["spec"]["podManagementPolicy"]
    if policy not in ("OrderedReady", "Parallel"):
        detail = "must be 'OrderedReady' or 'Parallel'"
        causes.append(Cause.invalid("spec.podManagementPolicy", policy, detail))
    restart_policy = new["spec"]["template"]["spec"]["restartPolicy"]
    if restart_policy not in _RESTART_POLICIES:
        causes.append(Cause.not_supported(f"{_TEMPLATE}.restartPolicy", restart_policy, _RESTART_POLICIES))
    # the API server does not validate the rest of the template either: volumes may come from claims
    return (
        causes
        + validate_workload_selector(new["spec"], None if old is None else old["spec"], "statefulset")
        + _validate_counts(new, old)
    )


def _default_daemon_set(new: JsonObject, old: JsonObject | None) -> None:
    spec = new["spec"]
    default_template(spec["template"])
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        strategy.setdefault("rollingUpdate", {}).setdefault("maxUnavailable", 1)
        strategy["rollingUpdate"].setdefault("maxSurge", 0)
    spec.setdefault("revisionHistoryLimit", 10)
    _count_template(new, old)
    if old is None:
        counts = ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady")
        new["status"] = dict.fromkeys(counts, 0)


def _count_template(new: JsonObject, old: JsonObject | None) -> None:
    """Count the changes of a daemon set's template in an annotation, as the API server does."""
    generation = 1
    if old is not None:
        generation = int(old["metadata"].get("annotations", {}).get(_TEMPLATE_GENERATION, "1"))
        generation += encode(new["spec"]["template"]) != encode(old["spec"]["template"])
    new["metadata"].setdefault("annotations", {})[_TEMPLATE_GENERATION] = str(generation)


def _validate_daemon_set(new: JsonObject, old: JsonObject | None) -> list[Cause]:
    return _validate_workload(new, old, "daemonset")


def _default_replication_controller(new: JsonObject, old: JsonObject | None) -> None:
    spec = new.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    if old is None:
        new["status"] = {"replicas": 0}
    if "template" in spec:
        default_template(spec["template"])
        if labels := spec["template"]["metadata"].get("labels"):
            spec.setdefault("selector", dict(labels))
            new["metadata"].setdefault("labels", dict(labels))


def _validate_replication_controller(new: JsonObject, old: JsonObject | None) -> list[Cause]:
    spec = new["spec"]
    causes = [Cause.required(f"spec.{field}") for field in ("selector", "template") if not spec.get(field)]
    if causes:
        return causes
    labels = spec["template"]["metadata"].get("labels", {})
    causes += [] if spec["selector"].items() <= labels.items() else [template_labels_mismatch(labels)]
    return causes + _validate_pods(new, old)


def _validate_workload(new: JsonObject, old: JsonObject | None, name: str) -> list[Cause]:
    return validate_workload_selector(new["spec"], None if old is None else old["spec"], name) + _validate_pods(
        new, old
    )


def _validate_pods(new: JsonObject, old: JsonObject | None) -> list[Cause]:
    pods = validate_pod_spec(new["spec"]["template"]["spec"], _TEMPLATE, restart_policies=_RESTART_POLICIES)
    return pods + _validate_counts(new, old)


def _validate_counts(new: JsonObject, old: JsonObject | None) -> list[Cause]:
    """Return a cause for a negative number of replicas, and for each status count above it."""
    replicas = new["spec"].get("replicas", 0)
    detail = "must be greater than or equal to 0"
    causes = [Cause.invalid("spec.replicas", replicas, detail)] if replicas < 0 else []
    if old is None or "status" not in new:
        return causes
    status = new["status"]
    most = status.get("replicas", 0)
    return causes + [
        Cause.invalid(f"status.{field}", status[field], "cannot be greater than status.replicas")
        for field in _COUNTS
        if status.get(field, 0) > most
    ]


DEPLOYMENTS = ModelStrategy("apps_v1.Deployment", _default_deployment, _validate_deployment)
REPLICA_SETS = ModelStrategy("apps_v1.ReplicaSet", _default_replica_set, _validate_replica_set)
STATEFUL_SETS = ModelStrategy("apps_v1.StatefulSet", _default_stateful_set, _validate_stateful_set)
DAEMON_SETS = ModelStrategy("apps_v1.DaemonSet", _default_daemon_set, _validate_daemon_set)
REPLICATION_CONTROLLERS = ModelStrategy(
    "core_v1.ReplicationController", _default_replication_controller, _validate_replication_controller
)

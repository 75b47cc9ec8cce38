"""Jobs and cron jobs: defaults and validation.

After `pkg/apis/batch/v1/defaults.go`, `pkg/registry/batch/job/strategy.go` and `pkg/apis/batch/validation` of
Kubernetes.
"""

from signal_gateway.apiserver.apimachinery.objects import JsonObject, encode
from signal_gateway.apiserver.apimachinery.selectors import invalid_label_selector
from signal_gateway.apiserver.apimachinery.status import Cause
from signal_gateway.apiserver.kinds.core.pods import default_template, validate_pod_spec
from signal_gateway.apiserver.kinds.schema.strategy import ModelStrategy

__all__ = ["CRON_JOBS", "JOBS"]

_PREFIX = "batch.kubernetes.io/"
_POLICIES = ("Allow", "Forbid", "Replace")


def _default_job(new: JsonObject, old: JsonObject | None) -> None:
    spec = new.setdefault("spec", {})
    _default_spec(spec)
    if old is None:
        new["status"] = {}
        if not spec.get("manualSelector"):
            _select_own_pods(new)
    if labels := spec["template"]["metadata"].get("labels"):
        new["metadata"].setdefault("labels", dict(labels))


def _default_spec(spec: JsonObject) -> None:
    default_template(spec.setdefault("template", {}))
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("podReplacementPolicy", "TerminatingOrFailed")


def _select_own_pods(job: JsonObject) -> None:
    uid, name = job["metadata"]["uid"], job["metadata"].get("name", "")
    labels = job["spec"]["template"]["metadata"].setdefault("labels", {})
    for prefix in ("", _PREFIX):
        labels[f"{prefix}controller-uid"] = uid
        labels[f"{prefix}job-name"] = name
    selector = job["spec"].setdefault("selector", {})
    selector.setdefault("matchLabels", {})[f"{_PREFIX}controller-uid"] = uid


def _validate_own_selector(job: JsonObject) -> list[Cause]:
    """Return a cause for a selector of the user's own without `manualSelector`."""
    generated = {"matchLabels": {f"{_PREFIX}controller-uid": job["metadata"]["uid"]}}
    if job["spec"].get("manualSelector") or job["spec"].get("selector") == generated:
        return []
    return [invalid_label_selector(job["spec"].get("selector", {}), "`selector` not auto-generated")]


def _validate_job(new: JsonObject, old: JsonObject | None) -> list[Cause]:
    spec = new["spec"]
    causes = _validate_template(spec["template"], "spec.template")
    causes += _validate_own_selector(new) if old is None else []
    for field in ("parallelism", "completions", "backoffLimit"):
        if spec.get(field, 0) < 0:
            causes.append(Cause.invalid(f"spec.{field}", spec[field], "must be greater than or equal to 0"))
    for field in ("completions", "selector", "template", "completionMode"):
        if old is not None and encode(spec.get(field)) != encode(old["spec"].get(field)):
            causes.append(Cause.invalid(f"spec.{field}", spec.get(field), "field is immutable"))
    return causes


def _validate_template(template: JsonObject, path: str) -> list[Cause]:
    pods = template["spec"]
    if pods["restartPolicy"] == "Always":  # the default, which no job allows
        return [Cause.required(f"{path}.spec.restartPolicy", 'valid values: "OnFailure", "Never"')]
    return validate_pod_spec(pods, f"{path}.spec", restart_policies=("OnFailure", "Never"))


def _default_cron_job(new: JsonObject, old: JsonObject | None) -> None:
    spec = new["spec"]
    template = spec["jobTemplate"].setdefault("spec", {})
    default_template(template.setdefault("template", {}))
    spec["jobTemplate"].setdefault("metadata", {})["creationTimestamp"] = None
    spec.setdefault("concurrencyPolicy", "Allow")
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)
    if old is None:
        new["status"] = {}


def _validate_cron_job(new: JsonObject, _old: JsonObject | None) -> list[Cause]:
    spec = new["spec"]
    causes = []
    schedule = spec["schedule"]
    if schedule and not schedule.startswith("@") and len(schedule.split()) != 5:
        detail = f"expected exactly 5 fields, found {len(schedule.split())}: [{schedule}]"
        causes.append(Cause.invalid("spec.schedule", schedule, detail))
    if spec["concurrencyPolicy"] not in _POLICIES:
        causes.append(Cause.not_supported("spec.concurrencyPolicy", spec["concurrencyPolicy"], _POLICIES))
    return causes + _validate_template(spec["jobTemplate"]["spec"]["template"], "spec.jobTemplate.spec.template")


JOBS = ModelStrategy("batch_v1.Job", _default_job, _validate_job)
CRON_JOBS = ModelStrategy("batch_v1.CronJob", _default_cron_job, _validate_cron_job)

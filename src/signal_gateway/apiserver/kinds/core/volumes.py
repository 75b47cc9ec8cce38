"""Persistent volumes and claims: defaults and validation.

After `pkg/apis/core/v1/defaults.go` and `pkg/apis/core/validation/validation.go` of Kubernetes.
"""

from signal_gateway.apiserver.apimachinery.objects import JsonObject, encode
from signal_gateway.apiserver.apimachinery.status import Cause
from signal_gateway.apiserver.kinds.schema.strategy import ModelStrategy

__all__ = ["CLAIMS", "VOLUMES"]

_ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_VOLUME_FIELDS = frozenset(
    (
        "accessModes",
        "capacity",
        "claimRef",
        "mountOptions",
        "nodeAffinity",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "volumeAttributesClassName",
        "volumeMode",
    )
)


def _default_claim(new: JsonObject, old: JsonObject | None) -> None:
    new.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
    if old is None:
        new["status"] = {"phase": "Pending"}
        _protect(new, "kubernetes.io/pvc-protection")


def _validate_claim(new: JsonObject, old: JsonObject | None) -> list[Cause]:
    spec = new["spec"]
    causes = []
    if not spec.get("accessModes"):
        causes.append(Cause.required("spec.accessModes", "at least 1 access mode is required"))
    causes += _validate_access_modes(spec)
    if "storage" not in spec.get("resources", {}).get("requests", {}):
        causes.append(Cause.required("spec.resources[storage]"))
    if old is not None:
        before, after = (
            {key: value for key, value in object["spec"].items() if key not in ("resources", "volumeName")}
            for object in (old, new)
        )
        if encode(before) != encode(after):
            detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName"
            causes.append(Cause.forbidden("spec", f"{detail} for bound claims"))
    return causes


def _default_volume(new: JsonObject, old: JsonObject | None) -> None:
    spec = new.setdefault("spec", {})
    spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
    spec.setdefault("volumeMode", "Filesystem")
    if "hostPath" in spec:
        spec["hostPath"].setdefault("type", "")
    if old is None:
        new["status"] = {"phase": "Pending"}
        _protect(new, "kubernetes.io/pv-protection")


def _validate_volume(new: JsonObject, _old: JsonObject | None) -> list[Cause]:
    spec = new["spec"]
    causes = [] if spec.get("accessModes") else [Cause.required("spec.accessModes")]
    causes += _validate_access_modes(spec)
    if not spec.get("capacity"):
        causes.append(Cause.required("spec.capacity"))
    if not spec.keys() - _VOLUME_FIELDS:
        causes.append(Cause.required("spec", "must specify a volume type"))
    return causes


def _validate_access_modes(spec: JsonObject) -> list[Cause]:
    wrong = [mode for mode in spec.get("accessModes", []) if mode not in _ACCESS_MODES]
    return [Cause.not_supported("spec.accessModes", mode, _ACCESS_MODES) for mode in wrong]


def _protect(new: JsonObject, finalizer: str) -> None:
    """Add the finalizer that admission adds."""
    finalizers = new["metadata"].setdefault("finalizers", [])
    if finalizer not in finalizers:
        finalizers.append(finalizer)


CLAIMS = ModelStrategy("core_v1.PersistentVolumeClaim", _default_claim, _validate_claim)
VOLUMES = ModelStrategy("core_v1.PersistentVolume", _default_volume, _validate_volume)

"""Roles and their bindings (rbac.authorization.k8s.io): defaults and validation. They do not authorize requests.

After `pkg/apis/rbac/v1/defaults.go` and `pkg/apis/rbac/validation/validation.go` of Kubernetes.
"""

from collections.abc import Sequence

from signal_gateway.apiserver.apimachinery.objects import JsonObject, encode
from signal_gateway.apiserver.apimachinery.status import Cause
from signal_gateway.apiserver.kinds.schema.strategy import ModelStrategy

__all__ = ["CLUSTER_ROLES", "CLUSTER_ROLE_BINDINGS", "ROLES", "ROLE_BINDINGS"]

_GROUP = "rbac.authorization.k8s.io"
_SUBJECT_KINDS = ("ServiceAccount", "User", "Group")


def _default_role(new: JsonObject, _old: JsonObject | None) -> None:
    new.setdefault("rules", None)


def _validate_role(new: JsonObject, _old: JsonObject | None) -> list[Cause]:
    causes = _validate_rules(new)
    for index, rule in enumerate(new.get("rules") or []):
        if rule.get("nonResourceURLs"):
            path = f"rules[{index}].nonResourceURLs"
            detail = "namespaced rules cannot apply to non-resource URLs"
            causes.append(Cause.invalid(path, rule["nonResourceURLs"], detail))
    return causes


def _validate_cluster_role(new: JsonObject, _old: JsonObject | None) -> list[Cause]:
    return _validate_rules(new)


def _validate_rules(role: JsonObject) -> list[Cause]:
    causes = []
    for index, rule in enumerate(role.get("rules") or []):
        path = f"rules[{index}]"
        if not rule.get("verbs"):
            causes.append(Cause.required(f"{path}.verbs", "verbs must contain at least one value"))
        if rule.get("nonResourceURLs"):
            continue
        if not rule.get("apiGroups"):
            causes.append(Cause.required(f"{path}.apiGroups", "resource rules must supply at least one api group"))
        if not rule.get("resources"):
            causes.append(Cause.required(f"{path}.resources", "resource rules must supply at least one resource"))
    return causes


def _default_binding(new: JsonObject, _old: JsonObject | None) -> None:
    if not new["roleRef"].get("apiGroup"):
        new["roleRef"]["apiGroup"] = _GROUP
    for subject in new.get("subjects", []):
        if subject["kind"] in ("User", "Group"):
            subject.setdefault("apiGroup", _GROUP)


def _validate_role_binding(new: JsonObject, old: JsonObject | None) -> list[Cause]:
    return _validate_binding(new, old, ("Role", "ClusterRole"))


def _validate_cluster_role_binding(new: JsonObject, old: JsonObject | None) -> list[Cause]:
    causes = _validate_binding(new, old, ("ClusterRole",))
    for index, subject in enumerate(new.get("subjects", [])):
        if subject["kind"] == "ServiceAccount" and not subject.get("namespace"):
            causes.append(Cause.required(f"subjects[{index}].namespace"))
    return causes


def _validate_binding(new: JsonObject, old: JsonObject | None, role_kinds: Sequence[str]) -> list[Cause]:
    role = new["roleRef"]
    if old is not None and encode(role) != encode(old["roleRef"]):
        return [Cause.invalid("roleRef", role, "cannot change roleRef")]
    causes = []
    if role["kind"] not in role_kinds:
        causes.append(Cause.not_supported("roleRef.kind", role["kind"], role_kinds))
    for index, subject in enumerate(new.get("subjects", [])):
        if subject["kind"] not in _SUBJECT_KINDS:
            causes.append(Cause.not_supported(f"subjects[{index}].kind", subject["kind"], _SUBJECT_KINDS))
    return causes


ROLES = ModelStrategy("rbac_v1.Role", _default_role, _validate_role)
CLUSTER_ROLES = ModelStrategy("rbac_v1.ClusterRole", _default_role, _validate_cluster_role)
ROLE_BINDINGS = ModelStrategy("rbac_v1.RoleBinding", _default_binding, _validate_role_binding)
CLUSTER_ROLE_BINDINGS = ModelStrategy("rbac_v1.ClusterRoleBinding", _default_binding, _validate_cluster_role_binding)

"""Namespaces: the server sets their spec and status, and one label."""

from signal_gateway.apiserver.apimachinery.objects import JsonObject
from signal_gateway.apiserver.apimachinery.resources import Resource, Subresource
from signal_gateway.apiserver.apimachinery.status import Cause
from signal_gateway.apiserver.kinds.schema.canonical import canonicalize

__all__ = ["INITIAL_NAMESPACES", "NAMESPACES"]

INITIAL_NAMESPACES = ("default", "kube-system", "kubernaut-system")

_NAME_LABEL = "kubernetes.io/metadata.name"


class _NamespaceStrategy:
    def prepare(self, new: JsonObject, old: JsonObject | None) -> list[str]:
        is_bare = new.keys() <= {"apiVersion", "kind", "metadata"}
        dropped = [] if is_bare else canonicalize(new, "core_v1.Namespace")
        new["spec"] = old["spec"] if old else {"finalizers": ["kubernetes"]}
        if old is None:
            new["status"] = {"phase": "Active"}
        name = new["metadata"].get("name")
        if name:
            new["metadata"].setdefault("labels", {})[_NAME_LABEL] = name
        return dropped

    def validate(self, new: JsonObject, old: JsonObject | None) -> list[Cause]:  # noqa: ARG002 - the protocol's
        return []


NAMESPACES = Resource(
    group="",
    version="v1",
    plural="namespaces",
    singular="namespace",
    kind="Namespace",
    list_kind="NamespaceList",
    namespaced=False,
    strategy=_NamespaceStrategy(),
    short_names=("ns",),
    has_status=True,
    has_generation=False,
    name_rule="label",
    subresources=(Subresource("finalize", "Namespace", ("update",)),),
    selectable_fields=("status.phase",),
    verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
)

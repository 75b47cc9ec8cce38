"""The built-in kinds, one row each."""

from signal_gateway.apiserver.crds import CRDS
from signal_gateway.apiserver.objects import JsonObject
from signal_gateway.apiserver.resources import Resource
from signal_gateway.apiserver.status import Cause

__all__ = ["BUILTIN", "INITIAL_NAMESPACES", "NAMESPACES"]

INITIAL_NAMESPACES = ("default", "kube-system", "kubernaut-system")


class _NamespaceStrategy:
    """A namespace is its metadata; spec and status are the server's business."""

    def shape(self, new: JsonObject, old: JsonObject | None) -> list[str]:
        known = ("apiVersion", "kind", "metadata", "spec", "status")
        dropped = [name for name in list(new) if name not in known]
        for name in dropped:
            del new[name]
        new["spec"] = old["spec"] if old else {"finalizers": ["kubernetes"]}
        new["status"] = old["status"] if old else {"phase": "Active"}
        return dropped

    def check(self, new: JsonObject, old: JsonObject | None) -> list[Cause]:  # noqa: ARG002 - the protocol's
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
    has_generation=False,
    name_is_label=True,
    selectable_fields=("status.phase",),
    verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
)

BUILTIN = (NAMESPACES, CRDS)

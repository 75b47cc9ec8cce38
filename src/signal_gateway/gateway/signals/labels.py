"""Which objects an alert may be about, told by its labels."""

from collections.abc import Mapping
from typing import Final

from signal_gateway.gateway.signals.target import MAX_NAMESPACE_LENGTH, Target, is_namespace, is_object_name
from signal_gateway.kubernetes import Kind, Kinds

__all__ = ["candidates_from_labels", "namespace_from_labels"]

# what Prometheus says with these is where it scraped, not what is wrong
_ABOUT_THE_SCRAPE: Final = frozenset({"job", "service", "instance", "endpoint", "container", "namespace"})
_EXPORTED: Final = "exported_"
_CONTROLLERS: Final = ("Deployment", "StatefulSet", "DaemonSet", "CronJob", "DeploymentConfig")
_WHAT_CONTROLLERS_MAKE: Final = ("Pod", "Node")


def namespace_from_labels(labels: Mapping[str, str]) -> str | None:
    """Return the namespace that the labels name, the exporter's own (`exported_namespace`) first.

    Raises:
        ValueError: It could not be the name of a namespace.
    """
    namespace = labels.get("exported_namespace") or labels.get("namespace")
    if not namespace:
        return None
    if not is_namespace(namespace):
        raise ValueError(f"the namespace {namespace!r} is not a DNS label of at most {MAX_NAMESPACE_LENGTH} characters")
    return namespace


def candidates_from_labels(labels: Mapping[str, str], kinds: Kinds) -> tuple[Target, ...]:
    """Return what the alert may be about, the likeliest first: controllers, then anything else, then pods and nodes.

    A label names a candidate if its key names a kind of the cluster and its value could be an object's name.
    `exported_<kind>` wins over `<kind>`: Prometheus renames what the scraped exporter said so, when the label is
    already taken by the exporter's own target. Within a tier controllers have an order of their own, and anything
    else is in alphabetical order, so that the same labels mean the same object whoever sends them.

    Args:
        labels: All labels of the alert.
        kinds: What the cluster can hold.

    Raises:
        ValueError: The namespace could not be one.
    """
    namespace = namespace_from_labels(labels)
    named: dict[Kind, str] = {}
    for key in sorted(labels, key=lambda key: (not key.startswith(_EXPORTED), key)):
        word = key.removeprefix(_EXPORTED)
        kind = kinds.called(word) if word not in _ABOUT_THE_SCRAPE else None
        if kind is not None and labels[key]:
            named.setdefault(kind, labels[key])
    return tuple(
        Target(
            kind=kind.name,
            name=named[kind],
            namespace=namespace if kind.is_namespaced else None,
            api_version=kind.api_version,
        )
        for kind in sorted(named, key=_rank)
        if is_object_name(named[kind])
    )


def _rank(kind: Kind) -> tuple[int, str]:
    if kind.name in _CONTROLLERS:
        return _CONTROLLERS.index(kind.name), ""
    if kind.name in _WHAT_CONTROLLERS_MAKE:
        return len(_CONTROLLERS) + 1 + _WHAT_CONTROLLERS_MAKE.index(kind.name), ""
    return len(_CONTROLLERS), kind.name

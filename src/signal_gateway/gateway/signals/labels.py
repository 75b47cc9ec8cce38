"""candidates_from_labels: the objects that the labels of an alert may name."""

from collections.abc import Mapping
from typing import Final

from signal_gateway.gateway.signals.target import MAX_NAMESPACE_LENGTH, Target, is_namespace, is_object_name
from signal_gateway.kubernetes import Kind, Kinds

__all__ = ["candidates_from_labels", "namespace_from_labels"]

# Prometheus describes the scraped endpoint with these labels, not the problem
_SCRAPE_LABELS: Final = frozenset({"job", "service", "instance", "endpoint", "container", "namespace"})
_EXPORTED: Final = "exported_"
_CONTROLLERS: Final = ("Deployment", "StatefulSet", "DaemonSet", "CronJob", "DeploymentConfig")
_LAST_RESORTS: Final = ("Pod", "Node")


def namespace_from_labels(labels: Mapping[str, str]) -> str | None:
    """Return the namespace from the labels; `exported_namespace` wins over `namespace`.

    Raises:
        ValueError: The label is not a valid name of a namespace.
    """
    namespace = labels.get("exported_namespace") or labels.get("namespace")
    if not namespace:
        return None
    if not is_namespace(namespace):
        raise ValueError(f"the namespace {namespace!r} is not a DNS label of at most {MAX_NAMESPACE_LENGTH} characters")
    return namespace


def candidates_from_labels(labels: Mapping[str, str], kinds: Kinds) -> tuple[Target, ...]:
    """Return the candidates, the most likely first: controllers, then other kinds, then pods and nodes.

    A label names a candidate if its key names a kind of the cluster and its value is a valid object name.
    `exported_<kind>` wins over `<kind>`: Prometheus adds this prefix to a label of the scraped exporter that collides
    with a label of the scrape target. Controllers have a fixed order and other kinds are in alphabetical order, so that
    the same labels always give the same candidates.

    Args:
        labels: All labels of the alert.
        kinds: The kinds of the cluster.

    Raises:
        ValueError: The namespace label is not a valid name of a namespace.
    """
    namespace = namespace_from_labels(labels)
    named: dict[Kind, str] = {}
    for key in sorted(labels, key=lambda key: (not key.startswith(_EXPORTED), key)):
        word = key.removeprefix(_EXPORTED)
        kind = kinds.called(word) if word not in _SCRAPE_LABELS else None
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
    if kind.name in _LAST_RESORTS:
        return len(_CONTROLLERS) + 1 + _LAST_RESORTS.index(kind.name), ""
    return len(_CONTROLLERS), kind.name

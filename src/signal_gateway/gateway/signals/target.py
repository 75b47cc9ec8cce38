"""Which workload an alert is about, told by its labels."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from signal_gateway.gateway.signals.signal import Target

__all__ = ["KINDS", "Kind", "is_namespace", "is_object_name", "namespace_from_labels", "target_from_labels"]

_MAX_NAME_LENGTH = 253
_MAX_NAMESPACE_LENGTH = 63
_DNS_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_DNS_SUBDOMAIN = re.compile(rf"{_DNS_LABEL}(?:\.{_DNS_LABEL})*")
_NAMESPACE = re.compile(_DNS_LABEL)


class Kind(NamedTuple):
    """A kind of workload that a label can name; the label's key is the kind in lower case."""

    name: str
    api_version: str
    is_namespaced: bool = True

    @property
    def label(self) -> str:
        """The key of the label that names one."""
        return self.name.lower()


# In the order in which they are preferred: controllers, everything else, and last what controllers make.
# Job, Service and Endpoints are missing on purpose: Prometheus uses those labels for what it scrapes.
KINDS = (
    Kind("Deployment", "apps/v1"),
    Kind("StatefulSet", "apps/v1"),
    Kind("DaemonSet", "apps/v1"),
    Kind("CronJob", "batch/v1"),
    Kind("DeploymentConfig", "apps.openshift.io/v1"),
    Kind("ReplicaSet", "apps/v1"),
    Kind("ReplicationController", "v1"),
    Kind("HorizontalPodAutoscaler", "autoscaling/v2"),
    Kind("PodDisruptionBudget", "policy/v1"),
    Kind("PersistentVolumeClaim", "v1"),
    Kind("PersistentVolume", "v1", is_namespaced=False),
    Kind("ConfigMap", "v1"),
    Kind("Secret", "v1"),
    Kind("ServiceAccount", "v1"),
    Kind("ResourceQuota", "v1"),
    Kind("LimitRange", "v1"),
    Kind("Ingress", "networking.k8s.io/v1"),
    Kind("NetworkPolicy", "networking.k8s.io/v1"),
    Kind("StorageClass", "storage.k8s.io/v1", is_namespaced=False),
    Kind("VolumeAttachment", "storage.k8s.io/v1", is_namespaced=False),
    Kind("Pod", "v1"),
    Kind("Node", "v1", is_namespaced=False),
)


def is_namespace(name: str) -> bool:
    """Return whether a namespace could be called so: a DNS label."""
    return len(name) <= _MAX_NAMESPACE_LENGTH and _NAMESPACE.fullmatch(name) is not None


def is_object_name(name: str) -> bool:
    """Return whether an object could be called so: a DNS subdomain."""
    return len(name) <= _MAX_NAME_LENGTH and _DNS_SUBDOMAIN.fullmatch(name) is not None


def namespace_from_labels(labels: Mapping[str, str]) -> str | None:
    """Return the namespace that the labels name, the exporter's own (`exported_namespace`) first.

    Raises:
        ValueError: It could not be the name of a namespace.
    """
    namespace = labels.get("exported_namespace") or labels.get("namespace")
    if not namespace:
        return None
    if not is_namespace(namespace):
        raise ValueError(
            f"the namespace {namespace!r} is not a DNS label of at most {_MAX_NAMESPACE_LENGTH} characters"
        )
    return namespace


def target_from_labels(labels: Mapping[str, str]) -> Target | None:
    """Find the target: the first kind of `KINDS` that a label names.

    `exported_<kind>` wins over `<kind>`: Prometheus renames what the scraped exporter said so, when the
    label is already taken by the exporter's own target.

    Args:
        labels: All labels of the alert.

    Returns:
        The target, or None if no label names one with a possible name.

    Raises:
        ValueError: The namespace could not be one.
    """
    namespace = namespace_from_labels(labels)
    for kind in KINDS:
        name = labels.get(f"exported_{kind.label}") or labels.get(kind.label)
        if name and is_object_name(name):
            return Target(
                kind=kind.name,
                name=name,
                namespace=namespace if kind.is_namespaced else None,
                api_version=kind.api_version,
            )
    return None

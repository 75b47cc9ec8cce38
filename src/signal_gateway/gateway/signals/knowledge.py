"""Knowledge: the labels that name Kubernetes objects.

The tables are data; `exporters` has the one about exporters. `docs/targets.md` prints them, and the setting
`processing.targets` extends them.
"""

from dataclasses import dataclass
from typing import Final

__all__ = [
    "ALERTS_WITHOUT_OBJECT",
    "COMMON_WORDS",
    "EXPORTED",
    "GUESSED_KINDS",
    "NAMESPACE_LABELS",
    "NODE_LABELS",
    "NOT_NAMING_LABELS",
    "PAIRS",
    "SYNONYMS",
    "TARGET_LABELS",
    "WORKLOAD_KINDS",
    "Pair",
    "Synonym",
]

EXPORTED: Final = "exported_"
"""The prefix that Prometheus adds to a label of the series that collides with a label of the scrape target."""

WORKLOAD_KINDS: Final = (
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "CronJob",
    "DeploymentConfig",
    "Rollout",
    "Job",
    "ReplicaSet",
    "ReplicationController",
)
"""Kinds that run pods, in the order of their candidates. A label of such a name says what it means."""

GUESSED_KINDS: Final = ("Deployment", "StatefulSet", "DaemonSet", "Rollout", "Job")
"""Kinds that a label may mean that names a workload without its kind."""

NAMESPACE_LABELS: Final = (
    "exported_namespace",
    "namespace",
    "k8s_namespace_name",
    "kubernetes_namespace",
    "namespace_name",
    "kube_namespace",
    "pod_namespace",
)
"""Labels with the namespace of the object, in order of preference."""

TARGET_LABELS: Final = frozenset(
    {"job", "service", "instance", "endpoint", "container", "namespace", "pod", "node", "metrics_path"}
)
"""Labels that service discovery attaches to every series of a scrape target."""

NOT_NAMING_LABELS: Final = frozenset(
    {"job", "service", "instance", "endpoint", "container", "namespace", "prometheus", "alertmanager", "name", "kind"}
)
"""Labels that never name an object by their key, even if a kind has the same name."""

COMMON_WORDS: Final = frozenset(
    {
        "application",
        "backend",
        "backup",
        "bucket",
        "build",
        "cluster",
        "component",
        "config",
        "configuration",
        "database",
        "environment",
        "event",
        "function",
        "gateway",
        "group",
        "host",
        "image",
        "instancetype",
        "issuer",
        "lease",
        "model",
        "namespace",
        "network",
        "operator",
        "parameter",
        "plan",
        "plugin",
        "policy",
        "pool",
        "probe",
        "project",
        "provider",
        "proxy",
        "queue",
        "region",
        "release",
        "replica",
        "resource",
        "restore",
        "role",
        "route",
        "rule",
        "schedule",
        "server",
        "session",
        "setting",
        "shard",
        "site",
        "source",
        "stage",
        "stream",
        "subscription",
        "task",
        "team",
        "template",
        "tenant",
        "topic",
        "user",
        "vault",
        "version",
        "volume",
        "workflow",
        "workspace",
        "zone",
    }
)
"""Words of everyday labels that may also be kinds; such a label is read after the pod."""

NODE_LABELS: Final = (
    "node",
    "node_name",
    "nodename",
    "kubernetes_node",
    "kubernetes_node_name",
    "k8s_node_name",
    "kubernetes_io_hostname",
    "kube_node",
    "exported_node",
    "hostname",
    "Hostname",
)
"""Labels with the name or an address of a node."""

ALERTS_WITHOUT_OBJECT: Final = frozenset({"Watchdog", "DeadMansSwitch", "InfoInhibitor"})
"""Alerts that serve the alerting itself."""


@dataclass(frozen=True, slots=True)
class Synonym:
    """A label with the name of an object.

    Attributes:
        label: The label.
        kinds: The kinds that it may mean, most likely first; `Kind.group` where other groups have the kind too.
        namespaces: Labels with the namespace, before the usual ones.
        is_owner: Whether the object owns the pod that the same labels name; the pod is read first.
    """

    label: str
    kinds: tuple[str, ...]
    namespaces: tuple[str, ...] = ()
    is_owner: bool = False


SYNONYMS: Final = (
    Synonym("job_name", ("Job",)),
    Synonym("k8s_deployment_name", ("Deployment",), ("k8s_namespace_name",)),
    Synonym("k8s_statefulset_name", ("StatefulSet",), ("k8s_namespace_name",)),
    Synonym("k8s_daemonset_name", ("DaemonSet",), ("k8s_namespace_name",)),
    Synonym("k8s_cronjob_name", ("CronJob",), ("k8s_namespace_name",)),
    Synonym("k8s_job_name", ("Job",), ("k8s_namespace_name",)),
    Synonym("k8s_replicaset_name", ("ReplicaSet",), ("k8s_namespace_name",)),
    Synonym("k8s_hpa_name", ("HorizontalPodAutoscaler",), ("k8s_namespace_name",)),
    Synonym("k8s_persistentvolumeclaim_name", ("PersistentVolumeClaim",), ("k8s_namespace_name",)),
    Synonym("k8s_pod_name", ("Pod",), ("k8s_namespace_name",)),
    Synonym("kubernetes_pod_name", ("Pod",), ("kubernetes_namespace",)),
    Synonym("pod_name", ("Pod",), ("pod_namespace", "namespace_name")),
    Synonym("kube_pod", ("Pod",), ("kube_namespace",)),
    Synonym("kube_deployment", ("Deployment",), ("kube_namespace",)),
    Synonym("kube_stateful_set", ("StatefulSet",), ("kube_namespace",)),
    Synonym("kube_daemon_set", ("DaemonSet",), ("kube_namespace",)),
    Synonym("deployment_name", ("Deployment",)),
    Synonym("statefulset_name", ("StatefulSet",)),
    Synonym("daemonset_name", ("DaemonSet",)),
    Synonym("cronjob_name", ("CronJob",)),
    Synonym("hpa", ("HorizontalPodAutoscaler",)),
    Synonym("pvc", ("PersistentVolumeClaim",), ("pvc_namespace",)),
    Synonym("pvc_name", ("PersistentVolumeClaim",), ("pvc_namespace",)),
    Synonym("persistentvolumeclaim", ("PersistentVolumeClaim",), ("persistentvolumeclaim_namespace",)),
    Synonym("pv", ("PersistentVolume",)),
    Synonym("pv_name", ("PersistentVolume",)),
    Synonym("pdb", ("PodDisruptionBudget",)),
    Synonym("ingress_name", ("Ingress",)),
    Synonym("secret_name", ("Secret",), ("secret_namespace",)),
    Synonym("configmap_name", ("ConfigMap",)),
    Synonym("deploymentconfig", ("DeploymentConfig",)),
    Synonym("rollout", ("Rollout.argoproj.io",)),
    Synonym("scaledObject", ("ScaledObject.keda.sh",)),
    Synonym("scaledJob", ("ScaledJob.keda.sh",)),
    Synonym("cnpg_cluster", ("Cluster.postgresql.cnpg.io",), is_owner=True),
    Synonym("cnpg_io_cluster", ("Cluster.postgresql.cnpg.io",), is_owner=True),
    Synonym("strimzi_io_cluster", ("Kafka.kafka.strimzi.io",), is_owner=True),
    Synonym("cluster_operator", ("ClusterOperator",)),
    Synonym("vmi", ("VirtualMachineInstance.kubevirt.io",)),
    Synonym("strimzi_io_name", ("StrimziPodSet.core.strimzi.io",), is_owner=True),
    Synonym("rollout_group", ("StatefulSet", "Deployment")),
    Synonym("workload", GUESSED_KINDS),
    Synonym("destination_workload", GUESSED_KINDS, ("destination_workload_namespace", "destination_namespace")),
    Synonym("destination_service", ("Service",), ("destination_service_namespace",)),
    Synonym("destination_service_name", ("Service",), ("destination_service_namespace",)),
)
"""Labels with the name of an object, besides the names of the kinds themselves."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two labels, one with the kind of an object and one with its name.

    Attributes:
        kind: The label with the kind, in any case.
        name: The label with the name.
        namespaces: Labels with the namespace, before the usual ones.
        is_owner: Whether the object owns the pod that the same labels name; the pod is read first.
    """

    kind: str
    name: str
    namespaces: tuple[str, ...] = ()
    is_owner: bool = False


PAIRS: Final = (
    Pair("involved_object_kind", "involved_object_name", ("involved_object_namespace",)),
    Pair("object_kind", "object_name", ("object_namespace",)),
    Pair("workload_type", "workload"),
    Pair("workload_kind", "workload"),
    Pair("workload_kind", "workload_name"),
    Pair("customresource_kind", "name", ("customresource_namespace",)),
    Pair("customresource_kind", "customresource_name", ("customresource_namespace",)),
    Pair("resource_kind", "resource_name", ("resource_namespace",)),
    Pair("target_kind", "target_name", ("target_namespace",)),
    Pair("scaletargetref_kind", "scaletargetref_name"),
    Pair("kind", "name", ("resource_namespace",)),
    Pair("owner_kind", "owner_name", is_owner=True),
    Pair("created_by_kind", "created_by_name", is_owner=True),
    Pair("top_level_controller_type", "top_level_controller_name", is_owner=True),
    Pair("strimzi_io_kind", "strimzi_io_cluster", is_owner=True),
)
"""Pairs of labels with kind and name."""

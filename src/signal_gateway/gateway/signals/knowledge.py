"""Knowledge: the labels that name Kubernetes objects, and the exporters whose labels describe something else.

The tables are data. `docs/targets.md` prints them, and the setting `processing.targets` extends them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

__all__ = [
    "ALERTS_WITHOUT_OBJECT",
    "COMMON_WORDS",
    "EXPORTED",
    "EXPORTERS",
    "GUESSED_KINDS",
    "NAMESPACE_LABELS",
    "NODE_LABELS",
    "NOT_NAMING_LABELS",
    "PAIRS",
    "SYNONYMS",
    "TARGET_LABELS",
    "WORKLOAD_KINDS",
    "Exporter",
    "Pair",
    "Speaks",
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
    Synonym("workload", GUESSED_KINDS),
    Synonym("destination_workload", GUESSED_KINDS, ("destination_workload_namespace",)),
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
    Pair("strimzi_io_kind", "strimzi_io_cluster", is_owner=True),
)
"""Pairs of labels with kind and name."""


Speaks = Literal["itself", "node", "others"]


@dataclass(frozen=True, slots=True)
class Exporter:
    """An exporter, or a controller with metrics, whose series are not about its own pod.

    Attributes:
        name: Its name.
        speaks_of: `node`: the node that its pod runs on. `others`: objects that the labels of the series name.
            `itself`: its own pod, if no label of the table names an object.
        matches: Parts of a job, service, container or pod name that identify it; `-` and `_` are the same.
        jobs: Whole values of the label `job` that identify it.
        metrics_paths: Values of the label `metrics_path` that identify it.
        alerts: Beginnings of alert names that identify it where an aggregation dropped the job.
        series_labels: Labels of its series that identify it.
        names_pods: Whether the label `pod` of its series may name another pod than its own.
        is_sidecar: Whether it runs in the pod that it describes, unless that pod is called an exporter.
        labels: Labels of its series that name objects, with the kinds.
        prefixes: What the name of an object has before the value of a label; dots of the value become hyphens.
    """

    name: str
    speaks_of: Speaks
    matches: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()
    metrics_paths: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()
    series_labels: tuple[str, ...] = ()
    names_pods: bool = False
    is_sidecar: bool = False
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    prefixes: Mapping[str, str] = field(default_factory=dict)


EXPORTERS: Final = (
    Exporter(
        "kubelet",
        "node",
        ("kubelet",),
        jobs=("kubernetes-nodes", "kubernetes-cadvisor", "kubernetes-nodes-cadvisor", "cadvisor"),
        metrics_paths=("/metrics/cadvisor", "/metrics/probes", "/metrics/resource"),
        names_pods=True,
    ),
    Exporter("node-exporter", "node", ("node-exporter",), jobs=("node", "nodes")),
    Exporter("windows-exporter", "node", ("windows-exporter",)),
    Exporter("node-problem-detector", "node", ("node-problem-detector",)),
    Exporter("smartctl-exporter", "node", ("smartctl-exporter",)),
    Exporter("process-exporter", "node", ("process-exporter",)),
    Exporter("ethtool-exporter", "node", ("ethtool-exporter",)),
    Exporter("systemd-exporter", "node", ("systemd-exporter",)),
    Exporter("machine-config-daemon", "node", ("machine-config-daemon",)),
    Exporter("dcgm-exporter", "node", ("dcgm-exporter",), names_pods=True),
    Exporter("falco", "node", ("falco",), names_pods=True),
    Exporter("kube-state-metrics", "others", ("kube-state-metrics", "openshift-state-metrics"), names_pods=True),
    Exporter(
        "otel-collector", "others", ("otel-collector", "opentelemetry-collector"), series_labels=("k8s_namespace_name",)
    ),
    Exporter("blackbox-exporter", "others", ("blackbox",), metrics_paths=("/probe",)),
    Exporter("snmp-exporter", "others", ("snmp-exporter",)),
    Exporter("pushgateway", "others", ("pushgateway",)),
    Exporter(
        "cloud exporters", "others", ("cloudwatch-exporter", "stackdriver-exporter", "azure-metrics-exporter", "yace")
    ),
    Exporter("x509-certificate-exporter", "others", ("x509-certificate-exporter",)),
    Exporter("kafka-exporter", "others", ("kafka-exporter",), labels={"topic": ("KafkaTopic.kafka.strimzi.io",)}),
    Exporter(
        "database exporters",
        "others",
        (
            "postgres-exporter",
            "mysqld-exporter",
            "mysql-exporter",
            "redis-exporter",
            "mongodb-exporter",
            "elasticsearch-exporter",
            "rabbitmq-exporter",
            "memcached-exporter",
            "oracledb-exporter",
            "mssql-exporter",
            "pgbouncer-exporter",
            "proxysql-exporter",
            "clickhouse-exporter",
            "cassandra-exporter",
        ),
        is_sidecar=True,
    ),
    Exporter(
        "cert-manager",
        "itself",
        ("cert-manager",),
        alerts=("CertManager",),
        series_labels=("issuer_name",),
        labels={"name": ("Certificate.cert-manager.io",)},
    ),
    Exporter(
        "argocd",
        "itself",
        ("argocd", "argo-cd"),
        alerts=("ArgoCd", "ArgoCD", "ArgoApp"),
        series_labels=("dest_server",),
        labels={"name": ("Application.argoproj.io",), "app_name": ("Application.argoproj.io",)},
    ),
    Exporter(
        "flux",
        "itself",
        ("flux-system", "kustomize-controller", "helm-controller", "source-controller", "notification-controller"),
    ),
    Exporter(
        "keda",
        "itself",
        ("keda",),
        alerts=("Keda", "KEDA"),
        labels={
            "scaledObject": ("ScaledObject.keda.sh",),
            "scaledobject": ("ScaledObject.keda.sh",),
            "scaledJob": ("ScaledJob.keda.sh",),
            "scaledResource": ("ScaledObject.keda.sh", "ScaledJob.keda.sh"),
        },
    ),
    Exporter("velero", "itself", ("velero",), alerts=("Velero",), labels={"schedule": ("Schedule.velero.io",)}),
    Exporter(
        "ingress-nginx",
        "itself",
        ("ingress-nginx",),
        alerts=("NginxIngress", "NGINX"),
        labels={"ingress": ("Ingress",)},
    ),
    Exporter(
        "longhorn",
        "itself",
        ("longhorn",),
        alerts=("Longhorn",),
        labels={
            "pvc": ("PersistentVolumeClaim",),
            "volume": ("Volume.longhorn.io", "PersistentVolume"),
            "backup": ("Backup.longhorn.io",),
            "node": ("Node",),
        },
    ),
    Exporter(
        "ceph",
        "others",
        ("rook-ceph", "ceph-mgr", "ceph-exporter"),
        alerts=("Ceph",),
        series_labels=("ceph_daemon",),
        labels={"ceph_daemon": ("Deployment",)},
        prefixes={"ceph_daemon": "rook-ceph-"},
    ),
    Exporter(
        "cloudnative-pg",
        "itself",
        ("cnpg", "cloudnative-pg"),
        alerts=("CNPG",),
        labels={"cluster": ("Cluster.postgresql.cnpg.io",), "cnpg_cluster": ("Cluster.postgresql.cnpg.io",)},
    ),
    Exporter(
        "cluster-version-operator",
        "itself",
        ("cluster-version-operator",),
        alerts=("ClusterOperator",),
        labels={"name": ("ClusterOperator",)},
    ),
    Exporter(
        "machine-api",
        "itself",
        ("machine-api", "cluster-autoscaler-operator"),
        alerts=("Machine",),
        labels={"name": ("Machine.machine.openshift.io",)},
    ),
    Exporter(
        "ingress-operator",
        "itself",
        ("ingress-operator",),
        alerts=("IngressController",),
        labels={"name": ("IngressController.operator.openshift.io",)},
    ),
    Exporter(
        "olm",
        "itself",
        ("olm-operator", "catalog-operator"),
        alerts=("Csv",),
        labels={"name": ("ClusterServiceVersion.operators.coreos.com",)},
    ),
    Exporter(
        "istio proxies",
        "itself",
        ("istio-proxy", "envoy-stats"),
        series_labels=("destination_workload",),
        labels={"destination_workload": GUESSED_KINDS},
    ),
)
"""Exporters, the first that matches speaks. Every other one speaks of its own pod."""

"""Exporters whose labels describe something else than their own pod. The tables are data, as in `knowledge`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from signal_gateway.gateway.signals.knowledge import GUESSED_KINDS

__all__ = ["EXPORTERS", "NAMING_LABELS", "RESOURCE_PREFIXES", "Exporter", "Speaks"]

NAMING_LABELS: Final = (
    "job",
    "service",
    "container",
    "pod",
    "app_kubernetes_io_name",
    "app",
    "k8s_app",
    "kubernetes_name",
    "service_name",
)
"""Labels of the scrape target with the name of the exporter, in order of preference."""

RESOURCE_PREFIXES: Final = (
    "k8s_",
    "kubernetes_pod",
    "kubernetes_namespace",
    "kubernetes_name",
    "kubernetes_node",
    "top_level_controller_",
)
"""Beginnings of labels that describe the scraped pod if the exporter is known: OpenTelemetry, Google's managed
Prometheus and relabelling rules attach them."""

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
        names_pods: Whether the label `pod` of its series may name another pod than its own. Only such an exporter
            knows objects that do not exist any more.
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
        "elasticsearch-exporter",
        "others",
        ("elasticsearch-exporter",),
        is_sidecar=True,
        labels={"name": ("Pod",)},
    ),
    Exporter(
        "strimzi",
        "itself",
        ("strimzi-cluster-operator",),
        labels={"cluster": ("Kafka.kafka.strimzi.io",)},
    ),
    Exporter(
        "cert-manager",
        "itself",
        ("cert-manager",),
        alerts=("CertManager",),
        series_labels=("issuer_name",),
        labels={"name": ("Certificate.cert-manager.io", "ClusterIssuer.cert-manager.io", "Issuer.cert-manager.io")},
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
            "resource": ("ScaledObject.keda.sh", "ScaledJob.keda.sh"),
        },
    ),
    Exporter("velero", "itself", ("velero",), alerts=("Velero",), labels={"schedule": ("Schedule.velero.io",)}),
    Exporter(
        "ingress-nginx",
        "itself",
        ("ingress-nginx",),
        alerts=("NginxIngress", "NGINX"),
        labels={"ingress": ("Ingress",), "exported_service": ("Service",)},
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
            "instance_manager": ("InstanceManager.longhorn.io",),
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
        "machine-config-controller",
        "itself",
        ("machine-config-controller",),
        alerts=("MachineConfigController", "MCC"),
        labels={
            "node": ("Node",),
            "pool": ("MachineConfigPool.machineconfiguration.openshift.io",),
        },
    ),
    Exporter(
        "machine-api",
        "itself",
        ("machine-api", "cluster-autoscaler-operator"),
        alerts=("Machine",),
        labels={
            "name": (
                "Machine.machine.openshift.io",
                "MachineSet.machine.openshift.io",
                "MachineHealthCheck.machine.openshift.io",
            )
        },
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
        alerts=("Csv", "OperatorHub"),
        labels={"name": ("ClusterServiceVersion.operators.coreos.com", "CatalogSource.operators.coreos.com")},
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

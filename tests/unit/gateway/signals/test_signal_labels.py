import pytest

from signal_gateway.gateway.config import TargetsConfig
from signal_gateway.gateway.signals.candidates import candidates_from_labels
from signal_gateway.gateway.signals.label_table import LabelTable, namespace_from_labels
from signal_gateway.gateway.signals.signal import Target, fingerprint_of
from signal_gateway.kubernetes import Kind, Kinds

TABLE = LabelTable()
KINDS = Kinds(
    Kind(name, group, version, f"{name.lower()}s", name.lower(), is_namespaced)
    for name, group, version, is_namespaced in [
        ("Pod", "", "v1", True),
        ("Node", "", "v1", False),
        ("Service", "", "v1", True),
        ("Endpoints", "", "v1", True),
        ("Namespace", "", "v1", False),
        ("PersistentVolumeClaim", "", "v1", True),
        ("Deployment", "apps", "v1", True),
        ("StatefulSet", "apps", "v1", True),
        ("DaemonSet", "apps", "v1", True),
        ("ReplicaSet", "apps", "v1", True),
        ("Job", "batch", "v1", True),
        ("CronJob", "batch", "v1", True),
        ("HorizontalPodAutoscaler", "autoscaling", "v2", True),
        ("Deployment", "example.com", "v1", False),
    ]
)


@pytest.mark.parametrize(
    ("target", "cluster_id", "expected"),
    [
        (
            Target("Deployment", "payment-api", "prod", "apps/v1"),
            None,
            "91fce8d5c4949766458bd4bd58859a4fb2e8470ef64ef438c22903744799a9b1",
        ),
        (
            Target("Node", "worker-node-1", None, "v1"),
            None,
            "54010c454af195aadec824d25dba6fa52adfcc717f0b3f0430e4111acddfe728",
        ),
        (
            Target("Deployment", "nginx", "default", "apps/v1"),
            "prod-east",
            "ccd48e6d1cc2f4a42ce4d4bed85837f1a33c4da8b0352e9afcdf4495d45028db",
        ),
    ],
)
def test_fingerprint_is_the_hash_that_every_implementation_computes(target, cluster_id, expected):
    assert fingerprint_of(target, cluster_id=cluster_id) == expected


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"namespace": "a", "pod": "p-1", "deployment": "d"}, ["a/Deployment/d", "a/Pod/p-1"]),
        (
            {"namespace": "a", "pod": "p-1", "persistentvolumeclaim": "data"},
            ["a/PersistentVolumeClaim/data", "a/Pod/p-1"],
        ),
        ({"namespace": "a", "node": "n", "pod": "p-1", "replicaset": "r"}, ["a/ReplicaSet/r", "a/Pod/p-1", "Node/n"]),
        (
            {"cronjob": "c", "daemonset": "d", "statefulset": "s", "deployment": "x"},
            ["Deployment/x", "StatefulSet/s", "DaemonSet/d", "CronJob/c"],
        ),
        (
            {"namespace": "a", "replicaset": "r", "horizontalpodautoscaler": "h"},
            ["a/HorizontalPodAutoscaler/h", "a/ReplicaSet/r"],
        ),
        ({"namespace": "a", "node": "worker-1"}, ["Node/worker-1"]),
        ({"namespace": "a", "pod": "prometheus-0", "exported_pod": "p-1"}, ["a/Pod/p-1"]),
        ({"namespace": "monitoring", "exported_namespace": "a", "pod": "p-1"}, ["a/Pod/p-1"]),
        ({"namespace": "a", "deployment": "Not A Name", "pod": "p-1"}, ["a/Pod/p-1"]),
        ({"namespace": "a", "node": "ip-10-0-0-1.example.internal"}, ["Node/ip-10-0-0-1.example.internal"]),
        ({"namespace": "a", "deployment": "", "pod": "p-1"}, ["a/Pod/p-1"]),
        ({"namespace": "a", "Pod": "p-1", "pods": "p-2", "alertname": "Pod"}, []),
        ({"namespace": "a", "pod": "p" * 253}, [f"a/Pod/{'p' * 253}"]),
        ({"namespace": "a", "pod": "p" * 254}, []),
    ],
)
def test_candidates_come_tier_by_tier(labels, expected):
    assert [str(candidate) for candidate in candidates_from_labels(labels, KINDS, TABLE)] == expected


@pytest.mark.parametrize("prefix", ["", "exported_"])
@pytest.mark.parametrize("label", ["job", "service", "endpoint", "container", "namespace", "prometheus"])
def test_what_prometheus_says_about_its_own_scrape_is_no_candidate(label, prefix):
    assert candidates_from_labels({prefix + label: "something", "alertname": "X"}, KINDS, TABLE) == ()


def test_exporters_target_is_not_replaced_by_the_scrapers_when_it_has_no_possible_name():
    labels = {"namespace": "a", "pod": "kube-state-metrics-0", "exported_pod": "NOT A NAME"}

    assert candidates_from_labels(labels, KINDS, TABLE) == ()


def test_of_kinds_with_one_name_the_first_is_meant():
    [candidate] = candidates_from_labels({"namespace": "a", "deployment": "d"}, KINDS, TABLE)

    assert (str(candidate), candidate.api_version) == ("a/Deployment/d", "apps/v1")


def test_impossible_namespace_is_an_error():
    with pytest.raises(ValueError, match="kube:system"):
        namespace_from_labels({"namespace": "kube:system", "pod": "p-1"})


def test_node_named_by_an_instance_must_exist():
    [candidate] = candidates_from_labels({"instance": "worker-1"}, KINDS, TABLE)

    assert (str(candidate), candidate.lookup, candidate.must_exist) == ("Node/worker-1", "node", True)


def test_pod_of_the_exporter_is_not_joined_with_the_namespace_of_the_series():
    labels = {"namespace": "monitoring", "pod": "exporter-0", "exported_namespace": "prod", "instance": "10.0.0.1:80"}

    assert all(candidate.must_exist for candidate in candidates_from_labels(labels, KINDS, TABLE))


def test_series_without_a_pod_of_its_own_does_not_mean_kube_state_metrics():
    labels = {"namespace": "monitoring", "pod": "ksm-0", "service": "ksm", "job": "kube-state-metrics", "node": "n"}

    assert [str(candidate) for candidate in candidates_from_labels(labels, KINDS, TABLE)] == ["Node/n"]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"job_name": "j", "namespace": "a"}, "a/Job/j"),
        ({"k8s_pod_name": "p", "k8s_namespace_name": "a", "namespace": "monitoring"}, "a/Pod/p"),
        ({"workload": "w", "workload_type": "statefulset", "namespace": "a"}, "a/StatefulSet/w"),
        ({"owner_kind": "ReplicaSet", "owner_name": "r", "namespace": "a"}, "a/ReplicaSet/r"),
        ({"pvc": "data", "namespace": "a"}, "a/PersistentVolumeClaim/data"),
        ({"deployment": "b/d", "namespace": "a"}, "b/Deployment/d"),
    ],
)
def test_synonym_names_the_object(labels, expected):
    first, *_ = candidates_from_labels(labels, KINDS, TABLE)

    assert str(first) == expected


def test_setting_adds_labels_and_exporters_and_ignores_labels():
    table = LabelTable(
        TargetsConfig(
            labels={"app_deployment": "Deployment"},
            ignored_labels=("node",),
            exporters={"backup": {"matches": ["backup_exporter"], "labels": {"claim": "PersistentVolumeClaim"}}},
        )
    )
    labels = {"namespace": "a", "job": "backup-exporter", "pod": "b-0", "instance": "10.0.0.1:80"}

    by_label = candidates_from_labels({"namespace": "a", "app_deployment": "d", "node": "n"}, KINDS, table)
    by_exporter = candidates_from_labels(labels | {"claim": "data"}, KINDS, table)

    assert [str(candidate) for candidate in by_label] == ["a/Deployment/d"]
    assert [str(candidate) for candidate in by_exporter] == ["a/PersistentVolumeClaim/data"]


def test_alert_that_serves_the_alerting_itself_has_no_object():
    assert candidates_from_labels({"alertname": "Watchdog", "namespace": "a", "pod": "p"}, KINDS, TABLE) == ()

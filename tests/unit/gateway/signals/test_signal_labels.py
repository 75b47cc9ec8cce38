import pytest

from signal_gateway.gateway.signals.alertmanager import candidates_from_labels
from signal_gateway.gateway.signals.signal import Target, fingerprint_of
from signal_gateway.kubernetes import Kind, Kinds

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
    assert [str(candidate) for candidate in candidates_from_labels(labels, KINDS)] == expected


@pytest.mark.parametrize("prefix", ["", "exported_"])
@pytest.mark.parametrize("label", ["job", "service", "instance", "endpoint", "container", "namespace"])
def test_what_prometheus_says_about_its_own_scrape_is_no_candidate(label, prefix):
    assert candidates_from_labels({prefix + label: "something", "alertname": "X"}, KINDS) == ()


def test_exporters_target_is_not_replaced_by_the_scrapers_when_it_has_no_possible_name():
    labels = {"namespace": "a", "pod": "kube-state-metrics-0", "exported_pod": "NOT A NAME"}

    assert candidates_from_labels(labels, KINDS) == ()


def test_of_kinds_with_one_name_the_first_is_meant():
    [candidate] = candidates_from_labels({"namespace": "a", "deployment": "d"}, KINDS)

    assert candidate == Target("Deployment", "d", "a", "apps/v1")


def test_impossible_namespace_is_an_error():
    with pytest.raises(ValueError, match="kube:system"):
        candidates_from_labels({"namespace": "kube:system", "pod": "p-1"}, KINDS)

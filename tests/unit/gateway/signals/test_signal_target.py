import pytest

from signal_gateway.gateway.signals.fingerprint import fingerprint_of
from signal_gateway.gateway.signals.signal import Target
from signal_gateway.gateway.signals.target import target_from_labels


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
    ("labels", "kind", "name", "namespace"),
    [
        ({"namespace": "a", "pod": "p-1", "deployment": "d"}, "Deployment", "d", "a"),
        ({"namespace": "a", "pod": "p-1", "persistentvolumeclaim": "data"}, "PersistentVolumeClaim", "data", "a"),
        ({"namespace": "a", "pod": "p-1"}, "Pod", "p-1", "a"),
        ({"namespace": "a", "statefulset": "s", "deployment": "d"}, "Deployment", "d", "a"),
        ({"namespace": "a", "node": "worker-1"}, "Node", "worker-1", None),
        ({"namespace": "a", "pod": "prometheus-0", "exported_pod": "p-1"}, "Pod", "p-1", "a"),
        ({"namespace": "monitoring", "exported_namespace": "a", "pod": "p-1"}, "Pod", "p-1", "a"),
        ({"namespace": "a", "deployment": "Not A Name", "pod": "p-1"}, "Pod", "p-1", "a"),
        ({"namespace": "a", "node": "ip-10-0-0-1.example.internal"}, "Node", "ip-10-0-0-1.example.internal", None),
        ({"namespace": "a", "deployment": "", "pod": "p-1"}, "Pod", "p-1", "a"),
        ({"namespace": "a", "horizontalpodautoscaler": "h"}, "HorizontalPodAutoscaler", "h", "a"),
    ],
)
def test_target_is_the_first_kind_in_tier_order(labels, kind, name, namespace):
    target = target_from_labels(labels)

    assert target is not None
    assert (target.kind, target.name, target.namespace) == (kind, name, namespace)


@pytest.mark.parametrize("label", ["job", "service", "instance", "endpoint", "container", "namespace"])
def test_what_prometheus_says_about_its_own_scrape_is_no_target(label):
    assert target_from_labels({label: "something", "alertname": "X"}) is None


def test_exporters_target_is_not_replaced_by_the_scrapers_when_it_has_no_possible_name():
    labels = {"namespace": "a", "pod": "kube-state-metrics-0", "exported_pod": "NOT A NAME"}

    assert target_from_labels(labels) is None


def test_name_longer_than_the_api_allows_is_no_target():
    assert target_from_labels({"namespace": "a", "pod": "p" * 254}) is None


def test_impossible_namespace_is_an_error():
    with pytest.raises(ValueError, match="kube:system"):
        target_from_labels({"namespace": "kube:system", "pod": "p-1"})

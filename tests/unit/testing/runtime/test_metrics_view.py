import contextlib

import pytest
from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary

from signal_gateway.errors import HarnessError
from signal_gateway.testing import MetricsView
from signal_gateway.testing.runtime.metrics import UnknownMetric


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def view(registry):
    return MetricsView(registry)


def test_value_is_the_samples(registry, view):
    created = Counter("gateway_crds_created", "c", ["source_type", "status"], registry=registry)
    created.labels("prometheus", "created").inc(3)
    Gauge("gateway_queue", "g", registry=registry).set(-2.5)

    assert view.value("gateway_crds_created_total", source_type="prometheus", status="created") == 3
    assert view.value("gateway_queue") == -2.5


def test_untouched_child_is_zero(registry, view):
    created = Counter("gateway_crds_created", "c", ["source_type"], registry=registry)

    assert view.value("gateway_crds_created_total", source_type="prometheus") == 0
    created.labels("prometheus").inc()
    assert view.value("gateway_crds_created_total", source_type="kubernetes-events") == 0


def test_labels_are_made_strings(registry, view):
    requests = Counter("gateway_requests", "c", ["status", "ok"], registry=registry)
    requests.labels(201, True).inc()

    assert view.value("gateway_requests_total", status=201, ok=True) == 1


def test_label_may_be_called_name(registry, view):
    Gauge("gateway_circuit_breaker_state", "g", ["name"], registry=registry).labels("kubernetes").set(1)

    assert view.value("gateway_circuit_breaker_state", name="kubernetes") == 1


def test_parts_of_a_histogram_are_values(registry, view):
    histogram = Histogram("gateway_seconds", "h", ["method"], buckets=(0.5, 1), registry=registry)
    assert view.value("gateway_seconds_count", method="POST") == 0
    assert view.value("gateway_seconds_bucket", method="POST", le=1) == 0

    histogram.labels("POST").observe(0.75)

    assert view.value("gateway_seconds_count", method="POST") == 1
    assert view.value("gateway_seconds_sum", method="POST") == 0.75
    assert view.value("gateway_seconds_bucket", method="POST", le=0.5) == 0
    assert view.value("gateway_seconds_bucket", method="POST", le=1) == 1
    assert view.value("gateway_seconds_bucket", method="POST", le="+Inf") == 1
    with pytest.raises(UnknownMetric, match=r"0\.5, 1\.0"):
        view.value("gateway_seconds_bucket", method="POST", le=2)


def test_other_kinds_are_values(registry, view):
    Summary("gateway_size", "s", registry=registry).observe(4)
    Info("gateway_build", "i", registry=registry).info({"version": "1"})
    Enum("gateway_mode", "e", ["part"], states=["on", "off"], registry=registry)

    assert view.value("gateway_size_sum") == 4
    assert view.value("gateway_build_info", version=1) == 1
    assert view.value("gateway_mode", part="x", gateway_mode="on") == 0


@pytest.mark.parametrize("is_touched", [True, False])
@pytest.mark.parametrize(
    ("name", "labels", "said"),
    [
        ("gateway_crds_created", {"status": "created"}, "did you mean gateway_crds_created_total"),
        ("gateway_crd_created_total", {"status": "created"}, "did you mean gateway_crds_created_total"),
        ("something_else", {}, "no metric is called 'something_else'$"),
        ("gateway_crds_created_total", {"stats": "created"}, "no label 'stats': did you mean status"),
        ("gateway_crds_created_total", {"status": "created", "zzz": 1}, "no label 'zzz'; it has status"),
        ("gateway_crds_created_total", {}, "say status too"),
        ("gateway_queue", {"status": "x"}, "no label 'status'; it has none"),
    ],
)
def test_wrong_name_or_label_raises_with_near_misses(registry, view, name, labels, said, is_touched):
    created = Counter("gateway_crds_created", "c", ["status"], registry=registry)
    Gauge("gateway_queue", "g", registry=registry)
    if is_touched:
        created.labels("created").inc()

    with pytest.raises(UnknownMetric, match=said) as caught:
        view.value(name, **labels)

    assert isinstance(caught.value, LookupError)


def test_view_reads_its_own_registry_only(view):
    Counter("gateway_crds_created", "c", registry=CollectorRegistry()).inc()

    with pytest.raises(UnknownMetric):
        view.value("gateway_crds_created_total")


def test_delta_is_what_changed(registry, view):
    created = Counter("gateway_crds_created", "c", ["status", "source_type"], registry=registry)
    queue = Gauge("gateway_queue", "g", registry=registry)
    seconds = Histogram("gateway_seconds", "h", registry=registry)
    created.labels("created", "prometheus").inc(7)
    queue.set(3)
    Counter("gateway_untouched", "c", registry=registry).inc()

    with view.delta() as delta:
        created.labels("created", "prometheus").inc()
        created.labels("failed", 'a"b').inc(2)
        queue.dec()
        seconds.observe(0.123)

    expected = {
        'gateway_crds_created_total{source_type="prometheus",status="created"}': 1,
        'gateway_crds_created_total{source_type="a\\"b",status="failed"}': 2,
        "gateway_queue": -1,
        "gateway_seconds_count": 1,
    }
    assert delta == expected
    assert expected == delta
    assert delta != expected | {"gateway_queue": -2}
    assert {"gateway_queue": -1}.items() <= delta.items()
    for series in expected:
        assert series in repr(delta)


def test_delta_of_nothing_is_empty(view):
    with view.delta() as delta:
        pass

    assert delta == {}
    assert "no series changed" in repr(delta)


def test_delta_cannot_be_read_before_its_block_has_ended(view):
    with view.delta() as delta:
        with pytest.raises(HarnessError, match="after the with statement"):
            len(delta)
        assert "has not ended" in repr(delta)


def test_delta_of_a_block_that_fails_can_be_read(registry, view):
    queue = Gauge("gateway_queue", "g", registry=registry)

    with contextlib.suppress(ZeroDivisionError), view.delta() as delta:
        queue.inc()
        _ = 1 / 0

    assert delta == {"gateway_queue": 1}

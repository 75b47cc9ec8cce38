import pytest
from prometheus_client import REGISTRY, CollectorRegistry

from signal_gateway import __version__
from signal_gateway.gateway.metrics import GatewayMetrics


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def metrics(registry):
    return GatewayMetrics(registry)


def severities(registry):
    return {
        sample.labels["severity"]
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "gateway_signals_received_total"
    }


def test_severities_that_a_sender_invents_are_bounded(metrics, registry):
    for number in range(1000):
        metrics.count_received(source="prometheus", severity=f"p{number}")
    metrics.count_received(source="prometheus", severity="critical")
    metrics.count_received(source="prometheus", severity="p0")

    assert severities(registry) == {f"p{number}" for number in range(20)} | {"critical", "other"}
    labels = {"source_type": "prometheus", "severity": "other"}
    assert registry.get_sample_value("gateway_signals_received_total", labels) == 980


def test_paths_and_methods_that_nobody_serves_are_other(metrics, registry):
    metrics.observe_request(endpoint=None, method="BREW", status=404, seconds=0.1)

    labels = {"endpoint": "other", "method": "other", "status": "404"}
    assert registry.get_sample_value("gateway_http_request_duration_seconds_count", labels) == 1


def test_build_info_names_the_version(registry):
    GatewayMetrics(registry)

    assert registry.get_sample_value("gateway_build_info", {"version": __version__}) == 1


def test_global_registry_stays_clean(registry):
    GatewayMetrics(registry)

    assert not any(family.name.startswith("gateway_") for family in REGISTRY.collect())


@pytest.mark.asyncio
async def test_requests_are_observed_under_their_routes_template(running_gateway, alert):
    await running_gateway.post(alert())
    await running_gateway.http.get("/some/path/of/a/stranger")
    await running_gateway.http.get("/api/v1/signals/prometheus")

    def requests(**labels):
        return running_gateway.metric("gateway_http_request_duration_seconds_count", **labels)

    assert requests(endpoint="/api/v1/signals/prometheus", method="POST", status="201") == 1
    assert requests(endpoint="other", method="GET", status="404") == 1
    assert requests(endpoint="/api/v1/signals/prometheus", method="GET", status="405") == 1


@pytest.mark.asyncio
async def test_every_signal_is_counted_by_what_became_of_it(running_gateway, alert):
    await running_gateway.post(
        alert("A", namespace="a", pod="p", severity="critical"),
        alert("A", namespace="a", pod="p", severity="critical"),
        alert("Gone", status="resolved"),
        alert("NoTarget", job="x"),
    )

    source = {"source_type": "prometheus"}
    assert running_gateway.metric("gateway_signals_received_total", severity="critical", **source) == 2
    assert running_gateway.metric("gateway_signals_received_total", severity="unknown", **source) == 2
    assert running_gateway.metric("gateway_crds_created_total", status="created", **source) == 1
    assert running_gateway.metric("gateway_signals_deduplicated_total", **source) == 1
    assert running_gateway.metric("gateway_signals_resolved_total", **source) == 1
    assert running_gateway.metric("gateway_signals_rejected_total", reason="no_target") == 1
    assert running_gateway.metric("gateway_audit_events_total", outcome="recorded") == 5

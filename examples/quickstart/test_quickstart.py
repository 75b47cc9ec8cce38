"""Plain tests: each test has its own `gateway`, a real server; all tests share one audit store."""

import pytest

from signal_gateway.testing import GatewayFactory, LiveGateway


def test_alert_becomes_a_remediation(gateway: LiveGateway) -> None:
    response = gateway.send_alert("PodCrashLooping", namespace="prod", pod="api-7c9")

    assert response.status_code == 201
    name = response.json()["remediationRequestName"]
    assert gateway.metrics.value("gateway_crds_created_total", source_type="prometheus", status="created") == 1
    gateway.audit_trail.sequence("gateway.signal.received", "gateway.crd.created", correlation_id=name)


def test_repeat_is_a_duplicate_of_the_first(gateway: LiveGateway) -> None:
    first = gateway.send_alert("HighLatency", namespace="prod", deployment="api").json()

    second = gateway.send_alert("HighErrorRate", namespace="prod", deployment="api")

    assert second.status_code == 202
    assert second.json()["remediationRequestName"] == first["remediationRequestName"]


def test_resolved_alert_creates_nothing(gateway: LiveGateway) -> None:
    response = gateway.send_alert("HighLatency", status="resolved", namespace="prod", deployment="api")

    assert response.status_code == 200
    assert response.json()["status"] == "resolved"
    assert gateway.metrics.value("gateway_signals_resolved_total", source_type="prometheus") == 1


def test_two_gateways_count_only_their_own(gateway_factory: GatewayFactory) -> None:
    patient = gateway_factory(processing={"retry": {"max_attempts": 3, "initial_backoff": 0}})
    hasty = gateway_factory(processing={"retry": {"max_attempts": 1}})

    patient.cluster.faults.fail(verb="create", resource="remediationrequests", status=503, times=2)
    assert patient.send_alert("A", namespace="prod", deployment="one").status_code == 201

    hasty.cluster.faults.fail(verb="create", resource="remediationrequests", status=503, times=1)
    response = hasty.send_alert("B", namespace="prod", deployment="two")

    assert response.status_code == 503
    assert "Retry-After" in response.headers
    assert patient.metrics.value("gateway_crds_created_total", source_type="prometheus", status="created") == 1
    assert hasty.metrics.value("gateway_crds_created_total", source_type="prometheus", status="created") == 0


@pytest.mark.gateway(processing={"max_body_bytes": 1000})
def test_marker_sets_what_this_tests_gateway_is_run_with(gateway: LiveGateway) -> None:
    response = gateway.client.post("/api/v1/signals/prometheus", content=b" " * 1001)

    assert response.status_code == 413

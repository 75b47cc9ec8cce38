"""The workload of a stored event."""

import pytest

from signal_gateway.audit.presentation.workload import workload_of


def event(**members):
    return {
        "event_timestamp": "2026-11-28T20:00:00.123456Z",
        "event_type": "gateway.signal.deduplicated",
        "event_category": "gateway",
        "event_outcome": "success",
        "correlation_id": "rr-5f2a910c33d4-0a1b2c3d",
        "event_id": "01932c3e-8a00-7000-8000-000000000000",
        "event_data": {"event_type": "gateway.signal.deduplicated"},
        **members,
    }


def of_the_gateway(**members):
    data = {"namespace": "payments", "resource_kind": "Deployment", "resource_name": "payment-api"}
    return event(event_data=data, **members)


@pytest.mark.parametrize(
    ("stored", "workload"),
    [
        (event(resource_type="Deployment", resource_id="payments/payment-api", namespace="payments"), "D"),
        (event(resource_type="Deployment", resource_id="payment-api", namespace="payments"), "D"),
        (event(resource_type="Deployment", resource_id="payments/payment-api"), "D"),
        (event(resource_type="Deployment", resource_id="payments/payment-api", namespace=""), "D"),
        (event(resource_type="Deployment", resource_id="a/b/c"), "Deployment/a/b/c"),
        (event(resource_type="Deployment", resource_id="/c"), "Deployment//c"),
        (event(resource_type="Deployment", resource_id="c/"), "Deployment/c/"),
        (event(resource_type="Deployment", resource_id="a/b", namespace="n"), "n/Deployment/a/b"),
        (of_the_gateway(resource_type="Signal", resource_id="9f" * 32, namespace="payments"), "D"),
        (of_the_gateway(resource_type="RemediationRequest", resource_id="payments/rr-1"), "D"),
        (of_the_gateway(resource_type="gateway", resource_id="rr-5f2a910c33d4-0a1b2c3d"), "D"),
        (event(resource_type="Node", resource_id="worker-1"), "Node/worker-1"),
        (event(resource_type="Signal", resource_id="HighLatency", namespace="payments"), ""),
        (event(resource_type="gateway", resource_id="rr-5f2a910c33d4-0a1b2c3d"), ""),
        (event(resource_type="RemediationRequest", resource_id="rr-1", event_data=None), ""),
        (event(resource_type="gateway", resource_id="payments/payment-api"), ""),
        (event(), ""),
    ],
)
def test_workload_is_that_of_the_envelope_or_of_the_payload(stored, workload):
    found = workload_of(stored)

    assert (found.path if found else "") == ("payments/Deployment/payment-api" if workload == "D" else workload)


def test_values_that_are_no_text_name_no_workload():
    assert workload_of(event(resource_type="Signal", event_data={"resource_kind": 7, "resource_name": []})) is None

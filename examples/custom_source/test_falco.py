"""Events of Falco against a live gateway."""

from typing import Any

import pytest
from falco import FalcoAdapter

from signal_gateway.testing import GatewayFactory, LiveGateway

PATH = "/api/v1/signals/falco"


@pytest.fixture
def gateway(gateway_factory: GatewayFactory) -> LiveGateway:
    return gateway_factory(adapters=[FalcoAdapter()])


def event(**members: Any) -> dict[str, Any]:
    return {
        "hostname": "worker-1",
        "output": "12:00:00.123: Notice A shell was spawned in a container (user=root)",
        "output_fields": {"k8s.ns.name": "prod", "k8s.pod.name": "api-5d4f8c7b9-0", "user.name": "root"},
        "priority": "Critical",
        "rule": "Terminal shell in container",
        "source": "syscall",
        "time": "2026-01-31T12:00:00.123456789Z",
        **members,
    }


def test_event_leads_to_what_owns_the_pod(gateway: LiveGateway) -> None:
    workload = gateway.cluster.workload("prod/Deployment/api")
    fields = {"k8s.ns.name": "prod", "k8s.pod.name": workload.pods[0]}

    response = gateway.client.post(PATH, json=event(output_fields=fields))

    assert response.status_code == 201
    same = gateway.send_alert("PodCrashLooping", namespace="prod", deployment="api")
    assert same.json()["remediationRequestName"] == response.json()["remediationRequestName"]
    assert gateway.metrics.value("gateway_crds_created_total", source_type="falco", status="created") == 1


def test_harmless_event_is_answered_and_left_alone(gateway: LiveGateway) -> None:
    response = gateway.client.post(PATH, json=event(priority="Notice"))

    assert response.status_code == 200
    assert response.json()["rejection"]["reason"] == "harmless"


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"output_fields": {}}, "names no pod"),
        ({"time": "yesterday"}, "RFC 3339"),
        ({"rule": ""}, "0 characters"),
        ({"output_fields": None}, "not an event of Falco"),
        ({"output": "\0"}, "NUL"),
    ],
)
def test_event_that_is_wrong_is_the_senders_mistake(gateway: LiveGateway, members: dict[str, Any], says: str) -> None:
    response = gateway.client.post(PATH, json=event(**members))

    assert response.status_code == 400
    assert says in response.json()["detail"]

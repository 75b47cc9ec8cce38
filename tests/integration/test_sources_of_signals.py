import re
from datetime import timedelta

import orjson
import pytest

from signal_gateway import GatewayConfig, create_gateway
from signal_gateway.gateway.signals.signal import Signal, Target
from signal_gateway.kubernetes.resources import RemediationRequest
from signal_gateway.testing import RecordingAuditStore, kubernetes_event, serve


def test_event_becomes_a_remediation_request(gateway):
    response = gateway.send_event("BackOff", kind="Pod", name="api-7c9", namespace="prod", message="it crashes")

    assert response.status_code == 201
    name = response.json()["remediationRequestName"]
    spec = gateway.cluster.lightkube().get(RemediationRequest, name, namespace=gateway.cluster.namespace)["spec"]
    assert (spec["signalSource"], spec["signalName"], spec["severity"]) == ("kubernetes-events", "BackOff", "Warning")
    assert gateway.metrics.value("gateway_crds_created_total", source_type="kubernetes-events", status="created") == 1
    gateway.audit_trail.sequence("gateway.signal.received", "gateway.crd.created", correlation_id=name)


def test_event_and_alert_about_one_object_are_one_problem(gateway):
    first = gateway.send_event("BackOff", kind="Pod", name="api-7c9", namespace="prod").json()

    second = gateway.send_alert("PodCrashLooping", namespace="prod", pod="api-7c9")

    assert second.status_code == 202
    assert second.json()["remediationRequestName"] == first["remediationRequestName"]


def test_normal_event_is_rejected_with_the_reason(gateway):
    response = gateway.send_event("Pulled", kind="Pod", name="api-7c9", namespace="prod", type="Normal")

    assert (response.status_code, response.json()["status"]) == (200, "rejected")
    assert response.json()["rejection"]["reason"] == "normal_event"
    assert gateway.metrics.value("gateway_signals_rejected_total", reason="normal_event") == 1
    gateway.audit_trail.one("gateway.signal.rejected", correlation_id=f"{response.headers['X-Request-ID']}/0")


@pytest.mark.gateway(processing={"event_max_age": 60})
def test_how_old_an_event_may_be_is_a_setting(gateway):
    at = gateway.clock.now() - timedelta(seconds=90)

    response = gateway.send_event("BackOff", kind="Pod", name="api-7c9", namespace="prod", at=at)

    assert (response.status_code, response.json()["status"]) == (200, "rejected")
    assert response.json()["rejection"]["reason"] == "too_old"
    assert "older than 60 s" in response.json()["message"]


class PagerAdapter:
    """A source of one's own: each request names a Deployment."""

    name = "pager"
    signal_type = "alert"

    def parse(self, body, *, received_at):
        page = orjson.loads(body)
        target = Target(kind="Deployment", name=page["service"], namespace="prod", api_version="apps/v1")
        signal = Signal(
            name=page["title"],
            severity="critical",
            status="firing",
            source=self.name,
            target=target,
            namespace="prod",
            labels={},
            annotations={},
            fired_at=received_at,
            received_at=received_at,
            payload=page,
        )
        return [signal]


def test_source_of_ones_own_has_a_path_of_its_own(gateway_cluster):
    store = RecordingAuditStore()
    config = GatewayConfig(controller_namespace=gateway_cluster.namespace, processing={"scope": {"enabled": False}})
    gateway = create_gateway(config, kubernetes=gateway_cluster.client(), audit_store=store, adapters=[PagerAdapter()])

    with serve(gateway, cluster=gateway_cluster) as live:
        response = live.client.post("/api/v1/signals/pager", json={"title": "Down", "service": "api"})

    assert response.status_code == 201
    assert [event.actor_id for event in store.events] == ["pager", "pager"]


@pytest.mark.parametrize("name", ["prometheus", "Pager Duty", "", "pager--duty", "p" * 64])
def test_name_of_a_source_is_taken_once_and_fits_into_a_path(gateway_cluster, name):
    adapter = PagerAdapter()
    adapter.name = name

    with pytest.raises(ValueError, match=re.escape(f"name {name!r}")):
        create_gateway(
            GatewayConfig(),
            kubernetes=gateway_cluster.client(),
            audit_store=RecordingAuditStore(),
            adapters=[adapter],
        )


@pytest.mark.gateway(processing={"cluster_signals": "notify", "scope": {"enabled": True}})
def test_alert_about_the_cluster_itself_creates_one_remediation_request(gateway):
    first = gateway.send_alert("KubeAPIDown", severity="critical")
    second = gateway.send_alert("KubeAPIDown", severity="critical")
    other = gateway.send_alert("KubeSchedulerDown", severity="critical")

    assert [answer.status_code for answer in (first, second, other)] == [201, 202, 201]
    name = first.json()["remediationRequestName"]
    spec = gateway.cluster.lightkube().get(RemediationRequest, name, namespace=gateway.cluster.namespace)["spec"]
    assert spec["targetResource"] == {
        "kind": "Cluster",
        "name": "KubeAPIDown",
        "apiVersion": "kubernaut.ai/v1alpha1",
    }


def test_list_of_events_is_answered_event_by_event(gateway):
    items = [
        kubernetes_event("BackOff", kind="Pod", name="api-7c9", namespace="prod", at=gateway.clock.now()),
        kubernetes_event("Pulled", kind="Pod", name="api-7c9", namespace="prod", type="Normal", at=gateway.clock.now()),
    ]

    answer = gateway.client.post("/api/v1/signals/kubernetes-event", json={"kind": "EventList", "items": items})

    assert answer.status_code == 207
    assert [result["status"] for result in answer.json()["results"]] == ["created", "rejected"]


def test_lines_of_eventrouter_need_no_content_type(gateway):
    event = kubernetes_event("BackOff", kind="Pod", name="api-7c9", namespace="prod", at=gateway.clock.now())
    message = b"<24>1 2026-05-01T11:59:00Z node-1 kubelet - - - " + orjson.dumps({"verb": "ADDED", "event": event})

    answer = gateway.client.post("/api/v1/signals/kubernetes-event", content=b"%d %s\n" % (len(message), message))

    assert "content-type" not in answer.request.headers
    assert answer.status_code == 201


def test_body_of_another_content_type_is_refused_by_every_source(gateway):
    answer = gateway.client.post(
        "/api/v1/signals/kubernetes-event", content=b"{}", headers={"content-type": "text/plain"}
    )

    assert answer.status_code == 415

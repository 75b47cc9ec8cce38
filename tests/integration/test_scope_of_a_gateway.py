"""What a gateway may act on: the label kubernaut.ai/managed, on the target, else on its namespace."""

import pytest
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import Namespace, Pod
from lightkube.types import PatchType

from signal_gateway import GatewayConfig
from signal_gateway.testing import alert, alertmanager_webhook

MANAGED = "kubernaut.ai/managed"


@pytest.fixture
def gateway_config():
    return GatewayConfig()


@pytest.fixture
def label(gateway_cluster):
    """Set or drop the label of an object, as its owners do with kubectl."""

    def label(kind, name, value, *, namespace=None):
        patch = {"metadata": {"labels": {MANAGED: value}}}
        where = {} if namespace is None else {"namespace": namespace}
        gateway_cluster.lightkube().patch(kind, name, patch, patch_type=PatchType.MERGE, **where)

    return label


def send(gateway, **labels):
    return gateway.send_alert("HighLatency", namespace="prod", **labels)


@pytest.mark.parametrize(
    ("on_target", "on_namespace", "status"),
    [
        (True, None, 201),
        (None, "true", 201),
        (True, "false", 201),
        (None, None, 200),
        (None, "false", 200),
        (False, None, 200),
        (False, "true", 200),
        (None, "yes", 200),
    ],
)
def test_label_of_the_target_decides_else_that_of_its_namespace(gateway, label, on_target, on_namespace, status):
    gateway.cluster.workload("prod/Deployment/api", managed=on_target)
    if on_namespace is not None:
        label(Namespace, "prod", on_namespace)

    assert send(gateway, deployment="api").status_code == status


def test_answer_says_why_nothing_is_done_and_how_to_opt_in(gateway):
    gateway.cluster.workload("prod/Deployment/untold")

    answer = send(gateway, deployment="untold")

    body = answer.json()
    assert (answer.status_code, body["status"], body["duplicate"]) == (200, "rejected", False)
    assert body["rejection"] == {
        "reason": "not_managed",
        "resource": "prod/Deployment/untold",
        "message": "The target is out of scope: neither prod/Deployment/untold nor its namespace has the label "
        "kubernaut.ai/managed=true.",
        "action": "kubectl label deployments.apps untold --namespace=prod kubernaut.ai/managed=true",
    }
    assert gateway.metrics.value("gateway_signals_rejected_total", reason="not_managed") == 1
    event = gateway.audit_trail.one("gateway.signal.rejected", correlation_id=body["fingerprint"])
    assert event.event_outcome == "failure"
    assert (event.resource_type, event.resource_id, event.namespace) == ("Deployment", "prod/untold", "prod")
    assert event.event_data["fingerprint"] == body["fingerprint"]
    assert event.event_data["error_details"]["code"] == "not_managed"


def test_action_of_an_opted_out_target_overwrites_the_label(gateway):
    gateway.cluster.workload("prod/Deployment/api", managed=False)

    rejection = send(gateway, deployment="api").json()["rejection"]

    assert rejection["reason"] == "opted_out"
    assert rejection["message"].startswith("The target is out of scope: prod/Deployment/api has the label")
    assert rejection["action"].endswith("api --namespace=prod kubernaut.ai/managed=true --overwrite")


def test_batch_tells_of_each_alert_whether_it_is_in_scope(gateway):
    gateway.cluster.workload("prod/Deployment/in", managed=True)
    gateway.cluster.workload("prod/Deployment/out", managed=False)
    alerts = [alert("X", namespace="prod", deployment=name) for name in ("out", "in", "unknown")]

    answer = gateway.client.post("/api/v1/signals/prometheus", json=alertmanager_webhook(*alerts))

    assert answer.status_code == 207
    assert [result["status"] for result in answer.json()["results"]] == ["rejected", "created", "rejected"]
    assert answer.json()["summary"] == {
        "total": 3, "created": 1, "deduplicated": 0, "rejected": 2, "resolved": 0, "failed": 0,
    }  # fmt: skip


def test_pod_of_a_managed_deployment_is_in_scope(gateway):
    [pod] = gateway.cluster.workload("prod/Deployment/api", managed=True).pods

    assert send(gateway, pod=pod).status_code == 201


def test_pod_that_was_opted_out_is_left_alone_though_its_deployment_is_managed(gateway, label):
    pods = gateway.cluster.workload("prod/Deployment/api", managed=True, pods=2).pods
    label(Pod, pods[0], "false", namespace="prod")

    opted_out, other = send(gateway, pod=pods[0]), send(gateway, pod=pods[1])

    assert (opted_out.json()["status"], other.status_code) == ("rejected", 201)
    assert opted_out.json()["rejection"]["message"].startswith(
        f"The target is out of scope: prod/Pod/{pods[0]} has the label"
    )


def test_cluster_scoped_target_has_no_namespace_to_fall_back_to(gateway):
    gateway.cluster.workload("Node/worker-1")
    gateway.cluster.workload("Node/worker-2", managed=True)

    unmanaged, managed = (gateway.send_alert("NodeDown", node=f"worker-{number}") for number in (1, 2))

    assert unmanaged.json()["rejection"]["action"] == "kubectl label nodes worker-1 kubernaut.ai/managed=true"
    assert managed.status_code == 201


def test_target_that_does_not_exist_is_in_scope_if_its_namespace_is(gateway, label):
    gateway.cluster.workload("prod/Pod/other")

    before = send(gateway, deployment="gone").json()
    label(Namespace, "prod", "true")
    gateway.clock.advance(5)
    after = send(gateway, deployment="gone")
    nowhere = gateway.send_alert("X", namespace="no-such-namespace", deployment="gone").json()

    assert before["rejection"]["action"] == "kubectl label namespaces prod kubernaut.ai/managed=true"
    assert after.status_code == 201
    assert (nowhere["status"], nowhere["rejection"]["action"]) == ("rejected", "")


def test_opt_out_takes_effect_within_five_seconds(gateway, label):
    gateway.cluster.workload("prod/Deployment/api", managed=True)
    first = send(gateway, deployment="api")

    label(Deployment, "api", "false", namespace="prod")
    gateway.clock.advance(5)

    assert first.status_code == 201
    assert send(gateway, deployment="api").json()["status"] == "rejected"


@pytest.mark.parametrize("resource", ["deployments", "namespaces"])
def test_label_that_cannot_be_read_now_is_not_guessed(gateway, label, resource):
    gateway.cluster.workload("prod/Deployment/api")
    label(Namespace, "prod", "true")

    with gateway.cluster.faults.fail(verb="get", resource=resource, status=503):
        answer = send(gateway, deployment="api")
    again = send(gateway, deployment="api")

    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    assert again.status_code == 201


def test_resolved_alert_does_not_fail_for_its_scope(gateway):
    answer = gateway.send_alert("X", status="resolved", namespace="prod", deployment="api")

    assert answer.json()["status"] == "resolved"


def test_cold_signal_costs_a_get_for_each_object_on_the_way_one_for_the_namespace_and_one_create(gateway, label):
    [pod] = gateway.cluster.workload("prod/Deployment/api").pods
    label(Namespace, "prod", "true")
    gateway.cluster.log.clear()

    answer = send(gateway, pod=pod)

    assert answer.status_code == 201
    assert [(entry.verb, entry.resource) for entry in gateway.cluster.log] == [
        ("get", "pods"),
        ("get", "replicasets"),
        ("get", "deployments"),
        ("get", "namespaces"),
        ("create", "remediationrequests"),
    ]


def test_scope_that_is_turned_off_lets_everything_in(gateway_factory):
    gateway = gateway_factory(processing={"scope": {"enabled": False}})
    gateway.cluster.workload("prod/Deployment/api", managed=False)

    assert send(gateway, deployment="api").status_code == 201

"""Which workload a signal leads to: the gateway looks at what exists, and who owns it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import yaml
from lightkube import SingleConfig
from lightkube.config.models import Cluster as LightkubeCluster
from lightkube.config.models import Context
from lightkube.config.models import User as LightkubeUser
from lightkube.generic_resource import create_namespaced_resource
from lightkube.resources.core_v1 import Node, Pod

from signal_gateway import GatewayConfig, create_gateway
from signal_gateway.apiserver import Rule, User
from signal_gateway.kubernetes import KubernetesClient
from signal_gateway.kubernetes.resources import RemediationRequest
from signal_gateway.testing import EmbeddedCluster, RecordingAuditStore, alert, alertmanager_webhook, serve

PATH = "/api/v1/signals/prometheus"
WIDGETS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "names": {"kind": "Widget", "plural": "widgets", "singular": "widget"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


@pytest.fixture
def target_of():
    """Return the target of the RemediationRequest that an answer names: `namespace/Kind/name`."""

    def target_of(gateway, answer):
        name = answer.json()["remediationRequestName"]
        found = gateway.cluster.lightkube().get(RemediationRequest, name, namespace=gateway.cluster.namespace)
        target = found["spec"]["targetResource"]
        return "/".join(target[key] for key in ("namespace", "kind", "name") if key in target)

    return target_of


def looked_up(cluster):
    return [
        (entry.resource, entry.code)
        for entry in cluster.log
        if entry.verb == "get" and "remediationrequests" not in entry.resource
    ]


def test_pod_leads_to_the_deployment_at_the_top(gateway, target_of):
    pod = gateway.cluster.workload("prod/Deployment/api").pods[0]
    gateway.cluster.log.clear()

    answer = gateway.send_alert("PodCrashLooping", namespace="prod", pod=pod)

    assert target_of(gateway, answer) == "prod/Deployment/api"
    assert looked_up(gateway.cluster) == [("pods", 200), ("replicasets", 200), ("deployments", 200)]
    assert gateway.metrics.value("gateway_owner_resolution_total", kind="Pod", outcome="owner") == 1


@pytest.mark.parametrize(
    ("workload", "top"),
    [
        ("prod/StatefulSet/db", "prod/StatefulSet/db"),
        ("prod/DaemonSet/agent", "prod/DaemonSet/agent"),
        ("prod/CronJob/report", "prod/CronJob/report"),
        ("prod/Pod/alone", "prod/Pod/alone"),
    ],
)
def test_every_kind_of_controller_is_followed_to_the_top(gateway, target_of, workload, top):
    [pod] = gateway.cluster.workload(workload).pods

    assert target_of(gateway, gateway.send_alert("X", namespace="prod", pod=pod)) == top


def test_alerts_about_pods_of_one_workload_are_one_problem(gateway):
    pods = gateway.cluster.workload("prod/Deployment/api", pods=3).pods

    answers = [gateway.send_alert("X", namespace="prod", pod=pod) for pod in pods]
    event = gateway.send_event("BackOff", kind="Pod", name=pods[0], namespace="prod")
    gone = gateway.send_alert("X", status="resolved", namespace="prod", pod=pods[0])

    assert [answer.status_code for answer in [*answers, event]] == [201, 202, 202, 202]
    assert gone.json()["fingerprint"] == answers[0].json()["fingerprint"]
    gateway.audit_trail.one("gateway.signal.resolved", correlation_id=answers[0].json()["remediationRequestName"])


def test_candidate_that_exists_is_taken_before_a_better_one_that_does_not(gateway, target_of):
    gateway.cluster.workload("prod/StatefulSet/db")

    answer = gateway.send_alert("X", namespace="prod", deployment="gone", statefulset="db", pod="gone-0")

    assert target_of(gateway, answer) == "prod/StatefulSet/db"


def test_first_candidate_is_taken_if_none_exists(gateway, target_of):
    answer = gateway.send_alert("X", namespace="prod", pod="api-1", node="worker-1", replicaset="api")

    assert target_of(gateway, answer) == "prod/ReplicaSet/api"
    assert gateway.metrics.value("gateway_owner_resolution_total", kind="ReplicaSet", outcome="not_found") == 1


def test_node_that_the_sender_alone_names_may_have_been_removed(gateway, target_of):
    answer = gateway.send_alert("KubeNodePressure", node="worker-1")

    assert target_of(gateway, answer) == "Node/worker-1"


@pytest.mark.parametrize("label", ["job", "instance", "app", "cluster_name", "namespace"])
def test_node_beside_a_label_of_a_series_must_exist(gateway, label):
    answer = gateway.send_alert("DataNodeDown", node="data-0", **{label: "x"})

    assert (answer.status_code, answer.json()["rejection"]["reason"]) == (200, "no_target")


def test_node_with_a_dotted_name_is_looked_up_without_a_namespace(gateway, target_of):
    gateway.cluster.workload("Node/ip-10-0-0-1.example.internal")
    gateway.cluster.log.clear()

    answer = gateway.send_alert("NodeDown", namespace="monitoring", node="ip-10-0-0-1.example.internal")

    assert target_of(gateway, answer) == "Node/ip-10-0-0-1.example.internal"
    [looked] = gateway.cluster.log.select(verb="get", resource="nodes")
    assert (looked.namespace, looked.code) == ("", 200)


def test_what_an_exporter_says_wins_over_where_it_was_scraped(gateway, target_of):
    gateway.cluster.workload("monitoring/Pod/kube-state-metrics-0")
    gateway.cluster.workload("prod/Pod/api-1")
    labels = {"namespace": "monitoring", "pod": "kube-state-metrics-0"}

    answer = gateway.send_alert("X", exported_namespace="prod", exported_pod="api-1", **labels)

    assert target_of(gateway, answer) == "prod/Pod/api-1"


def test_owner_that_was_replaced_by_another_of_its_name_is_not_followed(gateway, target_of):
    reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "api", "uid": "of-before", "controller": True}
    gateway.cluster.workload("prod/ReplicaSet/api", pods=0)
    gateway.cluster.install(_pod("api-1", ownerReferences=[reference]))

    assert target_of(gateway, gateway.send_alert("X", namespace="prod", pod="api-1")) == "prod/Pod/api-1"


def test_owner_that_is_gone_keeps_what_is_known(gateway, target_of):
    reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "api", "uid": "gone", "controller": True}
    gateway.cluster.workload("prod/Pod/other")
    gateway.cluster.install(_pod("api-1", ownerReferences=[reference]))

    assert target_of(gateway, gateway.send_alert("X", namespace="prod", pod="api-1")) == "prod/Pod/api-1"


def test_owner_that_does_not_control_is_not_followed(gateway, target_of):
    gateway.cluster.workload("prod/Deployment/api", pods=0)
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api", "uid": "any"}
    gateway.cluster.install(_pod("api-1", ownerReferences=[reference]))

    assert target_of(gateway, gateway.send_alert("X", namespace="prod", pod="api-1")) == "prod/Pod/api-1"


def _pod(name, **metadata):
    spec = {"containers": [{"name": "main", "image": "example.com/main:1"}]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "prod", **metadata},
        "spec": spec,
    }


def test_custom_resource_is_a_target_and_an_owner_whose_uid_is_another_is_not_followed(gateway_factory, target_of):
    reference = {"apiVersion": "example.com/v1", "kind": "Widget", "name": "w", "uid": "any", "controller": True}
    with EmbeddedCluster(crds=[WIDGETS]) as cluster:
        gateway = gateway_factory(cluster=cluster)
        cluster.workload("prod/Pod/other")
        widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "prod"}}
        cluster.install(widget, _pod("of-widget", ownerReferences=[reference]))

        by_label = gateway.send_alert("X", namespace="prod", widget="w")
        by_pod = gateway.send_alert("X", namespace="prod", pod="of-widget")

        assert target_of(gateway, by_label) == "prod/Widget/w"
        assert target_of(gateway, by_pod) == "prod/Pod/of-widget"


def test_owner_of_any_group_is_followed(gateway_factory, target_of):
    with EmbeddedCluster(crds=[WIDGETS]) as cluster:
        gateway = gateway_factory(cluster=cluster)
        cluster.workload("prod/Pod/other")
        widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "prod"}}
        cluster.install(widget)
        widgets = create_namespaced_resource("example.com", "v1", "Widget", "widgets")
        uid = cluster.lightkube().get(widgets, "w", namespace="prod").metadata.uid
        reference = {"apiVersion": "example.com/v1", "kind": "Widget", "name": "w", "uid": uid, "controller": True}
        cluster.install(_pod("of-widget", ownerReferences=[reference]))

        answer = gateway.send_alert("X", namespace="prod", pod="of-widget")

        assert target_of(gateway, answer) == "prod/Widget/w"


def test_static_pod_is_its_own_workload(gateway, target_of):
    gateway.cluster.workload("Node/master-0")
    gateway.cluster.workload("prod/Pod/other")
    uid = gateway.cluster.lightkube().get(Node, "master-0").metadata.uid
    reference = {"apiVersion": "v1", "kind": "Node", "name": "master-0", "uid": uid, "controller": True}
    gateway.cluster.install(_pod("etcd-master-0", ownerReferences=[reference]))

    answer = gateway.send_alert("X", namespace="prod", pod="etcd-master-0")

    assert target_of(gateway, answer) == "prod/Pod/etcd-master-0"


def test_object_without_a_namespace_label_is_found_if_its_name_is_unique(gateway, target_of):
    gateway.cluster.workload("prod/Deployment/api")
    for namespace in ("prod", "staging"):
        gateway.cluster.workload(f"{namespace}/StatefulSet/db")

    unique = gateway.send_alert("X", deployment="api")
    ambiguous = gateway.send_alert("X", statefulset="db")
    absent = gateway.send_alert("X", pod="gone-0")

    assert target_of(gateway, unique) == "prod/Deployment/api"
    assert [answer.json()["rejection"]["reason"] for answer in (ambiguous, absent)] == ["no_target"] * 2


def test_scraped_pod_of_another_namespace_than_its_label_is_no_target(gateway):
    gateway.cluster.workload("monitoring/Pod/exporter-0")

    answer = gateway.send_alert("X", namespace="prod", pod="exporter-0", instance="10.0.0.7:8080")

    assert answer.json()["rejection"]["reason"] == "no_target"
    assert "is in another namespace" in answer.json()["message"]


def test_label_called_like_a_kind_does_not_merge_alerts_about_gone_pods(gateway_factory, target_of):
    with EmbeddedCluster(crds=[{**WIDGETS, "metadata": {"name": "widgets.example.com"}}]) as cluster:
        gateway = gateway_factory(cluster=cluster)

        answers = [gateway.send_alert("X", namespace="prod", pod=pod, widget="prod-eu") for pod in ("a-0", "b-0")]

        assert [target_of(gateway, answer) for answer in answers] == ["prod/Pod/a-0", "prod/Pod/b-0"]


@pytest.mark.parametrize("instance", ["worker-1", "10.0.0.11:9100", "10.9.9.9:9100"])
def test_node_exporter_means_the_node_that_it_runs_on(gateway, target_of, instance):
    address = {"type": "InternalIP", "address": "10.0.0.11"}
    gateway.cluster.install(
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "worker-1"}, "status": {"addresses": [address]}}
    )
    gateway.cluster.workload("prod/Pod/other")
    exporter = _pod("node-exporter-x7k2p")
    exporter["spec"]["nodeName"] = "worker-1"
    gateway.cluster.install(exporter)

    answer = gateway.send_alert(
        "NodeDiskFull", namespace="prod", pod="node-exporter-x7k2p", job="node-exporter", instance=instance
    )

    assert target_of(gateway, answer) == "Node/worker-1"


def test_kind_that_is_new_to_the_cluster_is_known_a_minute_later_and_nobody_waits_for_it(gateway, target_of):
    widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "prod"}}
    gateway.cluster.workload("prod/Pod/other")
    gateway.cluster.install(WIDGETS, widget)
    labels = {"namespace": "prod", "widget": "w"}

    unknown = gateway.send_alert("X", **labels)
    gateway.clock.advance(61)
    answered_by_what_was_known = gateway.send_alert("X", **labels)
    gateway.settle()
    known = gateway.send_alert("X", **labels)

    assert [unknown.status_code, answered_by_what_was_known.status_code] == [200, 200]
    assert target_of(gateway, known) == "prod/Widget/w"


def test_alert_about_no_object_is_rejected_with_success(gateway):
    answer = gateway.send_alert("X", namespace="prod", job="api", service="api")

    assert (answer.status_code, answer.json()["status"]) == (200, "rejected")
    assert answer.json()["rejection"]["reason"] == "no_target"
    assert "No label names a Kubernetes object" in answer.json()["message"]
    assert gateway.metrics.value("gateway_signals_rejected_total", reason="no_target") == 1


def test_alert_whose_labels_name_no_object_that_exists_is_rejected_and_says_what_was_searched(gateway):
    gateway.cluster.workload("prod/Pod/other")

    answer = gateway.send_alert("X", namespace="prod", role="leader", instance="10.0.0.7:9121")

    assert (answer.status_code, answer.json()["rejection"]["reason"]) == (200, "no_target")
    assert "prod/Role/leader (label role) does not exist" in answer.json()["message"]
    assert gateway.metrics.value("gateway_signals_rejected_total", reason="no_target") == 1


@pytest.mark.parametrize("resource", ["pods", "replicasets", "deployments"])
def test_lookup_that_fails_for_a_reason_that_passes_is_for_the_sender_to_try_again(gateway, target_of, resource):
    [pod] = gateway.cluster.workload("prod/Deployment/api").pods

    with gateway.cluster.faults.fail(verb="get", resource=resource, status=503):
        answer = gateway.send_alert("X", namespace="prod", pod=pod)
    again = gateway.send_alert("X", namespace="prod", pod=pod)

    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    assert target_of(gateway, again) == "prod/Deployment/api"


def test_resolved_alert_fails_neither_for_its_target_nor_for_the_api(gateway):
    with gateway.cluster.faults.fail(verb="get", resource="pods", status=503) as fault:
        answer = gateway.send_alert("X", status="resolved", namespace="prod", pod="api-1")
    without = gateway.send_alert("X", status="resolved", job="gone")

    assert (answer.status_code, answer.json()["status"], fault.hits) == (200, "resolved", 1)
    assert without.json()["status"] == "resolved"


@pytest.fixture
def gateway_that_may_read():
    """Serve a gateway whose client may read no other resources than some: `gateway_that_may_read("pods")`."""
    with ExitStack() as stack:

        def serve_one(*resources, extra=()):
            rules = [
                Rule(users=("gateway",), api_groups=("kubernaut.ai",)),
                Rule(users=("gateway",), verbs=("get",), resources=("namespaces", *resources)),
                *extra,
            ]
            cluster = stack.enter_context(EmbeddedCluster(tokens={"t0ken": User("gateway")}, rules=rules))
            cluster.workload("prod/Deployment/api")
            cluster.workload("Node/worker-1")
            config = SingleConfig(
                context_name="gateway",
                context=Context(cluster="here"),
                cluster=LightkubeCluster(server=cluster.url),
                user=LightkubeUser(token="t0ken"),
            )
            client = KubernetesClient(config)
            stack.callback(lambda: asyncio.run(client.aclose()))
            scope_off = GatewayConfig(processing={"scope": {"enabled": False}})
            gateway = create_gateway(scope_off, kubernetes=client, audit_store=RecordingAuditStore())
            return stack.enter_context(serve(gateway, cluster=cluster))

        yield serve_one


def test_candidate_of_a_kind_that_may_not_be_read_is_passed_over_while_there_are_others(
    gateway_that_may_read, target_of
):
    gateway = gateway_that_may_read("statefulsets")
    gateway.cluster.workload("prod/StatefulSet/db")

    found = gateway.send_alert("X", namespace="prod", deployment="api", statefulset="db")
    none_found = gateway.send_alert("X", namespace="prod", deployment="api", statefulset="gone")

    assert target_of(gateway, found) == "prod/StatefulSet/db"
    assert target_of(gateway, none_found) == "prod/StatefulSet/gone"


def test_target_that_may_not_be_read_is_for_somebody_to_mend_and_the_sender_to_try_again(gateway_that_may_read):
    gateway = gateway_that_may_read("pods")

    answer = gateway.send_alert("X", namespace="prod", deployment="api")

    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)


MISSING = [
    ({"namespace": "prod", "deployment": "api"}, (), "prod/Deployment/api"),
    ({"deployment": "api"}, (), "prod/Deployment/api"),
    ({"node": "worker-1"}, (), "Node/worker-1"),
    ({"instance": "10.0.0.11:9100", "job": "node-exporter"}, (), None),
    ({"namespace": "prod", "pod": "{pod}", "job": "node-exporter"}, ("nodes",), None),
    ({"namespace": "prod", "pod": "{pod}"}, ("replicasets", "deployments"), "prod/Deployment/api"),
    ({"namespace": "prod", "pod": "{pod}"}, ("pods", "deployments"), "prod/Deployment/api"),
]


@pytest.mark.parametrize(("labels", "readable", "target"), MISSING)
def test_missing_right_is_one_warning_with_the_rule_that_grants_it(
    gateway_that_may_read, target_of, caplog, labels, readable, target
):
    def send(gateway):
        [pod] = [it.metadata.name for it in gateway.cluster.lightkube().list(Pod, namespace="prod")]
        named = {label: pod if value == "{pod}" else value for label, value in labels.items()}
        return gateway.send_alert("X", **named)

    gateway = gateway_that_may_read(*readable)
    send(gateway)
    send(gateway)
    [warning] = [record.getMessage() for record in caplog.records if "ClusterRole" in record.getMessage()]
    caplog.clear()
    granted = yaml.safe_load(warning[warning.index("{") : warning.index("}") + 1])
    rule = Rule(
        users=("gateway",),
        api_groups=tuple(granted["apiGroups"]),
        resources=tuple(granted["resources"]),
        verbs=tuple(granted["verbs"]),
    )
    mended = gateway_that_may_read(*readable, extra=[rule])
    answer = send(mended)

    assert [record for record in caplog.records if "ClusterRole" in record.getMessage()] == []
    if target is not None:
        assert target_of(mended, answer) == target


def test_targets_are_looked_up_once_for_all_who_ask_at_the_time(gateway):
    pods = gateway.cluster.workload("prod/Deployment/api", pods=8).pods
    gateway.cluster.log.clear()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda pod: gateway.send_alert("X", namespace="prod", pod=pod), pods))

    assert sorted(answer.status_code for answer in answers) == [201] + [202] * 7
    resources = [resource for resource, _ in looked_up(gateway.cluster)]
    assert (resources.count("pods"), resources.count("replicasets"), resources.count("deployments")) == (8, 1, 1)


def test_new_signal_is_one_create_when_its_target_is_known(gateway):
    [pod] = gateway.cluster.workload("prod/Deployment/api").pods
    gateway.send_alert("X", status="resolved", namespace="prod", pod=pod)
    gateway.cluster.log.clear()

    new = gateway.send_alert("X", namespace="prod", pod=pod)
    calls_of_new = [(entry.verb, entry.resource) for entry in gateway.cluster.log]
    duplicate = gateway.send_alert("X", namespace="prod", pod=pod)
    calls_of_both = [(entry.verb, entry.resource) for entry in gateway.cluster.log]

    assert [new.status_code, duplicate.status_code] == [201, 202]
    assert calls_of_new == [("create", "remediationrequests")]
    assert calls_of_both[1:] == [("patch", "remediationrequests/status")]


def test_what_is_known_of_a_target_is_five_seconds_old_at_most(gateway):
    [pod] = gateway.cluster.workload("prod/Deployment/api").pods
    gateway.send_alert("X", namespace="prod", pod=pod)
    gateway.cluster.log.clear()

    gateway.clock.advance(4.9)
    gateway.send_alert("X", namespace="prod", pod=pod)
    kept = looked_up(gateway.cluster)
    gateway.clock.advance(0.2)
    gateway.send_alert("X", namespace="prod", pod=pod)

    assert kept == []
    assert looked_up(gateway.cluster) == [("pods", 200), ("replicasets", 200), ("deployments", 200)]


def test_calls_of_a_batch_grow_with_workloads_and_not_with_alerts(gateway):
    one = gateway.cluster.workload("prod/Deployment/one", pods=10).pods
    several = [gateway.cluster.workload(f"prod/Deployment/d{number}").pods[0] for number in range(5)]
    gateway.cluster.log.clear()

    answer = gateway.client.post(
        PATH, json=alertmanager_webhook(*(alert("X", namespace="prod", pod=pod) for pod in (*one, *several)))
    )

    body = answer.json()
    assert (answer.status_code, body["summary"]["created"], body["summary"]["deduplicated"]) == (207, 6, 9)
    assert [result["status"] for result in body["results"]] == ["created"] + ["duplicate"] * 9 + ["created"] * 5
    resources = [resource for resource, _ in looked_up(gateway.cluster)]
    assert {name: resources.count(name) for name in ("pods", "replicasets", "deployments")} == {
        "pods": 15,
        "replicasets": 6,
        "deployments": 6,
    }
    assert len(gateway.cluster.log.select(verb="create")) == 6
    assert len(gateway.cluster.log.select(verb="patch")) < 9

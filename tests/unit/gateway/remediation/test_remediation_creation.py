import asyncio
import json

import pytest

from signal_gateway.gateway.remediation.requests import remediation_request_name
from signal_gateway.kubernetes import ApiUnavailable, RemediationRequestIndex

pytestmark = pytest.mark.asyncio

FINGERPRINT = "91fce8d5c4949766458bd4bd58859a4fb2e8470ef64ef438c22903744799a9b1"


def manifest(name, fingerprint=FINGERPRINT):
    return {
        "apiVersion": "kubernaut.ai/v1alpha1",
        "kind": "RemediationRequest",
        "metadata": {"name": name, "namespace": "kubernaut-system"},
        "spec": {
            "signalFingerprint": fingerprint,
            "signalName": "X",
            "severity": "warning",
            "signalType": "alert",
            "targetType": "kubernetes",
            "targetResource": {"kind": "Pod", "name": "p"},
            "firingTime": "2026-01-01T00:00:00Z",
            "receivedTime": "2026-01-01T00:00:00Z",
        },
    }


def next_name(gateway, previous_uid=None, clashes=0):
    return remediation_request_name(
        namespace_uid=gateway.gateway._pipeline.requests.namespace_uid,
        fingerprint=FINGERPRINT,
        previous_uid=previous_uid,
        clashes=clashes,
    )


async def test_object_says_everything_of_the_signal(running_gateway, wired_cluster, alert):
    sent = alert("HighLatency", namespace="prod", deployment="payment-api", severity="critical")

    await running_gateway.post(sent)

    [created] = await wired_cluster.requests()
    spec, metadata = created["spec"], created["metadata"]
    assert metadata["labels"] == {
        "app.kubernetes.io/managed-by": "gateway-service",
        "app.kubernetes.io/component": "remediation",
    }
    assert set(metadata["annotations"]) == {"kubernaut.ai/created-at", "signal-gateway/request"}
    assert json.loads(spec.pop("originalPayload")) == sent
    assert json.loads(spec.pop("providerData")) == {"labels": sent["labels"], "namespace": "prod"}
    assert spec.pop("receivedTime") > "2026"
    assert spec == {
        "signalFingerprint": FINGERPRINT,
        "signalName": "HighLatency",
        "severity": "critical",
        "signalType": "alert",
        "targetType": "kubernetes",
        "signalSource": "prometheus",
        "targetResource": {
            "kind": "Deployment",
            "name": "payment-api",
            "namespace": "prod",
            "apiVersion": "apps/v1",
        },
        "firingTime": "2026-01-01T00:00:00Z",
        "signalLabels": sent["labels"],
        "signalAnnotations": sent["annotations"],
    }


async def test_name_is_the_derived_one(running_gateway, alert):
    body = (await running_gateway.post(alert())).json()

    assert body["remediationRequestName"] == next_name(running_gateway)


async def test_cluster_scoped_target_has_no_namespace(running_gateway, wired_cluster, alert):
    wired_cluster.api.install({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "worker-node-1"}})

    await running_gateway.post(alert("NodeDown", namespace="monitoring", node="worker-node-1"))

    [created] = await wired_cluster.requests()
    assert created["spec"]["targetResource"] == {"kind": "Node", "name": "worker-node-1", "apiVersion": "v1"}
    assert created["spec"]["signalFingerprint"].startswith("54010c454af1")


async def test_new_signal_costs_a_look_at_its_target_and_one_create(running_gateway, wired_cluster, alert):
    wired_cluster.api.log.clear()

    await running_gateway.post(alert())

    calls = [(entry.verb, entry.resource) for entry in wired_cluster.api.log]
    assert calls == [("get", "deployments"), ("create", "remediationrequests")]


async def test_create_whose_answer_was_lost_is_known_again_as_ours(running_gateway, wired_cluster, alert):
    wired_cluster.wire.lose_answer("POST")

    response = await running_gateway.post(alert())

    assert response.status_code == 201
    assert len(await wired_cluster.requests()) == 1
    assert running_gateway.metric("gateway_crds_created_total", source_type="prometheus", status="created") == 1
    types = [event.event_type for event in running_gateway.events()]
    assert types == ["gateway.crd.failed", "gateway.signal.received", "gateway.crd.created"]


async def test_one_that_another_replica_created_meanwhile_makes_a_duplicate(running_gateway, wired_cluster, alert):
    wired_cluster.wire.silence_watches()
    await wired_cluster.create(manifest(next_name(running_gateway)))

    response = await running_gateway.post(alert())

    assert response.status_code == 202
    [only] = await wired_cluster.requests()
    assert only["status"]["deduplication"]["occurrenceCount"] == 2
    assert running_gateway.events("gateway.crd.created") == []


async def test_name_taken_by_another_problem_is_stepped_over(running_gateway, wired_cluster, alert):
    await wired_cluster.create(manifest(next_name(running_gateway), fingerprint="a" * 64))

    response = await running_gateway.post(alert())

    assert response.status_code == 201
    assert response.json()["remediationRequestName"] == next_name(running_gateway, clashes=1)


async def test_next_episode_is_named_after_the_one_before_though_the_index_lags(running_gateway, wired_cluster, alert):
    wired_cluster.wire.silence_watches()
    ended = await wired_cluster.create(manifest(next_name(running_gateway)))
    await wired_cluster.set_status(ended["metadata"]["name"], overallPhase="Completed")

    response = await running_gateway.post(alert())

    assert response.status_code == 201
    assert response.json()["remediationRequestName"] == next_name(running_gateway, ended["metadata"]["uid"])


async def test_many_episodes_within_a_second_each_get_a_request_of_their_own(running_gateway, wired_cluster, alert):
    names = []
    for _ in range(10):
        response = await running_gateway.post(alert())
        assert response.status_code == 201
        names.append(response.json()["remediationRequestName"])
        await wired_cluster.set_status(names[-1], overallPhase="Completed")

    assert len(set(names)) == 10


async def test_one_being_deleted_counts_as_ended(running_gateway, wired_cluster, alert):
    wired_cluster.wire.silence_watches()
    held = manifest(next_name(running_gateway))
    held["metadata"]["finalizers"] = ["example.org/hold"]
    uid = (await wired_cluster.create(held))["metadata"]["uid"]
    await wired_cluster.delete(next_name(running_gateway))

    response = await running_gateway.post(alert())

    assert response.status_code == 201
    assert response.json()["remediationRequestName"] == next_name(running_gateway, uid)


async def test_replicas_that_race_create_one_request(run_gateway, wired_cluster, alert):
    replicas = [await run_gateway() for _ in range(4)]

    responses = await asyncio.gather(*(replica.post(alert()) for replica in replicas for _ in range(5)))

    [only] = await wired_cluster.requests()
    assert sorted(response.status_code for response in responses) == [201] + [202] * 19
    assert only["status"]["deduplication"]["occurrenceCount"] == 20


async def test_transient_failure_is_tried_again_and_recorded(running_gateway, wired_cluster, alert):
    wired_cluster.api.faults.fail(verb="create", resource="remediationrequests", status=500, times=2)

    response = await running_gateway.post(alert())

    assert response.status_code == 201
    failures = running_gateway.events("gateway.crd.failed")
    assert len(failures) == 2
    assert {event.correlation_id for event in failures} == {"PodCrashLooping:prod:Deployment:payment-api"}
    assert failures[0].event_data["error_details"]["retry_possible"] is True
    assert running_gateway.metric("gateway_crd_creation_errors_total", error_type="unavailable") == 2
    calls = {"verb": "create", "resource": "remediationrequests"}
    assert running_gateway.metric("gateway_kubernetes_requests_total", code="500", **calls) == 2
    assert running_gateway.metric("gateway_kubernetes_requests_total", code="201", **calls) == 1


async def test_attempts_are_as_configured(run_gateway, wired_cluster, alert):
    gateway = await run_gateway(processing={"retry": {"max_attempts": 1}})
    wired_cluster.api.faults.fail(verb="create", resource="remediationrequests", status=503, times=1)

    assert (await gateway.post(alert())).status_code == 503
    assert len(wired_cluster.calls("create")) == 1
    assert (await gateway.post(alert())).status_code == 201


async def test_refused_for_good_is_not_tried_again(running_gateway, wired_cluster, alert):
    wired_cluster.api.faults.fail(verb="create", resource="remediationrequests", status=422)

    assert (await running_gateway.post(alert())).status_code == 500

    assert len(wired_cluster.calls("create")) == 1
    [failure] = running_gateway.events("gateway.crd.failed")
    assert failure.event_data["error_details"]["retry_possible"] is False


async def test_huge_alert_is_cut_to_what_an_object_may_hold(running_gateway, wired_cluster, alert):
    sent = alert("X", namespace="prod", deployment="payment-api", team='"\\' * 200_000)
    sent["annotations"] = {f"key{n}": '"\\' * 1000 for n in range(400)}

    response = await running_gateway.post(sent)

    assert response.status_code == 201
    [created] = await wired_cluster.requests()
    assert len(json.dumps(created)) < 1024 * 1024
    assert "team" not in created["spec"]["signalLabels"]
    assert created["spec"]["signalLabels"]["deployment"] == "payment-api"


async def test_new_signal_waits_for_the_next_list_after_a_watch_that_was_lost(
    running_gateway, wired_cluster, alert, monkeypatch
):
    waits, until_watched = asyncio.Event(), RemediationRequestIndex.until_watched

    async def noted(index):
        waits.set()
        await until_watched(index)

    monkeypatch.setattr(RemediationRequestIndex, "until_watched", noted)
    arrived, release = wired_cluster.wire.hold_lists()
    with wired_cluster.api.faults.partition():
        await arrived.wait()
    await wired_cluster.create(manifest("rr-by-another-replica"))

    sending = asyncio.create_task(running_gateway.post(alert()))
    await waits.wait()
    assert len(wired_cluster.calls("create")) == 1
    release.set()
    response = await sending

    assert response.status_code == 202
    assert response.json()["remediationRequestName"] == "rr-by-another-replica"


async def test_new_signal_is_sent_back_when_the_watch_stays_lost(running_gateway, wired_cluster, alert, monkeypatch):
    monkeypatch.setattr("signal_gateway.gateway.remediation.requests._LONGEST_WAIT", 0.01)
    arrived, release = wired_cluster.wire.hold_lists()
    with wired_cluster.api.faults.partition():
        await arrived.wait()

    response = await running_gateway.post(alert())
    release.set()

    assert response.status_code == 503
    assert wired_cluster.calls("create") == []
    assert running_gateway.metric("gateway_crd_creation_errors_total", error_type="undecided") == 1


async def test_create_is_not_repeated_when_the_watch_was_lost_meanwhile_and_its_own_object_is_known(
    running_gateway, wired_cluster, alert
):
    arrived, release = wired_cluster.wire.hold("POST")
    wired_cluster.wire.lose_answer("POST")

    sending = asyncio.create_task(running_gateway.post(alert()))
    await arrived.wait()
    running_gateway.gateway._pipeline.requests.index.mark_failed(ApiUnavailable("reset"))
    release.set()
    response = await sending

    assert response.status_code == 201
    assert len(wired_cluster.calls("create")) == 1
    types = [event.event_type for event in running_gateway.events()]
    assert types == ["gateway.crd.failed", "gateway.signal.received", "gateway.crd.created"]

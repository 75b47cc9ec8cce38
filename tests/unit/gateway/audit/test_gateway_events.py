import hashlib
from datetime import UTC, datetime

import orjson
import pytest

from signal_gateway.audit.errors import AuditStoreClosed, AuditStoreFull
from signal_gateway.audit.event import AuditEvent, encoded_event_data
from signal_gateway.gateway.audit.events import created_events, signal_resolved
from signal_gateway.gateway.signals.signal import Signal, Target

pytestmark = pytest.mark.asyncio

FINGERPRINT = "91fce8d5c4949766458bd4bd58859a4fb2e8470ef64ef438c22903744799a9b1"

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def firing(target, *, namespace):
    return Signal(
        name="HighLatency",
        severity="critical",
        status="firing",
        source="prometheus",
        target=target,
        namespace=namespace,
        labels={},
        annotations={},
        fired_at=NOW,
        received_at=NOW,
        payload={},
    )


async def test_creation_is_recorded_as_received_then_created(running_gateway, alert):
    sent = alert("HighLatency", namespace="prod", deployment="payment-api", severity="critical")

    body = (await running_gateway.post(sent)).json()

    name, uid = body["remediationRequestName"], body["remediationRequestUid"]
    received, created = running_gateway.events()
    assert (received.event_type, created.event_type) == ("gateway.signal.received", "gateway.crd.created")
    for event in (received, created):
        assert (event.resource_type, event.resource_id) == ("Deployment", "prod/payment-api")
        assert (event.event_category, event.event_outcome, event.correlation_id) == ("gateway", "success", name)
        assert (event.actor_type, event.actor_id) == ("external", "prometheus")
        assert (event.namespace, event.severity) == ("prod", "critical")
        assert event.event_data == {
            "event_type": event.event_type,
            "signal_type": "alert",
            "signal_name": "HighLatency",
            "namespace": "prod",
            "fingerprint": FINGERPRINT,
            "severity": "critical",
            "resource_kind": "Deployment",
            "resource_name": "payment-api",
            "remediation_request": f"kubernaut-system/{name}",
            "remediation_request_uid": uid,
            "deduplication_status": "new",
            "occurrence_count": 1,
            "signal_labels": sent["labels"],
            "signal_annotations": sent["annotations"],
            "original_payload": sent,
        } | ({"restoration": created.event_data["restoration"]} if event is created else {})
    assert created.event_data["restoration"].keys() == {
        "api_version", "target_namespace", "namespace", "source", "fired_at", "received_at", "created_at", "request",
    }  # fmt: skip
    assert received.event_timestamp <= created.event_timestamp


async def test_alert_without_object_has_an_empty_namespace(running_gateway, alert):
    await running_gateway.post(alert("NoTarget", job="x"))

    [event] = running_gateway.events("gateway.signal.rejected")
    assert event.event_data["namespace"] == ""


async def test_members_that_the_original_requires_are_always_there(running_gateway, alert):
    await running_gateway.post(alert("NoTarget", job="x"))
    await running_gateway.post(alert("Gone", status="resolved", job="x"))
    await running_gateway.post({"labels": {"job": "x"}})

    events = running_gateway.events()
    data = [event.event_data for event in events]
    assert [(one["signal_type"], one["namespace"], one["fingerprint"]) for one in data] == [("alert", "", "")] * 3
    assert [one["signal_name"] for one in data] == ["NoTarget", "Gone", ""]


async def test_object_of_the_cluster_has_an_empty_namespace():
    signal = firing(Target("Node", "worker-1", None, "v1"), namespace=None)

    drafts = created_events(
        signal, signal_type="alert", name="rr-1", namespace="kubernaut-system", at=NOW, idempotency_key="k"
    )

    assert [event.event_data["namespace"] for event in drafts] == ["", ""]
    for event in drafts:
        assert (event.resource_type, event.resource_id, event.namespace) == ("Node", "worker-1", None)


async def test_namespace_is_that_of_the_workload_and_not_that_of_the_labels():
    node = firing(Target("Node", "worker-1", None, "v1"), namespace="monitoring")
    deployment = firing(Target("Deployment", "api", "prod", "apps/v1"), namespace="monitoring")

    found = [signal_resolved(signal, signal_type="alert", active_name=None, idempotency_key="k", at=NOW)
             for signal in (node, deployment)]  # fmt: skip

    assert [(event.namespace, event.event_data["namespace"]) for event in found] == [(None, ""), ("prod", "prod")]


async def test_longest_names_are_cut_in_the_envelope_and_whole_in_the_data():
    signal = firing(Target("Deployment", "n" * 253, "s" * 63, "apps/v1"), namespace="s" * 63)

    event = signal_resolved(signal, signal_type="alert", active_name=None, idempotency_key="k", at=NOW)

    assert event.resource_id == f"{'s' * 63}/{'n' * 191}"
    assert (event.event_data["resource_name"], event.event_data["namespace"]) == ("n" * 253, "s" * 63)


async def test_events_of_a_creation_are_what_the_wire_takes(running_gateway, alert):
    await running_gateway.post(alert())

    for event in running_gateway.events():
        assert AuditEvent.from_wire(orjson.loads(event.to_wire())) == event


async def test_duplicate_is_recorded_with_its_count(running_gateway, alert):
    name = (await running_gateway.post(alert())).json()["remediationRequestName"]

    await running_gateway.post(alert())

    [event] = running_gateway.events("gateway.signal.deduplicated")
    assert (event.correlation_id, event.resource_type, event.resource_id) == (name, "Deployment", "prod/payment-api")
    assert (event.event_data["signal_name"], event.event_data["fingerprint"]) == ("PodCrashLooping", FINGERPRINT)
    assert event.event_data["deduplication_status"] == "duplicate"
    assert event.event_data["occurrence_count"] == 2


async def test_resolved_alert_is_correlated_with_what_handles_the_problem(running_gateway, alert):
    await running_gateway.post(alert(status="resolved"))
    name = (await running_gateway.post(alert())).json()["remediationRequestName"]
    await running_gateway.post(alert(status="resolved"))
    response = await running_gateway.post(alert("Gone", status="resolved", job="x"))

    before, during, without_target = running_gateway.events("gateway.signal.resolved")
    assert before.correlation_id == FINGERPRINT
    assert during.correlation_id == name
    assert without_target.correlation_id == f"{response.headers['x-request-id']}/0"
    assert (during.resource_type, during.resource_id) == ("Deployment", "prod/payment-api")
    assert (without_target.resource_type, without_target.resource_id) == ("Signal", "Gone")


async def test_alert_about_no_object_is_recorded_as_rejected_with_its_labels(running_gateway, alert):
    response = await running_gateway.post(alert("NoTarget", job="x", severity="s" * 50))

    [event] = running_gateway.events()
    assert response.status_code == 200
    assert (event.event_type, event.event_outcome) == ("gateway.signal.rejected", "failure")
    assert event.event_data["outcome"] == "rejected"
    assert event.event_data["signal_labels"] == {"alertname": "NoTarget", "job": "x", "severity": "s" * 50}
    assert event.correlation_id == f"{response.headers['x-request-id']}/0"
    assert event.severity == "s" * 20
    assert event.event_data["severity"] == "s" * 50
    assert (event.resource_type, event.resource_id) == ("Signal", "NoTarget")
    assert event.event_data["error_details"]["code"] == event.error_code == "no_target"
    assert event.event_data["error_details"]["message"] == event.error_message
    assert AuditEvent.from_wire(orjson.loads(event.to_wire())) == event


async def test_alert_out_of_scope_is_recorded_as_rejected(run_gateway, alert):
    gateway = await run_gateway(processing={"scope": {"enabled": True}})
    sent = alert()

    await gateway.post(sent)

    [event] = gateway.events()
    assert (event.event_type, event.event_outcome) == ("gateway.signal.rejected", "failure")
    assert (event.event_data["outcome"], event.error_code) == ("rejected", "not_managed")
    assert event.event_data["signal_labels"] == sent["labels"]
    assert (event.correlation_id, event.event_data["fingerprint"]) == (FINGERPRINT, FINGERPRINT)
    assert (event.resource_type, event.resource_id, event.namespace) == ("Deployment", "prod/payment-api", "prod")


async def test_normal_event_is_recorded_as_rejected_with_its_labels(running_gateway):
    involved = {"kind": "Pod", "name": "api-0", "namespace": "prod"}
    event = {"kind": "Event", "type": "Normal", "reason": "Pulled", "involvedObject": involved}

    await running_gateway.http.post("/api/v1/signals/kubernetes-event", json=event)

    [event] = running_gateway.events("gateway.signal.rejected")
    assert (event.event_outcome, event.event_data["outcome"]) == ("failure", "rejected")
    assert event.event_data["signal_labels"]["name"] == "api-0"
    assert (event.resource_type, event.resource_id, event.namespace) == ("Pod", "prod/api-0", "prod")
    assert event.event_data["namespace"] == "prod"


async def test_labels_that_can_not_be_stored_do_not_keep_the_event_of_an_alert_out(running_gateway, alert):
    await running_gateway.post(alert("Odd", namespace="prod", deployment="api", note="a\0b", **{"k\0": "v"}))

    [event] = running_gateway.events("gateway.signal.rejected")
    assert event.event_data["signal_labels"]["note"] == "a\ufffdb"
    assert event.event_data["signal_labels"]["k\ufffd"] == "v"


async def test_ids_of_the_sender_are_recorded_beside_ours(running_gateway, alert):
    ids = {"X-Request-ID": "am-7", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    running_gateway.http.headers.update(ids)

    created, rejected = await running_gateway.post(alert()), await running_gateway.post(alert("NoTarget", job="x"))

    assert created.headers["x-request-id"] != "am-7"
    assert len({created.headers["x-request-id"], rejected.headers["x-request-id"]}) == 2
    assert {event.event_type for event in running_gateway.events()} == {
        "gateway.signal.received", "gateway.crd.created", "gateway.signal.rejected",
    }  # fmt: skip
    for event in running_gateway.events():
        assert event.event_data["sender_request_id"] == "am-7"
        assert event.event_data["traceparent"] == ids["traceparent"]


async def test_long_payload_is_cut_and_its_hash_kept(running_gateway, alert):
    sent = alert() | {"extra": "x" * 100_000}

    await running_gateway.post(sent)

    data = running_gateway.events("gateway.crd.created")[0].event_data
    whole = orjson.dumps(sent)
    assert data["original_payload"] == {"json": whole[: 64 * 1024].decode()}
    assert data["original_payload_sha256"] == hashlib.sha256(whole).hexdigest()
    assert data["truncated"] is True


async def test_largest_alert_still_fits_into_an_event(running_gateway, alert):
    sent = alert("X", namespace="prod", deployment="payment-api", **{f"l{n}": '"\\\x01' * 100 for n in range(1000)})
    sent["annotations"] = {f"a{n}": '"\\\x01' * 100 for n in range(1000)}

    response = await running_gateway.post(sent)

    assert response.status_code == 201
    assert all(len(encoded_event_data(event.event_data)) <= 256 * 1024 for event in running_gateway.events())


@pytest.mark.parametrize("refusal", [AuditStoreClosed, AuditStoreFull])
async def test_event_that_the_store_does_not_take_is_counted_and_503(running_gateway, alert, refusal, monkeypatch):
    def refuse(_):
        raise refusal("no")

    monkeypatch.setattr(running_gateway.store, "record", refuse)

    response = await running_gateway.post(alert())

    assert response.status_code == 503
    assert "retry-after" in response.headers
    assert running_gateway.metric("gateway_audit_events_total", outcome="refused") == 2

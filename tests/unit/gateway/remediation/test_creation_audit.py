"""The creation of a RemediationRequest is in the audit trail, also when its gateway died or gave up before it knew."""

from uuid import UUID

import pytest

pytestmark = pytest.mark.asyncio

RECEIVED, CREATED = "gateway.signal.received", "gateway.crd.created"
ATTEMPTS = 3


def creations(*gateways):
    return [event for gateway in gateways for event in gateway.events() if event.event_type in (RECEIVED, CREATED)]


def assert_recorded_once(gateway, request):
    received, created = creations(gateway)
    assert [received.event_type, created.event_type] == [RECEIVED, CREATED]
    assert received.event_timestamp <= created.event_timestamp
    for event in (received, created):
        assert event.correlation_id == request["metadata"]["name"]
        assert event.event_data["remediation_request_uid"] == request["metadata"]["uid"]


async def test_create_whose_every_answer_was_lost_is_recorded_when_the_signal_comes_again(
    running_gateway, wired_cluster, alert
):
    wired_cluster.wire.lose_answer("POST", times=ATTEMPTS)
    assert (await running_gateway.post(alert())).status_code == 503
    assert creations(running_gateway) == []

    answers = [await running_gateway.post(alert()) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 202]
    [request] = await wired_cluster.requests()
    assert_recorded_once(running_gateway, request)


async def test_such_a_create_is_recorded_though_the_index_lags(running_gateway, wired_cluster, alert):
    wired_cluster.wire.silence_watches()
    wired_cluster.wire.lose_answer("POST", times=ATTEMPTS)
    assert (await running_gateway.post(alert())).status_code == 503

    assert (await running_gateway.post(alert())).status_code == 202

    [request] = await wired_cluster.requests()
    assert_recorded_once(running_gateway, request)


async def test_such_a_create_is_recorded_when_the_signal_is_resolved(running_gateway, wired_cluster, alert):
    wired_cluster.wire.lose_answer("POST", times=ATTEMPTS)
    assert (await running_gateway.post(alert())).status_code == 503

    assert (await running_gateway.post(alert(status="resolved"))).status_code == 200

    [request] = await wired_cluster.requests()
    assert_recorded_once(running_gateway, request)


async def test_signal_is_resolved_though_its_creation_can_not_be_looked_up(running_gateway, wired_cluster, alert):
    wired_cluster.wire.lose_answer("POST", times=ATTEMPTS)
    await running_gateway.post(alert())
    wired_cluster.api.faults.fail(verb="get", resource="remediationrequests", status=503)

    assert (await running_gateway.post(alert(status="resolved"))).status_code == 200

    assert creations(running_gateway) == []


async def test_creation_that_another_replica_was_first_with_is_not_looked_up_again(run_gateway, wired_cluster, alert):
    first, second = await run_gateway(), await run_gateway()
    wired_cluster.wire.silence_watches()
    answers = [await gateway.post(alert()) for gateway in (first, second)]
    assert [answer.status_code for answer in answers] == [201, 202]
    reads = len(wired_cluster.calls("get"))

    assert (await second.post(alert(status="resolved"))).status_code == 200

    assert len(wired_cluster.calls("get")) == reads == 1
    assert creations(second) == []


async def test_gateway_records_what_one_before_it_may_not_have_recorded_as_the_same_events(
    run_gateway, wired_cluster, alert
):
    before = await run_gateway()
    await before.post(alert())
    after = await run_gateway()

    answers = [await after.post(alert()) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 202]
    [request] = await wired_cluster.requests()
    assert_recorded_once(after, request)
    for original, again in zip(creations(before), creations(after), strict=True):
        assert again.event_id == original.event_id
        assert again.event_data == original.event_data
        assert (again.actor_type, again.actor_id) == (original.actor_type, original.actor_id)


async def test_huge_signal_is_recorded_by_the_next_gateway_as_far_as_the_object_has_it(
    run_gateway, wired_cluster, alert
):
    sent = alert("X", namespace="prod", deployment="payment-api", team='"\\' * 200_000)
    await (await run_gateway()).post(sent)
    after = await run_gateway()

    assert (await after.post(sent)).status_code == 202

    [request] = await wired_cluster.requests()
    assert_recorded_once(after, request)
    assert all(event.event_data["truncated"] for event in creations(after))


async def test_what_no_gateway_created_is_not_recorded_as_if_one_had(
    running_gateway, run_gateway, wired_cluster, alert
):
    await running_gateway.post(alert())
    [made] = await wired_cluster.requests()
    name = made["metadata"]["name"]
    await wired_cluster.delete(name)
    await wired_cluster.create(made | {"metadata": {"name": name, "namespace": made["metadata"]["namespace"]}})
    after = await run_gateway()

    assert (await after.post(alert())).status_code == 202

    assert creations(after) == []


async def test_ids_of_a_creation_are_uuid7_in_its_order(running_gateway, alert):
    await running_gateway.post(alert())

    received, created = creations(running_gateway)
    assert {UUID(event.event_id).version for event in (received, created)} == {7}
    assert received.event_id < created.event_id

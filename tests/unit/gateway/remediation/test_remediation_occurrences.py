import asyncio

import pytest

pytestmark = pytest.mark.asyncio


async def created(gateway, alert):
    response = await gateway.post(alert())
    assert response.status_code == 201
    return response.json()["remediationRequestName"]


async def count(cluster, name):
    return (await cluster.get(name))["status"]["deduplication"]["occurrenceCount"]


async def test_storm_of_duplicates_shares_its_writes_and_counts_each(gateway, cluster, alert, duplicates):
    name = await created(gateway, alert)
    arrived, release = cluster.wire.hold("PATCH")
    storm = [asyncio.create_task(gateway.post(alert()))]
    await arrived.wait()
    storm += [asyncio.create_task(gateway.post(alert())) for _ in range(30)]
    await duplicates.have_come(31)
    release.set()

    responses = await asyncio.gather(*storm)

    assert {response.status_code for response in responses} == {202}
    assert sorted(response.json()["metadata"]["count"] for response in responses) == list(range(2, 33))
    assert await count(cluster, name) == 32
    assert len(cluster.calls("patch")) == 2


async def test_duplicate_of_one_that_ended_meanwhile_is_found_out(gateway, cluster, alert):
    first = await created(gateway, alert)
    cluster.wire.silence_watches()
    await cluster.set_status(first, overallPhase="Completed")

    response = await gateway.post(alert())

    assert response.status_code == 201
    assert response.json()["remediationRequestName"] != first
    assert gateway.events("gateway.signal.deduplicated") == []


async def test_duplicate_of_one_that_was_deleted_meanwhile_is_found_out(gateway, cluster, alert):
    first = await created(gateway, alert)
    uid = (await cluster.get(first))["metadata"]["uid"]
    cluster.wire.silence_watches()
    await cluster.delete(first)

    response = await gateway.post(alert())

    assert response.status_code == 201
    assert response.json()["remediationRequestUid"] != uid


async def test_change_by_a_controller_does_not_stop_the_count(gateway, cluster, alert):
    name = await created(gateway, alert)
    cluster.wire.silence_watches()
    await cluster.set_status(name, overallPhase="Executing")

    response = await gateway.post(alert())

    assert response.status_code == 202
    assert await count(cluster, name) == 2
    assert (await cluster.get(name))["status"]["overallPhase"] == "Executing"


async def test_count_whose_answer_was_lost_is_not_counted_twice(gateway, cluster, alert):
    name = await created(gateway, alert)
    cluster.wire.lose_answer("PATCH")

    response = await gateway.post(alert())

    assert response.status_code == 202
    assert response.json()["metadata"]["count"] == 2
    assert await count(cluster, name) == 2


async def test_count_that_nobody_can_tell_is_the_senders_to_repeat(run_gateway, cluster, alert):
    gateway = await run_gateway(processing={"retry": {"max_attempts": 1}})
    name = await created(gateway, alert)
    cluster.wire.lose_answer("PATCH")

    response = await gateway.post(alert())

    assert response.status_code == 503
    assert gateway.events("gateway.signal.deduplicated") == []
    assert (await gateway.post(alert())).status_code == 202
    assert await count(cluster, name) == 3


async def test_failed_count_is_tried_again(gateway, cluster, alert):
    name = await created(gateway, alert)
    cluster.api.faults.fail(verb="patch", resource="remediationrequests/status", status=500, times=2)

    response = await gateway.post(alert())

    assert response.status_code == 202
    assert await count(cluster, name) == 2


@pytest.mark.parametrize(("fault", "status"), [(503, 503), (403, 503), (422, 500)])
async def test_duplicate_that_cannot_be_counted_is_not_answered_202(gateway, cluster, alert, fault, status):
    await created(gateway, alert)
    cluster.api.faults.fail(verb="patch", resource="remediationrequests/status", status=fault)

    assert (await gateway.post(alert())).status_code == status


async def test_replicas_count_every_duplicate_once(run_gateway, cluster, alert):
    replicas = [await run_gateway() for _ in range(2)]
    name = await created(replicas[0], alert)

    for _ in range(3):
        responses = await asyncio.gather(*(replica.post(alert()) for replica in replicas for _ in range(10)))
        assert {response.status_code for response in responses} == {202}

    assert await count(cluster, name) == 61


async def test_manual_review_is_counted_on_the_ended_one(gateway, cluster, alert):
    name = await created(gateway, alert)
    await cluster.set_status(name, overallPhase="Failed", completionStatus={"outcome": "ManualReviewRequired"})

    response = await gateway.post(alert())

    assert response.status_code == 202
    assert await count(cluster, name) == 2


async def test_duplicate_costs_one_patch(gateway, cluster, alert):
    await created(gateway, alert)
    cluster.api.log.clear()

    await gateway.post(alert())

    assert [(entry.verb, entry.resource) for entry in cluster.api.log] == [("patch", "remediationrequests/status")]

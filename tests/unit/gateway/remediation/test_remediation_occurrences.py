import asyncio
import itertools

import pytest

pytestmark = pytest.mark.asyncio


async def created(gateway, alert):
    response = await gateway.post(alert())
    assert response.status_code == 201
    return response.json()["remediationRequestName"]


async def count(cluster, name):
    return (await cluster.get(name))["status"]["deduplication"]["occurrenceCount"]


async def test_storm_of_duplicates_shares_its_writes_and_counts_each(running_gateway, wired_cluster, alert, duplicates):
    name = await created(running_gateway, alert)
    arrived, release = wired_cluster.wire.hold("PATCH")
    storm = [asyncio.create_task(running_gateway.post(alert()))]
    await arrived.wait()
    storm += [asyncio.create_task(running_gateway.post(alert())) for _ in range(30)]
    await duplicates.have_come(31)
    release.set()

    responses = await asyncio.gather(*storm)

    assert {response.status_code for response in responses} == {202}
    assert sorted(response.json()["metadata"]["count"] for response in responses) == list(range(2, 33))
    assert await count(wired_cluster, name) == 32
    assert len(wired_cluster.calls("patch")) == 2


async def test_duplicate_of_one_that_ended_meanwhile_is_found_out(running_gateway, wired_cluster, alert):
    first = await created(running_gateway, alert)
    wired_cluster.wire.silence_watches()
    await wired_cluster.set_status(first, overallPhase="Completed")

    response = await running_gateway.post(alert())

    assert response.status_code == 201
    assert response.json()["remediationRequestName"] != first
    assert running_gateway.events("gateway.signal.deduplicated") == []


async def test_duplicate_of_one_that_was_deleted_meanwhile_is_found_out(running_gateway, wired_cluster, alert):
    first = await created(running_gateway, alert)
    uid = (await wired_cluster.get(first))["metadata"]["uid"]
    wired_cluster.wire.silence_watches()
    await wired_cluster.delete(first)

    response = await running_gateway.post(alert())

    assert response.status_code == 201
    assert response.json()["remediationRequestUid"] != uid


async def test_change_by_a_controller_does_not_stop_the_count(running_gateway, wired_cluster, alert):
    name = await created(running_gateway, alert)
    wired_cluster.wire.silence_watches()
    await wired_cluster.set_status(name, overallPhase="Executing")

    response = await running_gateway.post(alert())

    assert response.status_code == 202
    assert await count(wired_cluster, name) == 2
    assert (await wired_cluster.get(name))["status"]["overallPhase"] == "Executing"


async def test_count_whose_answer_was_lost_is_not_counted_twice(running_gateway, wired_cluster, alert):
    name = await created(running_gateway, alert)
    wired_cluster.wire.lose_answer("PATCH")

    response = await running_gateway.post(alert())

    assert response.status_code == 202
    assert response.json()["metadata"]["count"] == 2
    assert await count(wired_cluster, name) == 2


async def test_count_that_nobody_can_tell_is_the_senders_to_repeat(run_gateway, wired_cluster, alert):
    gateway = await run_gateway(processing={"retry": {"max_attempts": 1}})
    name = await created(gateway, alert)
    wired_cluster.wire.lose_answer("PATCH")

    response = await gateway.post(alert())

    assert response.status_code == 503
    assert gateway.events("gateway.signal.deduplicated") == []
    assert (await gateway.post(alert())).status_code == 202
    assert await count(wired_cluster, name) == 3


async def test_failed_count_is_tried_again(running_gateway, wired_cluster, alert):
    name = await created(running_gateway, alert)
    wired_cluster.api.faults.fail(verb="patch", resource="remediationrequests/status", status=500, times=2)

    response = await running_gateway.post(alert())

    assert response.status_code == 202
    assert await count(wired_cluster, name) == 2


@pytest.mark.parametrize(("fault", "status"), [(503, 503), (403, 503), (422, 500)])
async def test_duplicate_that_cannot_be_counted_is_not_answered_202(
    running_gateway, wired_cluster, alert, fault, status
):
    await created(running_gateway, alert)
    wired_cluster.api.faults.fail(verb="patch", resource="remediationrequests/status", status=fault)

    assert (await running_gateway.post(alert())).status_code == status


async def test_replicas_count_every_duplicate_once(run_gateway, wired_cluster, alert):
    replicas = [await run_gateway() for _ in range(2)]
    name = await created(replicas[0], alert)

    for _ in range(3):
        responses = await asyncio.gather(*(replica.post(alert()) for replica in replicas for _ in range(10)))
        assert {response.status_code for response in responses} == {202}

    assert await count(wired_cluster, name) == 61


async def test_count_is_repeated_for_as_long_as_others_change_the_object(running_gateway, wired_cluster, alert):
    name = await created(running_gateway, alert)
    changes = iter(range(2, 22))

    async def change():
        number = next(changes, None)
        if number is not None:
            await wired_cluster.count_as_another_replica(name, number)

    wired_cluster.wire.before("PATCH", change)

    response = await running_gateway.post(alert())

    assert response.status_code == 202
    assert response.json()["metadata"]["count"] == 22
    assert await count(wired_cluster, name) == 22


async def test_count_is_given_up_at_the_deadline(run_gateway, wired_cluster, alert):
    gateway = await run_gateway(processing={"request_deadline": 1.0})
    name = await created(gateway, alert)
    changes = itertools.count(2)
    wired_cluster.wire.before("PATCH", lambda: wired_cluster.count_as_another_replica(name, next(changes)))

    response = await gateway.post(alert())
    await gateway.gateway.settle()
    patches = len(wired_cluster.calls("patch"))

    assert response.status_code in (503, 504)
    assert await count(wired_cluster, name) == next(changes) - 1
    assert patches > 8
    assert len(wired_cluster.calls("patch")) == patches


async def test_count_that_waits_for_another_attempt_finds_out_that_the_object_ended(
    running_gateway, wired_cluster, alert
):
    first = await created(running_gateway, alert)
    changes = iter(range(2, 12))

    async def change():
        number = next(changes, None)
        if number is not None:
            await wired_cluster.count_as_another_replica(first, number)
        else:
            wired_cluster.wire.before("PATCH", None)
            await wired_cluster.set_status(first, overallPhase="Completed")

    wired_cluster.wire.before("PATCH", change)

    response = await running_gateway.post(alert())

    assert response.status_code == 201
    assert response.json()["remediationRequestName"] != first
    assert await count(wired_cluster, first) == 11


@pytest.mark.slow
async def test_hundreds_of_duplicates_over_four_replicas_are_all_counted(run_gateway, wired_cluster, alert):
    replicas = [await run_gateway(processing={"request_deadline": 60.0}) for _ in range(4)]
    for replica in replicas:
        replica.http.timeout = 60  # of 300 requests of one loop, on a machine that is busy
    name = await created(replicas[0], alert)

    responses = await asyncio.gather(*(replica.post(alert()) for _ in range(75) for replica in replicas))

    assert {response.status_code for response in responses} == {202}
    assert sorted(response.json()["metadata"]["count"] for response in responses) == list(range(2, 302))
    assert await count(wired_cluster, name) == 301


async def test_manual_review_is_counted_on_the_ended_one(running_gateway, wired_cluster, alert):
    name = await created(running_gateway, alert)
    await wired_cluster.set_status(name, overallPhase="Failed", completionStatus={"outcome": "ManualReviewRequired"})

    response = await running_gateway.post(alert())

    assert response.status_code == 202
    assert await count(wired_cluster, name) == 2


async def test_duplicate_costs_one_patch(running_gateway, wired_cluster, alert):
    await created(running_gateway, alert)
    wired_cluster.api.log.clear()

    await running_gateway.post(alert())

    assert [(entry.verb, entry.resource) for entry in wired_cluster.api.log] == [
        ("patch", "remediationrequests/status")
    ]

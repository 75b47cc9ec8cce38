"""A retry of a notification: it takes over the work of the failed request, and nothing is counted twice."""

import asyncio

import pytest

from signal_gateway.gateway.remediation.deduplication import Notifications
from signal_gateway.gateway.remediation.outcome import Outcome

pytestmark = pytest.mark.asyncio

GROUP = {"groupKey": '{}:{alertname="X"}', "receiver": "gateway"}
SLOW = {"processing": {"request_deadline": 0.5}}


def counts(requests):
    return [request.get("status", {}).get("deduplication", {}).get("occurrenceCount", 1) for request in requests]


async def test_retry_takes_over_what_was_created(run_gateway, wired_cluster, alert):
    gateway = await run_gateway(**SLOW)
    alerts = [alert(namespace="prod", deployment=name) for name in "abc"]
    _, release = wired_cluster.wire.hold("POST")
    assert (await gateway.post(*alerts, **GROUP)).status_code == 504
    release.set()
    await gateway.gateway.settle()

    response = await gateway.post(*alerts, **GROUP)

    assert response.status_code == 207
    assert [result["status"] for result in response.json()["results"]] == ["created"] * 3
    assert counts(await wired_cluster.requests()) == [1, 1, 1]
    assert len(wired_cluster.calls("create")) == 3
    assert wired_cluster.calls("patch") == []
    assert len(gateway.events("gateway.crd.created")) == 3


async def test_retry_joins_what_is_still_being_done(run_gateway, wired_cluster, alert):
    gateway = await run_gateway(**SLOW)
    _, release = wired_cluster.wire.hold("POST")
    first = await gateway.post(alert(), **GROUP)
    second = await gateway.post(alert(), **GROUP)

    retry = asyncio.create_task(gateway.post(alert(), **GROUP))
    release.set()

    assert (first.status_code, second.status_code) == (504, 504)
    assert (await retry).status_code == 201
    assert len(wired_cluster.calls("create")) == 1
    assert counts(await wired_cluster.requests()) == [1]


async def test_retry_does_not_count_duplicates_again(run_gateway, wired_cluster, alert):
    gateway = await run_gateway(**SLOW)
    await gateway.post(alert("First"))
    alerts = [alert(f"A{number}") for number in range(20)]
    _, release = wired_cluster.wire.hold("PATCH")
    assert (await gateway.post(*alerts, **GROUP)).status_code == 504
    release.set()
    await gateway.gateway.settle()

    response = await gateway.post(*alerts, **GROUP)

    assert [result["status"] for result in response.json()["results"]] == ["duplicate"] * 20
    assert counts(await wired_cluster.requests()) == [21]
    assert gateway.metric("gateway_signals_deduplicated_total", source_type="prometheus") == 20


async def test_retry_after_503_decides_only_what_failed(running_gateway, wired_cluster, alert):
    alerts = [alert(namespace="prod", deployment=name) for name in "abc"]
    await running_gateway.post(alerts[0])
    wired_cluster.wire.lose_answer("POST", times=3)
    first = await running_gateway.post(*alerts[:2], **GROUP)
    assert first.status_code == 503

    response = await running_gateway.post(*alerts, **GROUP)

    assert response.status_code == 207
    a, _, c = response.json()["results"]
    assert (a["message"][:13], c["status"]) == ("Occurrence 2:", "created")
    assert sorted(counts(await wired_cluster.requests()))[0] == 1
    assert max(counts(await wired_cluster.requests())) == 2


async def test_retry_after_the_sender_closed_the_connection_joins_the_work(running_gateway, wired_cluster, alert):
    arrived, release = wired_cluster.wire.hold("POST")
    first = asyncio.create_task(running_gateway.post(alert(), **GROUP))
    await arrived.wait()
    first.cancel()
    await asyncio.wait([first])

    retry = asyncio.create_task(running_gateway.post(alert(), **GROUP))
    another = await running_gateway.post(alert(status="resolved"))
    release.set()

    assert another.status_code == 200
    assert (await retry).status_code == 201
    assert len(wired_cluster.calls("create")) == 1
    assert counts(await wired_cluster.requests()) == [1]


async def test_notification_that_is_answered_is_forgotten(run_gateway, wired_cluster, alert):
    gateway = await run_gateway(**SLOW)
    _, release = wired_cluster.wire.hold("POST")
    await gateway.post(alert(), **GROUP)
    release.set()
    await gateway.gateway.settle()

    statuses = [(await gateway.post(alert(), **GROUP)).status_code for _ in range(3)]

    assert statuses == [201, 202, 202]
    assert counts(await wired_cluster.requests()) == [3]


@pytest.mark.parametrize(
    ("change", "members"),
    [
        ({}, GROUP | {"groupKey": "another"}),
        ({}, GROUP | {"receiver": "another"}),
        ({}, {}),
        ({"starts_at": "2026-01-01T00:00:01Z"}, GROUP),
    ],
    ids=["group", "receiver", "no group", "start"],
)
async def test_another_notification_counts(run_gateway, wired_cluster, alert, change, members):
    gateway = await run_gateway(**SLOW)
    _, release = wired_cluster.wire.hold("POST")
    await gateway.post(alert(), **GROUP)
    release.set()
    await gateway.gateway.settle()

    response = await gateway.post(alert(**change), **members)

    assert response.status_code == 202
    assert counts(await wired_cluster.requests()) == [2]


async def test_requests_in_flight_at_once_are_two_notifications(running_gateway, wired_cluster, alert):
    arrived, release = wired_cluster.wire.hold("POST")
    first = asyncio.create_task(running_gateway.post(alert(), **GROUP))
    await arrived.wait()
    second = asyncio.create_task(running_gateway.post(alert(), **GROUP))
    await running_gateway.post(alert(status="resolved"))
    release.set()

    assert sorted([(await first).status_code, (await second).status_code]) == [201, 202]
    assert counts(await wired_cluster.requests()) == [2]


async def test_equal_alerts_of_one_request_are_counted_each_and_retried_each(run_gateway, wired_cluster, alert):
    gateway = await run_gateway(**SLOW)
    await gateway.post(alert())
    _, release = wired_cluster.wire.hold("PATCH")
    await gateway.post(*[alert()] * 5, **GROUP)
    release.set()
    await gateway.gateway.settle()

    response = await gateway.post(*[alert()] * 6, **GROUP)

    assert response.json()["summary"]["deduplicated"] == 6
    assert counts(await wired_cluster.requests()) == [7]


async def test_left_out_alerts_are_counted_and_in_the_response(running_gateway, alert, caplog):
    one = await running_gateway.post(alert(), truncatedAlerts=3, **GROUP)
    several = await running_gateway.post(alert(), alert(), truncatedAlerts=4, **GROUP)
    none = await running_gateway.post(alert(), truncatedAlerts=0, **GROUP)

    assert (one.json()["truncatedAlerts"], several.json()["truncatedAlerts"]) == (3, 4)
    assert "truncatedAlerts" not in none.json()
    assert running_gateway.metric("gateway_alerts_truncated_total", source_type="prometheus") == 7
    assert "left out 4 alerts" in caplog.text


@pytest.mark.slow
async def test_hundreds_of_alerts_are_all_decided_by_retries_and_counted_once(run_gateway, wired_cluster, alert):
    gateway = await run_gateway(processing={"request_deadline": 2})
    alerts = [alert(f"A{number}", namespace="prod", deployment=f"d-{number % 60}") for number in range(600)]
    _, release = wired_cluster.wire.hold("POST")
    answers = [await post(gateway, alerts), await post(gateway, alerts)]
    release.set()
    await gateway.gateway.settle()

    while answers[-1].status_code != 207 and len(answers) < 20:  # a slow machine needs more than one
        answers.append(await post(gateway, alerts))

    assert {answer.status_code for answer in answers[:-1]} <= {503, 504}
    summary = answers[-1].json()["summary"]
    assert (summary["created"], summary["deduplicated"], summary["failed"]) == (60, 540, 0)
    assert counts(await wired_cluster.requests()) == [10] * 60
    assert len(wired_cluster.calls("create")) == 60


async def post(gateway, alerts):
    payload = {"version": "4", "alerts": alerts, **GROUP}
    return await gateway.http.post("/api/v1/signals/prometheus", json=payload, timeout=60)


async def gone():
    return True


async def present():
    return False


def work(status="created"):
    async def outcome():
        return Outcome(status=status, message="", fingerprint=None)

    return asyncio.create_task(outcome())


async def failed(notifications, group, *signals, status="created"):
    notification = await notifications.begin(group, is_sender_gone=present)
    for signal in signals:
        key, _ = notification.take_over(signal)
        notification.begun.append((key, work(status)))
    await asyncio.gather(*(task for _, task in notification.begun))
    notifications.end(notification, has_failed=True)


async def test_signals_are_kept_for_five_minutes(clock):
    notifications = Notifications(clock=clock)
    await failed(notifications, "a", "1")
    clock.advance(299)
    await failed(notifications, "b", "1")

    clock.advance(2)
    await failed(notifications, "c", "1")

    assert len(notifications) == 2
    assert (await notifications.begin("a", is_sender_gone=present)).earlier == {}
    assert len((await notifications.begin("b", is_sender_gone=present)).earlier) == 1


async def test_oldest_group_is_dropped_above_the_limit(clock):
    notifications = Notifications(clock=clock)
    for group in "abc":
        await failed(notifications, group, *map(str, range(9000)))

    again = await notifications.begin("a", is_sender_gone=present)

    assert len(notifications) == 18_000
    assert again.earlier == {}


async def test_signals_that_failed_are_not_kept(clock):
    notifications = Notifications(clock=clock)

    await failed(notifications, "a", "1", "2", status="failed")

    assert len(notifications) == 0


async def test_signals_that_the_next_request_lacks_are_kept_for_the_one_after(clock):
    notifications = Notifications(clock=clock)
    await failed(notifications, "a", "1", "2")
    second = await notifications.begin("a", is_sender_gone=present)
    assert second.take_over("1")[1] is not None
    notifications.end(second, has_failed=False)

    third = await notifications.begin("a", is_sender_gone=present)

    assert third.take_over("1")[1] is None
    assert third.take_over("2")[1] is not None


async def test_request_whose_sender_is_gone_begins_no_further_work(clock):
    notifications = Notifications(clock=clock)
    first = await notifications.begin("a", is_sender_gone=gone)

    await notifications.begin("a", is_sender_gone=present)

    assert first.is_given_up

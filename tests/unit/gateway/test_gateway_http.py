import asyncio
import json

import httpx
import pytest

from signal_gateway.gateway.metrics import GatewayMetrics

pytestmark = pytest.mark.asyncio

PATH = "/api/v1/signals/prometheus"


def assert_is_problem(response, status):
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["request_id"] == response.headers["x-request-id"]
    assert set(body) >= {"type", "title", "status", "detail", "instance", "request_id"}
    assert response.headers["x-content-type-options"] == "nosniff"
    return body


async def test_new_problem_is_created(running_gateway, wired_cluster, alert):
    response = await running_gateway.post(alert())

    assert response.status_code == 201
    [created] = await wired_cluster.requests()
    assert response.json() == {
        "status": "created",
        "message": f"RemediationRequest kubernaut-system/{created['metadata']['name']} was created.",
        "fingerprint": "91fce8d5c4949766458bd4bd58859a4fb2e8470ef64ef438c22903744799a9b1",
        "duplicate": False,
        "remediationRequestName": created["metadata"]["name"],
        "remediationRequestNamespace": "kubernaut-system",
        "remediationRequestUid": created["metadata"]["uid"],
    }


async def test_repeat_is_a_duplicate(running_gateway, wired_cluster, alert):
    name = (await running_gateway.post(alert())).json()["remediationRequestName"]

    response = await running_gateway.post(alert("AnotherAlertOfTheSameWorkload"))

    assert response.status_code == 202
    body = response.json()
    deduplication = (await wired_cluster.get(name))["status"]["deduplication"]
    assert (body["status"], body["duplicate"], body["remediationRequestName"]) == ("duplicate", True, name)
    assert body["metadata"] == {
        "count": 2,
        "firstOccurrence": deduplication["firstSeenAt"],
        "lastOccurrence": deduplication["lastSeenAt"],
        "remediationRequestRef": f"kubernaut-system/{name}",
    }
    assert deduplication["occurrenceCount"] == 2


async def test_resolved_alert_creates_nothing(running_gateway, wired_cluster, alert):
    response = await running_gateway.post(alert(status="resolved"))

    assert response.status_code == 200
    assert response.json()["status"] == "resolved"
    assert await wired_cluster.requests() == []


async def test_batch_is_answered_in_payload_order_with_none_missing(running_gateway, alert):
    response = await running_gateway.post(
        alert("A", namespace="a", pod="p"),
        alert("NoTarget", job="x"),
        alert("B", namespace="b", pod="p"),
        alert("A again", namespace="a", pod="p"),
        alert("Gone", status="resolved", namespace="c", pod="p"),
        "no alert at all",
    )

    assert response.status_code == 207
    body = response.json()
    statuses = [result["status"] for result in body["results"]]
    assert statuses == ["created", "rejected", "created", "duplicate", "resolved", "invalid"]
    assert all(set(result) == {"status", "fingerprint", "message", "error"} for result in body["results"])
    assert body["results"][0]["fingerprint"] == body["results"][3]["fingerprint"]
    assert "No label names" in body["results"][1]["message"]
    assert body["summary"] == {
        "total": 6, "created": 2, "deduplicated": 1, "rejected": 2, "resolved": 1, "failed": 0,
    }  # fmt: skip


async def test_first_in_payload_order_is_the_created_one(running_gateway, wired_cluster, alert, duplicates):
    alerts = [alert(f"Alert{n}", namespace="a", pod="p") for n in range(20)]

    _, release = wired_cluster.wire.hold("PATCH")

    batch = asyncio.create_task(running_gateway.post(*alerts))
    await duplicates.have_come(19)
    release.set()
    body = (await batch).json()

    assert [result["status"] for result in body["results"]] == ["created"] + ["duplicate"] * 19
    [created] = await wired_cluster.requests()
    assert created["spec"]["signalName"] == "Alert0"
    assert created["status"]["deduplication"]["occurrenceCount"] == 20
    assert len(wired_cluster.calls("create")) == 1
    assert len(wired_cluster.calls("patch")) <= 2


async def test_batch_with_one_transient_failure_is_503_with_the_same_body(running_gateway, wired_cluster, alert):
    wired_cluster.api.faults.fail(verb="create", resource="remediationrequests", status=503, times=3, retry_after=0)

    response = await running_gateway.post(alert("A", namespace="a", pod="p"), alert("B", status="resolved"))

    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1
    assert [result["status"] for result in response.json()["results"]] == ["failed", "resolved"]
    assert response.json()["summary"]["failed"] == 1


async def test_batch_refused_for_good_is_decided(running_gateway, wired_cluster, alert):
    wired_cluster.api.faults.fail(verb="create", resource="remediationrequests", status=422)

    response = await running_gateway.post(alert("A", namespace="a", pod="p"), alert("B", status="resolved"))

    assert response.status_code == 207
    assert [result["status"] for result in response.json()["results"]] == ["failed", "resolved"]


@pytest.mark.parametrize(("fault", "status"), [(400, 500), (422, 500), (403, 503), (404, 503), (500, 503), (429, 503)])
async def test_failing_api_is_answered_by_what_the_sender_should_do(
    running_gateway, wired_cluster, alert, fault, status
):
    wired_cluster.api.faults.fail(verb="create", resource="remediationrequests", status=fault)

    response = await running_gateway.post(alert())

    body = assert_is_problem(response, status)
    assert "this request was made to fail" not in json.dumps(body)
    assert ("retry-after" in response.headers) == (status == 503)


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{", {"content-type": "application/json"}, 400),
        (b'{"version": "4", "alerts": []}', {"content-type": "application/json; charset=utf-8"}, 400),
        (b'{"version": "4", "alerts": [{}]}', {"content-type": "application/json"}, 400),
        (b"{}", {"content-type": "text/plain"}, 415),
        (b"{}", {}, 415),
    ],
)
async def test_request_that_is_not_the_sources_is_refused(running_gateway, content, headers, status):
    response = await running_gateway.http.post(PATH, content=content, headers=headers)

    assert_is_problem(response, status)


async def test_unknown_path_and_method_are_problems_too(running_gateway):
    assert_is_problem(await running_gateway.http.get("/nope"), 404)
    assert_is_problem(await running_gateway.http.get("/healthz/"), 404)
    response = await running_gateway.http.get(PATH)

    assert_is_problem(response, 405)
    assert response.headers["allow"] == "POST"


async def test_body_over_the_limit_is_refused_announced_or_not(run_gateway, alert):
    gateway = await run_gateway(processing={"max_body_bytes": 1000})
    large = json.dumps({"version": "4", "alerts": [alert()] * 10}).encode()

    async def stream():
        yield large

    headers = {"content-type": "application/json"}
    assert_is_problem(await gateway.http.post(PATH, content=large, headers=headers), 413)
    assert_is_problem(await gateway.http.post(PATH, content=stream(), headers=headers), 413)
    assert (await gateway.post(alert())).status_code == 201


async def test_requests_beyond_the_limit_are_503_and_health_is_not_counted(run_gateway, wired_cluster, alert):
    gateway = await run_gateway(processing={"max_concurrent_requests": 1})
    arrived, release = wired_cluster.wire.hold("POST")
    first = asyncio.create_task(gateway.post(alert()))
    await arrived.wait()

    refused, healthy = await gateway.post(alert()), await gateway.http.get("/healthz")

    release.set()
    assert_is_problem(refused, 503)
    assert refused.headers["retry-after"] == "1"
    assert healthy.status_code == 200
    assert (await first).status_code == 201


def large_body(alert):
    """Return a body of nearly 4 MiB with a text that takes more memory than its bytes, until its alert is decided."""
    alert["annotations"]["long"] = "\N{SNOWMAN}" * (1024 * 1024 + 300_000)
    return json.dumps({"version": "4", "alerts": [alert]}, ensure_ascii=False).encode()


async def test_bodies_that_take_too_much_memory_together_are_503_and_small_ones_are_handled(
    running_gateway, wired_cluster, alert
):
    headers = {"content-type": "application/json"}
    large = large_body(alert())
    arrived, release = wired_cluster.wire.hold("POST")
    first = asyncio.create_task(running_gateway.http.post(PATH, content=large, headers=headers))
    await arrived.wait()

    refused, small = (
        await running_gateway.http.post(PATH, content=large, headers=headers),
        await running_gateway.post({}),
    )

    release.set()
    assert_is_problem(refused, 503)
    assert refused.headers["retry-after"] == "1"
    assert_is_problem(small, 400)
    assert (await first).status_code == 201
    assert (await running_gateway.http.post(PATH, content=large, headers=headers)).status_code == 202


async def test_memory_of_a_request_is_given_back_when_its_work_ends_not_its_answer(run_gateway, wired_cluster, alert):
    gateway = await run_gateway(processing={"request_deadline": 0.5})
    headers = {"content-type": "application/json"}
    large = large_body(alert())
    _, release = wired_cluster.wire.hold("POST")
    assert_is_problem(await gateway.http.post(PATH, content=large, headers=headers), 504)

    refused = await gateway.http.post(PATH, content=large, headers=headers)

    release.set()
    assert_is_problem(refused, 503)
    await gateway.gateway.settle()
    assert (await gateway.http.post(PATH, content=large, headers=headers)).status_code == 202


async def test_deadline_is_504_and_what_was_begun_is_finished_and_recorded(run_gateway, wired_cluster, alert):
    gateway = await run_gateway(processing={"request_deadline": 0.05})
    arrived, release = wired_cluster.wire.hold("POST")

    response = await gateway.post(alert())

    assert arrived.is_set()
    assert_is_problem(response, 504)
    release.set()
    await gateway.gateway.settle()
    [created] = await wired_cluster.requests()
    assert [event.correlation_id for event in gateway.events()] == [created["metadata"]["name"]] * 2


async def test_bug_is_500_with_nothing_of_the_exception(run_gateway, alert, monkeypatch):
    gateway = await run_gateway()

    def break_down(*_, **__):
        raise RuntimeError("a password")

    monkeypatch.setattr(GatewayMetrics, "count_received", break_down)

    body = assert_is_problem(await gateway.post(alert()), 500)

    assert "password" not in json.dumps(body)


async def test_request_id_is_always_ours(running_gateway):
    response = await running_gateway.http.get("/healthz", headers={"X-Request-ID": "mine"})

    assert response.headers["x-request-id"] != "mine"


async def test_store_that_takes_no_events_stops_the_creation_before_it(running_gateway, wired_cluster, alert):
    running_gateway.store.accepting = False

    response = await running_gateway.post(alert())

    assert_is_problem(response, 503)
    assert "retry-after" in response.headers
    assert wired_cluster.calls("create") == []


async def test_store_that_takes_no_events_stops_the_count_of_a_duplicate_before_it(
    running_gateway, wired_cluster, alert
):
    await running_gateway.post(alert())
    running_gateway.store.accepting = False

    response = await running_gateway.post(alert())

    assert_is_problem(response, 503)
    assert wired_cluster.calls("patch") == []


@pytest.mark.parametrize(("asked", "answered"), [(7, "7"), (None, "5")])
async def test_senders_are_told_to_wait_as_long_as_the_api_asks(run_gateway, wired_cluster, alert, asked, answered):
    gateway = await run_gateway(processing={"retry": {"max_attempts": 1}})
    wired_cluster.api.faults.fail(verb="create", status=503, retry_after=asked)

    single, batch = await gateway.post(alert()), await gateway.post(alert(), alert())

    assert (single.headers["retry-after"], batch.headers["retry-after"]) == (answered, answered)


async def test_ready_gateway_says_so(running_gateway):
    response = await running_gateway.http.get("/readyz")

    assert response.status_code == 200
    assert response.json() == {
        "status": "ready",
        "checks": {"index": "ok", "kubernetes": "ok", "audit_store": "ok"},
    }


async def test_gateway_that_is_not_ready_says_why(running_gateway):
    running_gateway.store.accepting = False

    body = assert_is_problem(await running_gateway.http.get("/readyz"), 503)

    assert body["checks"] == {
        "index": "ok",
        "kubernetes": "ok",
        "audit_store": "the audit store does not accept events",
    }


async def test_metrics_are_served_as_text_and_as_openmetrics(running_gateway, alert):
    trace = "0af7651916cd43dd8448eb211c80319c"
    running_gateway.http.headers["traceparent"] = f"00-{trace}-b7ad6b7169203331-01"
    sent = await running_gateway.post(alert())
    await running_gateway.gateway.settle()

    text = await running_gateway.http.get("/metrics")
    openmetrics = await running_gateway.http.get("/metrics", headers={"Accept": "application/openmetrics-text"})

    assert text.headers["content-type"].startswith("text/plain")
    assert 'gateway_crds_created_total{source_type="prometheus",status="created"} 1.0' in text.text
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
    assert openmetrics.text.endswith("# EOF\n")
    assert f'# {{request_id="{sent.headers["x-request-id"]}",trace_id="{trace}"}}' in openmetrics.text
    assert "_created{" not in text.text + openmetrics.text


async def test_sender_that_leaves_in_the_middle_of_its_body_harms_nobody(running_gateway):
    async def half():
        yield b'{"version": "4", '
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        await running_gateway.http.post(PATH, content=half(), headers={"content-type": "application/json"})

    await running_gateway.gateway.settle()
    async with httpx.AsyncClient(base_url=running_gateway.http.base_url, verify=False) as other:
        assert (await other.get("/healthz")).status_code == 200

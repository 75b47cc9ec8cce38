"""What a gateway says of a request by `logging`: its line, and the ids that later lines are found by."""

import asyncio
import logging

import pytest

from signal_gateway.gateway.metrics import GatewayMetrics

pytestmark = pytest.mark.asyncio

PATH = "/api/v1/signals/prometheus"


@pytest.fixture
def said(running_gateway, caplog):
    """Return the records of one logger once the gateway has settled."""
    caplog.set_level(logging.INFO, "signal_gateway")

    async def said(module):
        await running_gateway.gateway.settle()
        return [record for record in caplog.records if record.name == f"signal_gateway.{module}"]

    return said


async def test_request_with_signals_has_a_line_with_its_id_status_and_duration(running_gateway, alert, said):
    response = await running_gateway.post(alert())

    [record] = await said("gateway.http.admission")
    assert (record.levelname, record.getMessage()) == ("INFO", f"POST {PATH} 201")
    assert (record.method, record.path, record.status, record.sender) == ("POST", PATH, 201, None)
    assert record.request_id == response.headers["x-request-id"]
    assert 0 < record.duration_ms < 60_000


async def test_refused_request_has_a_line_too_and_health_and_metrics_have_none(running_gateway, said):
    await running_gateway.http.get("/healthz")
    await running_gateway.http.get("/metrics")
    await running_gateway.http.get("/nope")
    await running_gateway.http.get(PATH)

    assert [record.status for record in await said("gateway.http.admission")] == [405]


async def test_path_that_somebody_made_up_is_cut_and_holds_no_control_characters(running_gateway, said):
    await running_gateway.http.post("/api/v1/signals/a%0Ab%1B" + 1000 * "c")

    [record] = await said("gateway.http.admission")
    assert record.path.startswith("/api/v1/signals/a%0Ab%1Bccc")
    assert len(record.path) < 250
    assert record.getMessage() == f"POST {record.path} 404"


async def test_line_of_a_request_is_not_made_where_info_is_not_logged(running_gateway, alert, said, caplog):
    caplog.set_level(logging.WARNING, "signal_gateway")

    await running_gateway.post(alert())

    assert await said("gateway.http.admission") == []


async def test_request_that_is_cut_off_has_a_line_without_a_status(running_gateway, said):
    is_read = asyncio.Event()

    async def receive():
        is_read.set()
        await asyncio.Event().wait()

    async def send(message):
        pytest.fail(f"nothing is to be sent, but {message}")

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": PATH, "query_string": b"", "headers": headers}
    request = asyncio.create_task(running_gateway.gateway.app(scope, receive, send))
    await is_read.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request

    [record] = await said("gateway.http.admission")
    assert (record.status, record.getMessage()) == (None, f"POST {PATH} got no response")
    assert record.request_id


async def test_creation_has_a_line_with_the_ids_of_request_and_audit_trail(running_gateway, alert, said):
    response = await running_gateway.post(alert())

    [record] = await said("gateway.remediation.creation")
    assert record.request_id == response.headers["x-request-id"]
    assert record.correlation_id == response.json()["remediationRequestName"]
    assert record.correlation_id == running_gateway.events("gateway.crd.created")[0].correlation_id
    assert record.fingerprint == response.json()["fingerprint"]


async def test_signal_that_fails_has_a_line_with_the_id_of_its_request(running_gateway, wired_cluster, alert, said):
    wired_cluster.api.faults.fail(verb="create", resource="remediationrequests", status=422)

    response = await running_gateway.post(alert())

    [record] = await said("gateway.remediation.dispatcher")
    assert (record.levelname, record.request_id) == ("ERROR", response.headers["x-request-id"])
    assert record.fingerprint == running_gateway.events("gateway.crd.failed")[0].event_data["fingerprint"]


async def test_bug_has_a_line_with_the_id_of_its_request(running_gateway, alert, said, monkeypatch):
    def break_down(*_, **__):
        raise RuntimeError("on purpose")

    monkeypatch.setattr(GatewayMetrics, "count_received", break_down)

    response = await running_gateway.post(alert())

    [record] = await said("web.problem")
    assert record.request_id == response.json()["request_id"]

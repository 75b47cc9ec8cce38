"""Everything that a gateway does not do leaves one line: reason, object, alert, peer, request id, correlation id."""

import asyncio
import logging
from contextlib import AsyncExitStack

import httpx
import pytest
import pytest_asyncio
from lightkube import KubeConfig

from signal_gateway import GatewayConfig, create_gateway
from signal_gateway.gateway.http.authentication import TokenAuthenticator, sender_not_allowed
from signal_gateway.kubernetes import KubernetesClient, KubernetesError
from signal_gateway.testing.datastorage.recording import RecordingAuditStore
from signal_gateway.web.credentials import unknown_token
from signal_gateway.web.logs import log_formatter
from signal_gateway.web.serving.app_server import AppServer
from signal_gateway.web.serving.sockets import bind

pytestmark = pytest.mark.asyncio

PATH = "/api/v1/signals/prometheus"
SIGNAL_LOGGER, REQUEST_LOGGER = (
    "signal_gateway.gateway.remediation.dispatcher",
    "signal_gateway.gateway.http.admission",
)
TOKEN = "a-token-that-nobody-guesses-0123456789"


@pytest.fixture
def lines(caplog):
    """Return the records of one logger once a gateway has settled."""
    caplog.set_level(logging.INFO, "signal_gateway")

    async def lines(gateway, logger):
        await gateway.settle()
        return [record for record in caplog.records if record.name == logger]

    return lines


def is_access(record):
    """Return whether a record is the line about a request, which every request has."""
    return record.name == REQUEST_LOGGER


class Verdicts:
    """An authenticator that gives a fixed verdict."""

    def __init__(self, status):
        self.status = status

    async def authenticate(self, token):
        if self.status == 503:
            raise KubernetesError("the review timed out")
        if self.status == 403:
            raise sender_not_allowed()
        if token != TOKEN:
            raise unknown_token()
        return "alertmanager"


def peer_of(response):
    """Return the address of the client's side of the connection of a response."""
    host, port = response.extensions["network_stream"].get_extra_info("client_addr")
    return f"{host}:{port}"


async def test_alert_about_no_object_has_a_line(running_gateway, alert, lines):
    response = await running_gateway.post(alert("TargetDown", job="x"))

    [line] = await lines(running_gateway.gateway, SIGNAL_LOGGER)
    [event] = running_gateway.events("gateway.signal.rejected")
    assert (line.reason, line.signal, line.target) == ("no_target", "TargetDown", None)
    assert (line.peer, line.request_id) == (peer_of(response), response.headers["x-request-id"])
    assert line.correlation_id == event.correlation_id
    assert line.getMessage().startswith("TargetDown was not handled")


async def test_alert_that_is_not_valid_has_a_line_with_the_rule_that_it_breaks(running_gateway, alert, lines):
    await running_gateway.post(alert("Odd", namespace="prod", deployment="api", severity="s" * 51), alert("Fine"))

    [line] = await lines(running_gateway.gateway, SIGNAL_LOGGER)
    assert (line.reason, line.signal) == ("severity", "Odd")
    assert "at most 50" in line.getMessage()


async def test_alert_out_of_scope_has_a_line_with_its_object(run_gateway, alert, lines):
    gateway = await run_gateway(processing={"scope": {"enabled": True}})

    await gateway.post(alert("HighLatency", namespace="prod", deployment="api"))

    [line] = await lines(gateway.gateway, SIGNAL_LOGGER)
    [event] = gateway.events("gateway.signal.rejected")
    assert (line.reason, line.signal, line.target) == ("not_managed", "HighLatency", "prod/Deployment/api")
    assert line.correlation_id == event.correlation_id == line.fingerprint


@pytest.mark.parametrize(
    ("status", "level", "reason"), [(422, "ERROR", "refused"), (503, "WARNING", "kubernetes_unavailable")]
)
async def test_alert_that_the_api_does_not_take_has_a_line(
    running_gateway, wired_cluster, alert, lines, status, level, reason
):
    wired_cluster.api.faults.fail(verb="create", resource="remediationrequests", status=status, times=10)

    response = await running_gateway.post(alert("HighLatency"))

    [line] = await lines(running_gateway.gateway, SIGNAL_LOGGER)
    assert (line.levelname, line.reason, line.signal) == (level, reason, "HighLatency")
    assert line.target == "prod/Deployment/payment-api"
    assert (line.peer, line.request_id) == (peer_of(response), response.headers["x-request-id"])
    assert {event.correlation_id for event in running_gateway.events("gateway.crd.failed")} == {line.correlation_id}


async def test_alert_whose_deadline_passes_has_a_line(run_gateway, wired_cluster, alert, lines):
    gateway = await run_gateway(processing={"request_deadline": 1})
    _, release = wired_cluster.wire.hold("POST")

    response = await gateway.post(alert("First"), alert("Second"))
    release.set()

    assert response.status_code == 504

    by_signal = {line.signal: line for line in await lines(gateway.gateway, SIGNAL_LOGGER)}
    assert by_signal["Second"].reason == "deadline"


async def test_alert_that_is_handled_has_no_line(running_gateway, alert, lines):
    await running_gateway.post(alert(), alert(), alert(status="resolved"))

    assert await lines(running_gateway.gateway, SIGNAL_LOGGER) == []


@pytest.mark.parametrize(
    ("labels", "fault", "scope"),
    [
        ({"job": "x"}, None, False),
        ({"namespace": "prod", "pod": "gone"}, None, True),
        ({"namespace": "prod", "deployment": "api", "severity": "s" * 51}, None, False),
        ({"namespace": "prod", "deployment": "api"}, 503, False),
        ({"namespace": "prod", "deployment": "api"}, 422, False),
    ],
    ids=["no target", "out of scope", "invalid", "503", "500"],
)
@pytest.mark.parametrize("number", [1, 2])
async def test_each_alert_that_is_not_handled_has_one_line_of_all_layers(
    run_gateway, wired_cluster, alert, caplog, labels, fault, scope, number
):
    gateway = await run_gateway(processing={"scope": {"enabled": scope}, "retry": {"max_attempts": 1}})
    caplog.set_level(logging.INFO, "signal_gateway")
    if fault is not None:
        wired_cluster.api.faults.fail(verb="create", resource="remediationrequests", status=fault, times=10)

    await gateway.post(*(alert(f"A{index}", **labels) for index in range(number)))
    await gateway.gateway.settle()

    lines = [record for record in caplog.records if not is_access(record)]
    assert [line.signal for line in lines] == [f"A{index}" for index in range(number)]
    assert [record.levelname for record in caplog.records if is_access(record)] == ["INFO"]


@pytest.mark.parametrize("status", [400, 401, 403, 413, 415, 503])
async def test_refused_request_has_one_line_of_all_layers(run_guarded, caplog, status):
    gateway, http = await run_guarded(status)
    caplog.set_level(logging.INFO, "signal_gateway")
    headers = {"Authorization": f"Bearer {'wrong' if status == 401 else TOKEN}", "content-type": "application/json"}
    headers |= {"content-type": "text/plain"} if status == 415 else {}

    response = await http.post(PATH, content=b"{" * (100 if status == 413 else 1), headers=headers)
    await gateway.settle()

    assert response.status_code == status
    [line] = [record for record in caplog.records if record.name.startswith("signal_gateway")]
    assert (line.levelname, line.status) == ("WARNING", status)
    assert line.reason


async def test_token_that_cannot_be_verified_has_one_line_with_the_cause(run_guarded, caplog):
    gateway, http = await run_guarded(503)
    caplog.set_level(logging.INFO, "signal_gateway")

    await http.post(PATH, headers={"Authorization": f"Bearer {TOKEN}"})
    await gateway.settle()

    [line] = [record for record in caplog.records if record.name.startswith("signal_gateway")]
    assert line.reason == "The token cannot be verified right now. Retry later. Cause: the review timed out"


async def test_line_is_complete_in_the_log_of_the_service(running_gateway, alert, lines):
    await running_gateway.post(alert("TargetDown", job="x"))

    [line] = await lines(running_gateway.gateway, SIGNAL_LOGGER)
    written = log_formatter("json").format(line)
    for value in (line.reason, line.signal, line.peer, line.request_id, line.correlation_id):
        assert f'"{value}"' in written


@pytest.mark.parametrize(
    ("content", "headers", "status", "reason"),
    [
        (b"{", {"content-type": "application/json"}, 400, "The body is not JSON"),
        (b"{}", {"content-type": "text/plain"}, 415, "The content type is text/plain"),
        (b'{"version": "3"}', {"content-type": "application/json"}, 400, '"version" is'),
    ],
)
async def test_refused_request_has_a_line_with_the_reason_and_the_peer(
    running_gateway, lines, content, headers, status, reason
):
    response = await running_gateway.http.post(PATH, content=content, headers=headers)

    [line] = await lines(running_gateway.gateway, REQUEST_LOGGER)
    assert response.status_code == status
    assert (line.levelname, line.status, line.peer) == ("WARNING", status, peer_of(response))
    assert line.reason.startswith(reason)


async def test_body_over_the_limit_has_a_line_with_the_reason(run_gateway, alert, lines):
    gateway = await run_gateway(processing={"max_body_bytes": 10})

    await gateway.post(alert())

    [line] = await lines(gateway.gateway, REQUEST_LOGGER)
    assert (line.status, line.reason) == (413, "The body is larger than 10 bytes.")


async def test_request_over_the_limit_in_flight_has_a_line_with_the_reason(run_gateway, wired_cluster, alert, lines):
    gateway = await run_gateway(processing={"max_concurrent_requests": 1})
    arrived, release = wired_cluster.wire.hold("POST")

    first = asyncio.create_task(gateway.post(alert()))
    await arrived.wait()
    await gateway.post(alert())
    release.set()
    await first

    refused = [line for line in await lines(gateway.gateway, REQUEST_LOGGER) if line.status == 503]
    assert [line.reason[:28] for line in refused] == ["Too many requests in flight:"]


@pytest_asyncio.fixture
async def run_guarded(wired_cluster):
    """Run a gateway whose authenticator answers with a status: `await run_guarded(403)` gives the gateway and HTTP."""
    async with AsyncExitStack() as stack:

        async def run(status):
            client = await stack.enter_async_context(KubernetesClient(KubeConfig.from_server(wired_cluster.url)))
            gateway = create_gateway(
                GatewayConfig(processing={"max_body_bytes": 50}),
                kubernetes=client,
                audit_store=RecordingAuditStore(),
                authenticator=Verdicts(status),
            )
            server = AppServer(gateway.app, sock=bind())
            await server.start()
            stack.push_async_callback(server.stop)
            http = await stack.enter_async_context(httpx.AsyncClient(base_url=server.url, verify=False))
            return gateway, http

        yield run


@pytest_asyncio.fixture
async def guarded(wired_cluster, tmp_path):
    """A gateway that takes one token."""
    file = tmp_path / "tokens"
    file.write_text(f"{TOKEN} alertmanager\n")
    file.chmod(0o600)
    async with KubernetesClient(KubeConfig.from_server(wired_cluster.url)) as client:
        gateway = create_gateway(
            GatewayConfig(),
            kubernetes=client,
            audit_store=RecordingAuditStore(),
            authenticator=TokenAuthenticator(file),
        )
        server = AppServer(gateway.app, sock=bind())
        await server.start()
        async with httpx.AsyncClient(base_url=server.url, verify=False) as http:
            yield gateway, http
        await server.stop()


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        (None, "missing"),
        ("Bearer wrong-token-0123456789", "unknown_token"),
        ("Basic d3JvbmctdG9rZW4=", "malformed"),
    ],
)
@pytest.mark.parametrize("path", [PATH, "/openapi.json"])
async def test_refused_token_has_a_line_with_the_peer_and_the_reason(guarded, lines, path, authorization, reason):
    gateway, http = guarded
    headers = {} if authorization is None else {"Authorization": authorization}

    response = await http.request("POST" if path == PATH else "GET", path, headers=headers)

    [line] = await lines(gateway, REQUEST_LOGGER)
    assert response.status_code == 401
    assert (line.levelname, line.status, line.reason) == ("WARNING", 401, reason)
    assert (line.peer, line.request_id) == (peer_of(response), response.headers["x-request-id"])
    written = log_formatter("json").format(line)
    assert "wrong" not in written
    assert "d3Jvbmct" not in written

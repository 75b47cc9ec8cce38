"""Retry and timeout are each server's own, as the incident's tests had them: A is patient, B is not."""

import asyncio
import secrets
import subprocess
import sys
import threading
from contextlib import ExitStack

import pytest
from lightkube.config.kubeconfig import KubeConfig

from signal_gateway import GatewayConfig, create_gateway
from signal_gateway.apiserver import create_apiserver
from signal_gateway.errors import ConfigurationError
from signal_gateway.gateway.service.config import ServiceConfig
from signal_gateway.kubernetes import KubernetesClient, crd_manifest
from signal_gateway.testing import LiveServer, alert, alertmanager_webhook, serve

PATH = "/api/v1/signals/prometheus"
CREATED = {"source_type": "prometheus", "status": "created"}


@pytest.fixture
def workload():
    """A Deployment of the test's own: failed attempts are correlated by the target, and the trail is everybody's."""
    return f"api-{secrets.token_hex(4)}"


@pytest.fixture
def failing_twice(gateway_cluster):
    def failing_twice():
        return gateway_cluster.faults.fail(verb="create", resource="remediationrequests", status=503, times=2)

    return failing_twice


def with_attempts(number):
    return {"retry": {"max_attempts": number, "initial_backoff": 0}}


def trail_of(gateway, workload):
    """What the gateway recorded about a workload, whatever each event is correlated by."""
    fingerprint = {"detail_key": "resource_name", "detail_value": workload}
    return gateway.audit_trail.events(**fingerprint)


def types(events):
    return [event.event_type for event in events]


def test_server_with_three_attempts_creates_where_one_with_one_tells_its_sender_to_retry(
    gateway_factory, failing_twice, workload
):
    a = gateway_factory(processing=with_attempts(3))
    b = gateway_factory(processing=with_attempts(1))

    with failing_twice() as fault_of_a:
        answer_of_a = a.send_alert("A", namespace="prod", deployment=f"{workload}-a")
    with failing_twice() as fault_of_b:
        answer_of_b = b.send_alert("B", namespace="prod", deployment=f"{workload}-b")

    assert (answer_of_a.status_code, fault_of_a.hits) == (201, 2)
    assert (answer_of_b.status_code, fault_of_b.hits) == (503, 1)
    assert int(answer_of_b.headers["Retry-After"]) >= 1
    assert [live.metrics.value("gateway_crds_created_total", **CREATED) for live in (a, b)] == [1, 0]


def test_each_trail_shows_each_attempt_of_its_own_server(gateway_factory, failing_twice, workload):
    a = gateway_factory(processing=with_attempts(3))
    b = gateway_factory(processing=with_attempts(1))
    origin_of_a, origin_of_b = (f"Same:prod:Deployment:{workload}-{server}" for server in "ab")

    with failing_twice():
        name = a.send_alert("Same", namespace="prod", deployment=f"{workload}-a").json()["remediationRequestName"]
    with failing_twice():
        b.send_alert("Same", namespace="prod", deployment=f"{workload}-b")

    failed, received, created = "gateway.crd.failed", "gateway.signal.received", "gateway.crd.created"
    assert types(a.audit_trail.events(correlation_id=origin_of_a)) == [failed, failed]
    assert types(a.audit_trail.events(correlation_id=name)) == [received, created]
    assert types(b.audit_trail.events(correlation_id=origin_of_b)) == [failed]
    assert types(trail_of(a, f"{workload}-a")) == [received, failed, failed, created]
    assert types(trail_of(b, f"{workload}-b")) == [failed]


def test_sender_who_comes_back_gets_from_one_server_what_the_other_did_in_one_request(
    gateway_factory, failing_twice, workload
):
    b = gateway_factory(processing=with_attempts(1))

    with failing_twice():
        answers = [b.send_alert("B", namespace="prod", deployment=workload) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [503, 503, 201]
    assert types(trail_of(b, workload)).count("gateway.crd.failed") == 2
    b.audit_trail.sequence(
        "gateway.signal.received", "gateway.crd.created", correlation_id=answers[-1].json()["remediationRequestName"]
    )


def test_retry_is_waited_for_only_where_the_servers_deadline_leaves_time(gateway_factory, failing_twice, workload):
    retry = {"max_attempts": 2, "initial_backoff": 1.0}
    hasty = gateway_factory(processing={"retry": retry, "request_deadline": 0.8})
    patient = gateway_factory(processing={"retry": retry, "request_deadline": 30})

    with failing_twice() as fault:
        answer_of_hasty = hasty.send_alert("X", namespace="prod", deployment=f"{workload}-hasty")
        answer_of_patient = patient.send_alert("X", namespace="prod", deployment=f"{workload}-patient")

    assert [answer_of_hasty.status_code, answer_of_patient.status_code] == [503, 201]
    assert fault.hits == 2


class SilentApi:
    """A Kubernetes API on a real socket that takes creates of RemediationRequests and answers none until it is told."""

    def __init__(self):
        self._api = create_apiserver(crds=[crd_manifest()])
        self._may_answer = asyncio.Event()
        self.arrived = threading.Semaphore(0)
        self.server = LiveServer(self._respond, name="silent Kubernetes API", streams=self._api)

    def answer(self):
        async def answer():
            self._may_answer.set()

        self.server.call(answer(), timeout=60, doing="letting the API answer")

    def config(self):
        return KubeConfig.from_dict(
            {
                "current-context": "silent",
                "clusters": [{"name": "silent", "cluster": {"server": self.server.url}}],
                "users": [{"name": "silent", "user": {}}],
                "contexts": [{"name": "silent", "context": {"cluster": "silent", "user": "silent"}}],
            }
        )

    async def _respond(self, scope, receive, send):
        if scope["type"] == "http" and (scope["method"], scope["path"].rpartition("/")[2]) == (
            "POST",
            "remediationrequests",
        ):
            self.arrived.release()
            await self._may_answer.wait()
        await self._api.app(scope, receive, send)


@pytest.fixture
def silent_api():
    api = SilentApi()
    with api.server:
        yield api
        api.answer()


@pytest.fixture
def on_silent_api(silent_api, gateway_audit_store):
    """Serve gateways with settings of their own on the API that does not answer."""
    client = KubernetesClient(silent_api.config())
    with ExitStack() as stack:
        stack.callback(lambda: asyncio.run(client.aclose()))

        def on_silent_api(**processing):
            config = GatewayConfig(processing={"scope": {"enabled": False}, **processing})
            return stack.enter_context(
                serve(create_gateway(config, kubernetes=client, audit_store=gateway_audit_store))
            )

        yield on_silent_api


@pytest.mark.asyncio
async def test_server_with_a_short_deadline_gives_up_while_the_other_goes_on(silent_api, on_silent_api, workload):
    hasty, patient = on_silent_api(request_deadline=0.2), on_silent_api(request_deadline=30)
    webhooks = {
        live: alertmanager_webhook(alert("X", namespace="prod", deployment=f"{workload}-{name}"))
        for live, name in ((hasty, "hasty"), (patient, "patient"))
    }
    waiting = asyncio.create_task(patient.async_client.post(PATH, json=webhooks[patient]))
    assert await asyncio.to_thread(silent_api.arrived.acquire, timeout=60)

    answer_of_hasty = await hasty.async_client.post(PATH, json=webhooks[hasty])
    has_patient_waited = not waiting.done()
    silent_api.answer()
    answer_of_patient = await waiting

    assert answer_of_hasty.status_code == 504
    assert "0.2 s" in answer_of_hasty.json()["detail"]
    assert has_patient_waited
    assert answer_of_patient.status_code == 201


def test_what_a_server_began_before_its_deadline_goes_on_and_is_in_its_trail(silent_api, on_silent_api, workload):
    hasty = on_silent_api(request_deadline=0.2)

    answer = hasty.send_alert("X", namespace="prod", deployment=workload)
    silent_api.answer()
    events = trail_of(hasty, workload)

    assert answer.status_code == 504
    assert types(events) == ["gateway.signal.received", "gateway.crd.created"]


LOAD = """
import sys

opened = []
sys.addaudithook(lambda event, arguments: opened.append(event) if event.startswith(("socket.", "_thread.")) else None)

from signal_gateway.gateway.service.config import ServiceConfig

config = ServiceConfig.load_from_file("gateway.yaml", environment={})
print(config.processing.retry.max_attempts, config.processing.request_deadline, opened)
"""


def test_configuration_is_loaded_without_a_socket_or_a_thread(tmp_path):
    (tmp_path / "gateway.yaml").write_text(
        "processing: {retry: {max_attempts: 3}, request_deadline: 2.5}\n"
        "audit: {datastorage_url: http://127.0.0.1:9, durability: memory}\n"
        "kubernetes: {kubeconfig: /nowhere/kubeconfig}\n"
    )

    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", LOAD], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )

    assert (run.stdout, run.stderr) == ("3 2.5 []\n", "")


def test_wrong_values_are_named_before_any_server_is_made(tmp_path, gateway_factory):
    path = tmp_path / "gateway.yaml"
    path.write_text(
        "processing:\n"
        "  retry: {max_attempts: 0}\n"
        "  request_deadline: -1\n"
        "audit: {datastorage_url: http://127.0.0.1:9, durability: memory}\n"
    )

    with pytest.raises(ConfigurationError) as from_file:
        ServiceConfig.load_from_file(path, environment={})
    with pytest.raises(ConfigurationError) as from_overrides:
        gateway_factory(processing={"retry": {"max_attempts": 0}, "request_deadline": -1})

    assert f"{path}:2: processing.retry.max_attempts = 0: " in str(from_file.value)
    assert f"{path}:3: processing.request_deadline = -1: " in str(from_file.value)
    assert "processing.retry.max_attempts = 0: " in str(from_overrides.value)
    assert "processing.request_deadline = -1: " in str(from_overrides.value)


def test_each_server_runs_with_the_file_that_it_was_made_from(tmp_path, gateway_factory, failing_twice, workload):
    def load(name, attempts):
        path = tmp_path / name
        path.write_text(
            f"processing: {{scope: {{enabled: false}}, retry: {{max_attempts: {attempts}, initial_backoff: 0}}}}\n"
            "audit: {datastorage_url: http://127.0.0.1:9, durability: memory}\n"
        )
        return ServiceConfig.load_from_file(path, environment={}).gateway

    a, b = gateway_factory(load("a.yaml", 3)), gateway_factory(load("b.yaml", 1))

    with failing_twice():
        answer_of_a = a.send_alert("A", namespace="prod", deployment=f"{workload}-a")
    with failing_twice():
        answer_of_b = b.send_alert("B", namespace="prod", deployment=f"{workload}-b")

    assert (answer_of_a.status_code, answer_of_b.status_code) == (201, 503)
    assert (a.config.processing.retry.max_attempts, b.config.processing.retry.max_attempts) == (3, 1)

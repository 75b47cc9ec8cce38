"""One test with a gateway: create, serve, one alert through, stop; in some of them its audit trail is asked, too.

The same gateway, embedded cluster, store and alert in each; only how it is served differs. The tests are interleaved,
so that noise hits all alike.
"""

import threading
import time
from contextlib import contextmanager

import httpx
import pytest
import uvicorn
from starlette.testclient import TestClient

from signal_gateway import GatewayConfig, create_gateway
from signal_gateway.testing import EmbeddedCluster, alert, alertmanager_webhook, serve

ROUNDS = 120
RECIPE_ROUNDS = 15
PATH = "/api/v1/signals/prometheus"


def pytest_generate_tests(metafunc):
    rounds = RECIPE_ROUNDS if "recipe" in metafunc.function.__name__ else ROUNDS
    metafunc.parametrize("number", range(rounds), scope="class")


def check(client, trail, deployment):
    name = send(client, deployment)
    trail.sequence("gateway.signal.received", "gateway.crd.created", correlation_id=name)


def send(client, deployment):
    webhook = alertmanager_webhook(alert("HighLatency", namespace="prod", deployment=deployment))
    response = client.post(PATH, json=webhook)
    assert response.status_code == 201, response.text
    return response.json()["remediationRequestName"]


@pytest.fixture(scope="session")
def shared_cluster():
    with EmbeddedCluster() as cluster:
        yield cluster


def gateway_on(cluster, store):
    config = GatewayConfig(processing={"scope": {"enabled": False}})
    return create_gateway(config, kubernetes=cluster.client(), audit_store=store)


def in_test_client(cluster, store, trail, deployment):
    with TestClient(gateway_on(cluster, store).app) as client:
        check(client, trail, deployment)


class TestGatewayPerTest:
    def test_live_fresh(self, number, gateway):
        check(gateway.client, gateway.audit_trail, f"live-{number}")

    def test_testclient_fresh(self, number, gateway_cluster, gateway_audit_store, gateway_audit_trail):
        in_test_client(gateway_cluster, gateway_audit_store, gateway_audit_trail, f"testclient-{number}")

    def test_live_shared(self, number, shared_cluster, gateway_audit_store):
        with serve(gateway_on(shared_cluster, gateway_audit_store), cluster=shared_cluster) as live:
            check(live.client, live.audit_trail, f"live-{number}")

    def test_testclient_shared(self, number, shared_cluster, gateway_audit_store, gateway_audit_trail):
        in_test_client(shared_cluster, gateway_audit_store, gateway_audit_trail, f"testclient-{number}")

    def test_live_alert(self, number, gateway_cluster, gateway_audit_store):
        with serve(gateway_on(gateway_cluster, gateway_audit_store), cluster=gateway_cluster) as live:
            send(live.client, f"alert-{number}")

    def test_recipe_fresh(self, number, gateway_cluster, gateway_audit_store, gateway_audit_trail):
        with by_the_recipe(gateway_on(gateway_cluster, gateway_audit_store).app) as client:
            check(client, gateway_audit_trail, f"recipe-{number}")

    def test_recipe_alert(self, number, gateway_cluster, gateway_audit_store):
        with by_the_recipe(gateway_on(gateway_cluster, gateway_audit_store).app) as client:
            send(client, f"recipe-alert-{number}")


@contextmanager
def by_the_recipe(app):
    """Serve by the recipe that is passed around: uvicorn on a thread, polled until it has started."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.001)  # ok: this is the recipe
    port = server.servers[0].sockets[0].getsockname()[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        yield client
    server.should_exit = True
    thread.join()

"""One test with a gateway: create, serve, one alert through, its audit trail, stop.

The same gateway, embedded cluster, store, alert and query in each; only how it is served differs. The tests are
interleaved, so that noise hits all alike.
"""

import threading
import time

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
    webhook = alertmanager_webhook(alert("HighLatency", namespace="prod", deployment=deployment))
    response = client.post(PATH, json=webhook)
    assert response.status_code == 201, response.text
    name = response.json()["remediationRequestName"]
    trail.sequence("gateway.signal.received", "gateway.crd.created", correlation_id=name)


@pytest.fixture(scope="session")
def shared_cluster():
    with EmbeddedCluster() as cluster:
        yield cluster


def gateway_on(cluster, store):
    return create_gateway(GatewayConfig(), kubernetes=cluster.client(), audit_store=store)


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

    def test_recipe_fresh(self, number, gateway_cluster, gateway_audit_store, gateway_audit_trail):
        """The recipe that is passed around: uvicorn on a thread, polled until it has started."""
        app = gateway_on(gateway_cluster, gateway_audit_store).app
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.001)  # ok: this is the recipe
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            check(client, gateway_audit_trail, f"recipe-{number}")
        server.should_exit = True
        thread.join()

"""The description at /openapi.json: complete, and of this gateway."""

from typing import ClassVar

import pytest
from starlette.routing import Route

from signal_gateway import GatewayConfig, create_gateway
from signal_gateway.gateway.http.openapi import gateway_openapi
from signal_gateway.gateway.signals.alertmanager import AlertmanagerAdapter
from signal_gateway.kubernetes import Kinds
from signal_gateway.testing import EmbeddedCluster
from signal_gateway.testing.datastorage.recording import RecordingAuditStore

SIGNALS = "/api/v1/signals/prometheus"


class OwnAdapter:
    name = "own"
    signal_type = "alert"
    body_schema: ClassVar = {"type": "array"}

    def parse(self, body, *, received_at):
        raise NotImplementedError


class UndescribedAdapter(OwnAdapter):
    name = "untold"
    body_schema: ClassVar = {}


class Undiscovered:
    def kinds(self):
        return Kinds(())


class NobodyIsKnown:
    async def authenticate(self, token):
        raise NotImplementedError


@pytest.fixture
def make_gateway():
    with EmbeddedCluster() as cluster:
        yield lambda **arguments: create_gateway(
            GatewayConfig(), kubernetes=cluster.client(), audit_store=RecordingAuditStore(), **arguments
        )


@pytest.fixture
def described(gateway_serve):
    """Return what a gateway says of itself."""

    def described(gateway, **headers):
        answer = gateway_serve(gateway.app).client.get("/openapi.json", headers=headers).raise_for_status()
        assert answer.headers["content-type"] == "application/json"
        return answer.json()

    return described


def served(app):
    routes = [route for route in app.routes if isinstance(route, Route)]
    return {(route.path, method.lower()) for route in routes for method in route.methods - {"HEAD"}}


def operations(document):
    return {(path, method) for path, methods in document["paths"].items() for method in methods}


@pytest.mark.parametrize("separate_management", [False, True])
def test_every_route_is_described_and_nothing_else(make_gateway, described, separate_management):
    gateway = make_gateway(adapters=[OwnAdapter()], separate_management=separate_management)

    document = described(gateway)

    assert operations(document) == served(gateway.app)
    assert len(operations(document)) == (4 if separate_management else 7)


def test_every_status_is_described(make_gateway, described):
    statuses = described(make_gateway())["paths"][SIGNALS]["post"]["responses"]

    assert statuses.keys() == {"200", "201", "202", "207", "400", "413", "415", "500", "503", "504"}
    assert statuses["503"]["content"].keys() == {"application/json", "application/problem+json"}


def test_bodies_are_described_by_the_adapters(make_gateway, described):
    paths = described(make_gateway(adapters=[OwnAdapter(), UndescribedAdapter()]))["paths"]

    def body(path):
        return paths[path]["post"]["requestBody"]["content"]["application/json"]["schema"]

    assert body(SIGNALS)["properties"]["version"] == {"enum": ["4", "1"]}
    required = [form["required"] for form in body("/api/v1/signals/kubernetes-event")["anyOf"]]
    assert required[:2] == [["involvedObject"], ["regarding"]]
    assert body("/api/v1/signals/own") == {"type": "array"}
    assert body("/api/v1/signals/untold") == {}


def test_what_needs_a_token_says_so():
    adapter = AlertmanagerAdapter(discovery=Undiscovered())

    plain = gateway_openapi([adapter], has_authenticator=False, has_management=True)
    guarded = gateway_openapi([adapter], has_authenticator=True, has_management=True)

    assert "securitySchemes" not in plain["components"]
    assert "security" not in plain["paths"][SIGNALS]["post"]
    for path, method in ((SIGNALS, "post"), ("/openapi.json", "get")):
        operation = guarded["paths"][path][method]
        assert operation["security"] == [{"bearer": []}]
        assert operation["responses"].keys() >= {"401", "403", "503", "504"}
    assert "security" not in guarded["paths"]["/healthz"]["get"]


def test_description_is_for_senders_where_they_are_asked_who_they_are(make_gateway, gateway_serve):
    client = gateway_serve(make_gateway(authenticator=NobodyIsKnown()).app).client

    assert client.get("/openapi.json").status_code == 401
    assert client.get("/healthz").status_code == 200

import asyncio
import json
from datetime import UTC, datetime

import pytest

from signal_gateway.apiserver import create_apiserver
from signal_gateway.clock import MovableClock

DEADLINE = 60.0

WIDGETS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
        ],
    },
}


class Call:
    """One request, made to the ASGI app itself; what it sends can be taken one message at a time."""

    def __init__(self, app, method, path, body=None, query=""):
        self._scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [
                (b"content-type", b"application/merge-patch+json" if method == "PATCH" else b"application/json")
            ],
        }
        self._inbox = asyncio.Queue()
        self._inbox.put_nowait({"type": "http.request", "body": b"" if body is None else json.dumps(body).encode()})
        self._outbox = asyncio.Queue()
        self.may_send = asyncio.Event()
        self.may_send.set()
        self.task = asyncio.ensure_future(app(self._scope, self._inbox.get, self._send))

    async def _send(self, message):
        await self.may_send.wait()
        self._outbox.put_nowait(message)

    def disconnect(self):
        self._inbox.put_nowait({"type": "http.disconnect"})

    async def message(self):
        async with asyncio.timeout(DEADLINE):
            return await self._outbox.get()

    async def events(self):
        """Return the events of the next message of a watch."""
        return [json.loads(line) for line in (await self.message())["body"].splitlines()]

    async def ended(self):
        async with asyncio.timeout(DEADLINE):
            await self.task

    async def response(self):
        """Return status, headers and body of a response that is not a stream."""
        start, body = await self.message(), await self.message()
        await self.ended()
        headers = {name.decode(): value.decode() for name, value in start["headers"]}
        return start["status"], headers, json.loads(body["body"])


class Widgets:
    """The widgets of the default namespace, on one server."""

    path = "/apis/example.com/v1/namespaces/default/widgets"

    def __init__(self, server):
        self._server = server

    async def request(self, method, name="", body=None, query=""):
        path = f"{self.path}/{name}".rstrip("/")
        return await Call(self._server.app, method, path, body, query).response()

    async def create(self, name, **spec):
        body = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec}
        status, _, created = await self.request("POST", body=body)
        assert status == 201, created
        return created

    def watch(self, query=""):
        return Call(self._server.app, "GET", self.path, query=f"watch=true&{query}")


@pytest.fixture
def crd():
    """A CustomResourceDefinition of widgets."""
    return json.loads(json.dumps(WIDGETS))


@pytest.fixture
def clock():
    """A clock that stands still until a test advances it."""
    return MovableClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def widget_server(crd, clock):
    """An API server with the widgets definition, called as an ASGI application without a socket."""
    return create_apiserver(crds=[crd], clock=clock)


@pytest.fixture
def widgets(widget_server):
    """Requests for the widgets of the default namespace on `server`."""
    return Widgets(widget_server)


@pytest.fixture
def widgets_of():
    """The class of `widgets`, for a server of the test's own."""
    return Widgets

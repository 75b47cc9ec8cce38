import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import httpx
import pytest
import pytest_asyncio
from lightkube import KubeConfig

from signal_gateway import GatewayConfig, create_gateway
from signal_gateway.apiserver import create_apiserver
from signal_gateway.clock import MovableClock
from signal_gateway.gateway.config import merged
from signal_gateway.gateway.remediation.occurrence import OccurrenceCounter
from signal_gateway.kubernetes import GROUP, PLURAL, VERSION, KubernetesClient, crd_manifest
from signal_gateway.testing.datastorage.recording import RecordingAuditStore
from signal_gateway.web.serving.app_server import AppServer
from signal_gateway.web.serving.sockets import bind

REQUESTS = f"/apis/{GROUP}/{VERSION}/namespaces/kubernaut-system/{PLURAL}"
QUICK = {"processing": {"retry": {"initial_backoff": 0.001, "max_backoff": 0.002}, "scope": {"enabled": False}}}


class Wire:
    """Hands on the wire of an API server: answers get lost after the fact, requests are held, watches fall silent."""

    def __init__(self, app):
        self._app = app
        self._losses: Counter[str] = Counter()
        self._held = {}
        self._before = {}
        self._watches_speak = asyncio.Event()
        self._watches_speak.set()

    def lose_answer(self, method, *, times=1):
        """Let the server act on the next request, and answer the client with a proxy's 502."""
        self._losses[method] += times

    def before(self, method, act):
        """Do something before the server sees each request of a method; None to stop."""
        self._before[method] = act

    def hold(self, method):
        """Hold requests before the server sees them; returns (arrived, release)."""
        self._held[method] = asyncio.Event(), asyncio.Event()
        return self._held[method]

    def hold_lists(self):
        """Hold lists and watches before the server sees them; returns (arrived, release)."""
        self._held["list"] = asyncio.Event(), asyncio.Event()
        return self._held["list"]

    def silence_watches(self):
        self._watches_speak.clear()

    def let_watches_speak(self):
        self._watches_speak.set()

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if "list" in self._held and scope["path"] == REQUESTS and scope["method"] == "GET":
            arrived, release = self._held["list"]
            arrived.set()
            await release.wait()
        if b"watch=" in scope["query_string"]:
            await self._app(scope, receive, lambda message: self._send_watch(message, send))
            return
        method = scope["method"]
        if method in self._held:
            arrived, release = self._held[method]
            arrived.set()
            await release.wait()
        if self._before.get(method):
            await self._before[method]()
        if self._losses[method]:
            self._losses[method] -= 1
            await self._app(scope, receive, _swallow)
            await send({"type": "http.response.start", "status": 502, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"bad gateway"})
            return
        await self._app(scope, receive, send)

    async def _send_watch(self, message, send):
        if message.get("body"):
            await self._watches_speak.wait()
        await send(message)


async def _swallow(_):
    pass


class Cluster:
    """An embedded API server on a real socket, and what a controller would do to it."""

    def __init__(self, api, wire, url, http):
        self.api = api
        self.wire = wire
        self.url = url
        self._http = http

    async def requests(self):
        return (await self._http.get(REQUESTS)).raise_for_status().json()["items"]

    async def get(self, name):
        return (await self._http.get(f"{REQUESTS}/{name}")).raise_for_status().json()

    async def create(self, manifest):
        return (await self._http.post(REQUESTS, json=manifest)).raise_for_status().json()

    async def set_status(self, name, **status):
        merge = {"Content-Type": "application/merge-patch+json"}
        response = await self._http.patch(f"{REQUESTS}/{name}/status", json={"status": status}, headers=merge)
        return response.raise_for_status().json()

    async def count_as_another_replica(self, name, number):
        """Write a count past the wire."""
        patch = {"status": {"deduplication": {"occurrenceCount": number}}}
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(self.api.app), base_url="http://kubernetes", verify=False
        ) as http:
            headers = {"Content-Type": "application/merge-patch+json"}
            (await http.patch(f"{REQUESTS}/{name}/status", json=patch, headers=headers)).raise_for_status()

    async def delete(self, name):
        (await self._http.delete(f"{REQUESTS}/{name}")).raise_for_status()

    def calls(self, verb):
        return [entry for entry in self.api.log if entry.verb == verb and entry.resource.startswith(PLURAL)]


class Running:
    """A gateway on a real socket."""

    def __init__(self, gateway, http):
        self.gateway = gateway
        self.http = http
        self.store = gateway.audit_store

    async def post(self, *alerts, **members):
        payload = {"version": "4", "alerts": list(alerts)} | members
        return await self.http.post("/api/v1/signals/prometheus", json=payload)

    def events(self, event_type=None):
        return [event for event in self.store.events if event_type in (None, event.event_type)]

    def metric(self, name, **labels):
        return self.gateway.registry.get_sample_value(name, labels) or 0


@pytest_asyncio.fixture
async def wired_cluster():
    """An API server on a real socket whose wire a test can disturb: lost responses, held requests, silent watches."""
    api = create_apiserver(crds=[crd_manifest()])
    wire = Wire(api.app)
    server = AppServer(wire, sock=bind(), streams=api)
    await server.start()
    async with httpx.AsyncClient(base_url=server.url, verify=False) as http:
        yield Cluster(api, wire, server.url, http)
    wire.let_watches_speak()
    await server.stop()


@pytest_asyncio.fixture
async def run_gateway(wired_cluster):
    """Start gateways on `cluster`, each with its own settings, stopped at the end of the test."""
    async with AsyncExitStack() as stack:

        async def run(**overrides):
            client = await stack.enter_async_context(KubernetesClient(KubeConfig.from_server(wired_cluster.url)))
            config = merged(merged(GatewayConfig(), QUICK), overrides)
            gateway = create_gateway(config, kubernetes=client, audit_store=RecordingAuditStore())
            server = AppServer(gateway.app, sock=bind())
            await server.start()
            stack.push_async_callback(server.stop)
            http = await stack.enter_async_context(httpx.AsyncClient(base_url=server.url, verify=False))
            return Running(gateway, http)

        yield run


@pytest_asyncio.fixture
async def running_gateway(run_gateway):
    """One gateway of `run_gateway` with the default settings."""
    return await run_gateway()


class Arrivals:
    """Counts calls, and tells when a number of them has come."""

    def __init__(self):
        self._count = 0
        self._has_grown = asyncio.Event()

    def note(self):
        self._count += 1
        self._has_grown.set()

    async def have_come(self, number):
        async with asyncio.timeout(5):
            while self._count < number:
                self._has_grown.clear()
                await self._has_grown.wait()


@pytest.fixture
def duplicates(monkeypatch):
    """Tell how many duplicates have asked to be counted."""
    arrivals, count = Arrivals(), OccurrenceCounter.count

    def noted(*args, **kwargs):
        arrivals.note()
        return count(*args, **kwargs)

    monkeypatch.setattr(OccurrenceCounter, "count", noted)
    return arrivals


@pytest.fixture
def alert():
    """Build one alert as JSON, with the labels of a Deployment by default."""

    def build(name="PodCrashLooping", *, status="firing", starts_at="2026-01-01T00:00:00Z", **labels):
        labels = labels or {"namespace": "prod", "deployment": "payment-api"}
        return {
            "status": status,
            "labels": {"alertname": name} | labels,
            "annotations": {"summary": "it crashes"},
            "startsAt": starts_at,
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus.example/graph",
            "fingerprint": "0123456789abcdef",
        }

    return build


@pytest.fixture
def clock():
    """A clock that stands still until a test advances it."""
    return MovableClock(datetime(2026, 1, 1, tzinfo=UTC))

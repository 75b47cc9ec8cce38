import asyncio
import copy
import json
from collections.abc import AsyncIterator

import httpx2
import pytest
from lightkube import KubeConfig

from signal_gateway.apiserver import create_apiserver
from signal_gateway.kubernetes import KubernetesClient, crd_manifest
from signal_gateway.testing import LiveServer

NAMESPACE = "kubernaut-system"
FINGERPRINT = "91fce8d5c4949766458bd4bd58859a4fb2e8470ef64ef438c22903744799a9b1"

END = b""


@pytest.fixture
def manifest():
    """What a gateway creates."""
    return {
        "apiVersion": "kubernaut.ai/v1alpha1",
        "kind": "RemediationRequest",
        "metadata": {"name": "rr-91fce8d5c494-00000000", "namespace": NAMESPACE},
        "spec": {
            "signalFingerprint": FINGERPRINT,
            "signalName": "PodCrashLooping",
            "severity": "critical",
            "signalType": "alert",
            "signalSource": "prometheus",
            "targetType": "kubernetes",
            "targetResource": {"kind": "Deployment", "name": "payment-api", "namespace": "prod"},
            "firingTime": "2026-01-31T12:00:00Z",
            "receivedTime": "2026-01-31T12:00:01.5Z",
            "signalLabels": {"alertname": "PodCrashLooping"},
        },
    }


@pytest.fixture
def make_stored_request(manifest):
    """Make what the API stores: `stored("u1", 7, phase="Failed")`."""

    def make(uid, resource_version, *, name=None, fingerprint=FINGERPRINT, phase=None, **metadata):
        obj = copy.deepcopy(manifest)
        obj["metadata"] |= {
            "uid": uid,
            "name": name or f"rr-{uid}",
            "resourceVersion": str(resource_version),
            "creationTimestamp": "2026-01-31T12:00:01Z",
            **metadata,
        }
        obj["spec"]["signalFingerprint"] = fingerprint
        if phase is not None:
            obj["status"] = {"overallPhase": phase}
        return obj

    return make


@pytest.fixture
def api_server():
    """Serve an embedded API server with our CRD on a real socket."""
    yield from _serve(create_apiserver(crds=[crd_manifest()]))


@pytest.fixture
def bare_api_server():
    """Serve an embedded API server that does not know our CRD."""
    yield from _serve(create_apiserver())


def _serve(api):
    with LiveServer(api.app, name="Kubernetes API", streams=api) as server:
        api.url = server.url
        yield api


@pytest.fixture
def client_of():
    """Make a client: of a URL, or over a transport."""

    def make(url="http://kubernetes.example", *, transport=None, clock=None):
        return KubernetesClient(KubeConfig.from_server(url), transport=transport, clock=clock)

    return make


@pytest.fixture
def scripted_api():
    """An API whose lists and watches do what a test says."""
    return ScriptedApi()


@pytest.fixture
def tap():
    """Put a tap on a transport: `tap(transport)`."""
    return Tap


class WatchStream(httpx2.AsyncByteStream):
    """The body of a watch: what a test puts in; END ends it, an exception breaks it."""

    def __init__(self):
        self.is_closed = False
        self._chunks: asyncio.Queue[bytes | Exception] = asyncio.Queue()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (chunk := await self._chunks.get()) != END:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    async def aclose(self):
        self.is_closed = True

    def send(self, event_type, obj):
        self.put(json.dumps({"type": event_type, "object": obj}).encode() + b"\n")

    def put(self, chunk):
        self._chunks.put_nowait(chunk)

    def end(self):
        self.put(END)


class ScriptedApi(httpx2.AsyncBaseTransport):
    """A transport that answers lists with `objects`, keeps watches open, and fails first with `failures`."""

    def __init__(self):
        self.objects = []
        self.resource_version = 10
        self.failures = []
        self.watch_failures = []
        self.watches = []
        self.lists = []
        self.watched_from = []
        self.before_list_answer = None
        self.before_watch_answer = None

    async def handle_async_request(self, request):
        is_watch = "watch" in request.url.params
        failures = self.watch_failures if is_watch else self.failures
        if failures:
            failure = failures.pop(0)
            if isinstance(failure, Exception):
                raise failure
            return failure
        if is_watch:
            if self.before_watch_answer is not None:
                self.before_watch_answer()
            self.watched_from.append(request.url.params["resourceVersion"])
            stream = WatchStream()
            self.watches.append(stream)
            return httpx2.Response(200, headers={"Content-Type": "application/json"}, stream=stream)
        if request.url.path.endswith(f"/namespaces/{NAMESPACE}"):
            return httpx2.Response(200, json={"metadata": {"name": NAMESPACE, "uid": "the-namespace-uid"}})
        self.lists.append(dict(request.url.params))
        answer = {"metadata": {"resourceVersion": str(self.resource_version)}, "items": list(self.objects)}
        if self.before_list_answer is not None:
            self.before_list_answer()
        return httpx2.Response(200, json=answer)


class Tap(httpx2.AsyncBaseTransport):
    """Shows when a client is done with what came in, so that a test waits for it without polling."""

    def __init__(self, transport):
        self._transport = transport
        self._progress = asyncio.Condition()

    async def until(self, predicate):
        """Wait until something holds after an answer or an event was taken in, for at most five seconds."""
        async with asyncio.timeout(5), self._progress:
            await self._progress.wait_for(predicate)

    async def note_progress(self):
        async with self._progress:
            self._progress.notify_all()

    async def handle_async_request(self, request):
        try:
            response = await self._transport.handle_async_request(request)
        finally:
            await self.note_progress()
        response.stream = _TappedStream(response.stream, self)
        return response

    async def aclose(self):
        await self._transport.aclose()


class _TappedStream(httpx2.AsyncByteStream):
    def __init__(self, stream, tap):
        self._stream = stream
        self._tap = tap

    async def __aiter__(self):
        async for chunk in self._stream:
            yield chunk
            await self._tap.note_progress()  # the next one is asked for, so this one is taken in

    async def aclose(self):
        await self._stream.aclose()
        await self._tap.note_progress()

import asyncio
import copy
import time

import httpx2
import pytest
import uvicorn
import yaml
from lightkube import KubeConfig
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.unit.kubernetes.recording_observer import RecordingObserver

from signal_gateway.kubernetes import (
    AlreadyExists,
    ApiUnavailable,
    Conflict,
    KubernetesClient,
    KubernetesError,
    KubernetesSetupError,
    NotFound,
    RequestRejected,
)
from signal_gateway.testing import LiveServer

NAMESPACE = "kubernaut-system"


def kubeconfig(url, **cluster):
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": url, **cluster}}],
        "contexts": [{"name": "here", "context": {"cluster": "here"}}],
    }


@pytest.mark.asyncio
async def test_remediation_request_is_created_read_and_patched(api_server, client_of, manifest):
    async with client_of(api_server.url) as client:
        created = await client.create_remediation_request(manifest)
        name = created["metadata"]["name"]
        patch = {
            "metadata": {"resourceVersion": created["metadata"]["resourceVersion"]},
            "status": {"deduplication": {"occurrenceCount": 2}},
        }
        patched = await client.patch_remediation_request_status(NAMESPACE, name, patch)
        read = await client.get_remediation_request(NAMESPACE, name)

    assert created["spec"] == manifest["spec"]
    assert created["metadata"]["uid"]
    assert patched["status"] == {"deduplication": {"occurrenceCount": 2}}
    assert read == patched
    assert type(read) is dict
    assert type(read["metadata"]) is dict


@pytest.mark.asyncio
async def test_manifest_is_left_as_it_was(api_server, client_of, manifest):
    del manifest["apiVersion"], manifest["kind"]
    before = copy.deepcopy(manifest)

    async with client_of(api_server.url) as client:
        await client.create_remediation_request(manifest)

    assert manifest == before


@pytest.mark.asyncio
async def test_manifest_without_a_namespace_is_refused_before_it_is_sent(client_of, manifest):
    del manifest["metadata"]["namespace"]

    async with client_of() as client:
        with pytest.raises(ValueError, match=r"metadata\.namespace"):
            await client.create_remediation_request(manifest)


@pytest.mark.asyncio
async def test_each_refusal_has_its_own_error(api_server, client_of, manifest):
    async with client_of(api_server.url) as client:
        created = await client.create_remediation_request(manifest)
        name, version = created["metadata"]["name"], created["metadata"]["resourceVersion"]
        await client.patch_remediation_request_status(NAMESPACE, name, {"status": {"overallPhase": "Pending"}})

        with pytest.raises(AlreadyExists):
            await client.create_remediation_request(manifest)
        with pytest.raises(Conflict):
            await client.patch_remediation_request_status(
                NAMESPACE, name, {"metadata": {"resourceVersion": version}, "status": {"overallPhase": "Failed"}}
            )
        with pytest.raises(RequestRejected, match="overallPhase"):
            await client.patch_remediation_request_status(NAMESPACE, name, {"status": {"overallPhase": "Nope"}})
        with pytest.raises(NotFound):
            await client.get_remediation_request(NAMESPACE, "nobody")
        with pytest.raises(NotFound):
            await client.get_namespace("nowhere")


@pytest.mark.asyncio
async def test_observer_is_told_of_every_call_once(api_server, client_of, manifest):
    observer = RecordingObserver()

    async with client_of(api_server.url) as client:
        await client.ping(observer=observer)
        await client.get_namespace(NAMESPACE, observer=observer)
        created = await client.create_remediation_request(manifest, observer=observer)
        with pytest.raises(AlreadyExists):
            await client.create_remediation_request(manifest, observer=observer)
        name = created["metadata"]["name"]
        await client.get_remediation_request(NAMESPACE, name, observer=observer)
        await client.patch_remediation_request_status(NAMESPACE, name, {"status": {}}, observer=observer)

    assert observer.calls == [
        ("get", "version", "200"),
        ("get", "namespaces", "200"),
        ("create", "remediationrequests", "201"),
        ("create", "remediationrequests", "409"),
        ("get", "remediationrequests", "200"),
        ("patch", "remediationrequests/status", "200"),
    ]


@pytest.mark.asyncio
async def test_failing_version_makes_ping_fail(client_of):
    transport = httpx2.MockTransport(lambda _: httpx2.Response(503, text="not yet"))

    async with client_of(transport=transport) as client:
        with pytest.raises(ApiUnavailable, match="503"):
            await client.ping()


@pytest.mark.asyncio
async def test_proxy_of_the_environment_is_not_used(api_server, client_of, monkeypatch):
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")

    async with client_of(api_server.url) as client:
        await client.ping()


@pytest.mark.asyncio
async def test_idle_connection_is_given_up_before_a_server_closes_it(client_of, monkeypatch):
    callers = []

    async def version(request):
        callers.append(request.client)
        return JSONResponse({})

    app = Starlette(routes=[Route("/version", version)])
    just_before = uvicorn.Config(app, log_config=None).timeout_keep_alive - 1
    monotonic = time.monotonic
    with LiveServer(app) as server:
        async with client_of(server.url) as client:
            await client.ping()
            await client.ping()
            monkeypatch.setattr(time, "monotonic", lambda: monotonic() + just_before)
            await client.ping()

    first, second, third = callers
    assert first == second
    assert third != second


def test_client_belongs_to_the_loop_of_its_first_call(api_server, client_of):
    client = client_of(api_server.url)

    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(client.ping())
        with pytest.raises(KubernetesError, match="another"):
            second.run(client.ping())
        with pytest.raises(KubernetesError, match="another"):
            second.run(client.aclose())
        first.run(client.ping())
        first.run(client.aclose())


def test_unused_client_is_closed_on_any_loop(client_of):
    client = client_of()

    asyncio.run(client.aclose())


def test_making_a_client_needs_no_loop_and_no_server(client_of):
    assert client_of("https://kubernetes.example:6443").url == "https://kubernetes.example:6443"


def test_kubeconfig_is_read_from_a_file(api_server, tmp_path):
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(kubeconfig(api_server.url)))

    async def ping():
        async with KubernetesClient.from_kubeconfig(path) as client:
            await client.ping()
            return client.url

    assert asyncio.run(ping()) == api_server.url


@pytest.mark.parametrize(
    ("content", "context", "said"),
    [
        (None, None, "not found"),
        ("{", None, "can't be used"),
        ("a: b", None, "'clusters' is missing"),
        (yaml.safe_dump(kubeconfig("http://x") | {"current-context": None}), None, "No current context"),
        (yaml.safe_dump(kubeconfig("http://x")), "there", "'there' not found"),
        (yaml.safe_dump(kubeconfig("http://x") | {"clusters": []}), None, "'here' is missing"),
        (yaml.safe_dump(kubeconfig("kubernetes.example:6443")), None, "must be a URL"),
        ("[]", None, "form of a kubeconfig"),
        ("", None, "form of a kubeconfig"),
    ],
)
def test_kubeconfig_that_cannot_be_used_is_named(tmp_path, content, context, said):
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)

    with pytest.raises(KubernetesSetupError, match=said) as caught:
        KubernetesClient.from_kubeconfig(path, context=context)

    assert str(path) in str(caught.value)


def test_certificate_that_cannot_be_read_is_a_matter_of_set_up(tmp_path):
    config = kubeconfig("https://kubernetes.example", **{"certificate-authority": str(tmp_path / "ca.crt")})

    async def ping():
        async with KubernetesClient(KubeConfig.from_dict(config)) as client:
            await client.ping()

    with pytest.raises(KubernetesSetupError, match="certificates"):
        asyncio.run(ping())


def test_client_outside_a_pod_says_so(monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    with pytest.raises(KubernetesSetupError, match="service account"):
        KubernetesClient.in_cluster()

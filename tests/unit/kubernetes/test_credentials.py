import asyncio
import base64
import json
import ssl
import sys

import pytest
from lightkube import KubeConfig
from tests.support.certificates import make_certificate
from tests.unit.kubernetes.raw_api import RawApi, response

from signal_gateway.kubernetes import ApiUnavailable, Forbidden, KubernetesClient, KubernetesSetupError

pytestmark = pytest.mark.asyncio

NAMESPACE = "kubernaut-system"
LISTING = b'{"metadata": {"resourceVersion": "10", "uid": "u"}, "items": []}'


def config_of(api, user=None, **cluster):
    return KubeConfig.from_dict(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": api.url, **cluster}}],
            "users": [{"name": "me", "user": user or {}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        }
    )


class Guard:
    """Answers 401 to all but one Authorization header."""

    def __init__(self, authorization):
        self.accepted = authorization

    async def __call__(self, request, writer):
        if request.headers.get("authorization") == self.accepted:
            writer.write(response(LISTING))
        else:
            body = b'{"kind": "Status", "code": 401, "reason": "Unauthorized"}'
            writer.write(response(body, status="401 Unauthorized"))


def seen(api):
    return [request.headers.get("authorization") for request in api.requests]


@pytest.mark.parametrize(
    ("user", "authorization"),
    [
        ({"token": "abc"}, "Bearer abc"),
        ({"username": "u", "password": "p:w"}, "Basic " + base64.b64encode(b"u:p:w").decode()),
        ({}, None),
    ],
    ids=["token", "password", "none"],
)
async def test_credentials_of_the_kubeconfig_are_sent(user, authorization):
    async with RawApi(Guard(authorization)) as api, KubernetesClient(config_of(api, user)) as client:
        await client.ping()
        await client.ping()

    assert seen(api) == [authorization] * 2


async def test_wrong_token_is_forbidden_after_one_request():
    async with RawApi(Guard("Bearer right")) as api, KubernetesClient(config_of(api, {"token": "wrong"})) as client:
        with pytest.raises(Forbidden):
            await client.ping()

    assert seen(api) == ["Bearer wrong"]


async def test_token_file_is_read_again_when_its_token_is_refused(tmp_path):
    token = tmp_path / "token"
    token.write_text("one\n")
    guard = Guard("Bearer one")

    async with RawApi(guard) as api, KubernetesClient(config_of(api, {"tokenFile": str(token)})) as client:
        await client.ping()
        token.write_text("two\n")
        await client.ping()
        guard.accepted = "Bearer two"
        await client.ping()
        await client.ping()

    assert [it.removeprefix("Bearer ") for it in seen(api)] == ["one", "one", "one", "two", "two"]


async def test_list_and_watch_read_the_token_file_again(tmp_path):
    token = tmp_path / "token"
    token.write_text("one")
    guard = Guard("Bearer one")

    async with RawApi(guard) as api, KubernetesClient(config_of(api, {"tokenFile": str(token)})) as client:
        await client.ping()
        token.write_text("two")
        guard.accepted = "Bearer two"
        async with client.index(NAMESPACE) as index:
            assert index.is_synced

    assert seen(api)[:3] == ["Bearer one", "Bearer one", "Bearer two"]


async def test_missing_token_file_is_a_setup_error_of_a_call_and_of_an_index(tmp_path):
    user = {"tokenFile": str(tmp_path / "gone")}
    async with RawApi(Guard(None)) as api, KubernetesClient(config_of(api, user)) as client:
        with pytest.raises(KubernetesSetupError, match=r"can't get version: .*gone"):
            await client.ping()
        with pytest.raises(KubernetesSetupError, match=r"can't get namespaces: .*gone"):
            async with client.index(NAMESPACE):
                pytest.fail("there is no token")

    assert api.requests == []


async def test_token_with_a_line_end_is_not_sent():
    async with RawApi(Guard(None)) as api, KubernetesClient(config_of(api, {"token": "a\r\nX: y"})) as client:
        with pytest.raises(ApiUnavailable, match="must not have") as caught:
            await client.ping()

    assert api.requests == []
    assert "X: y" not in str(caught.value)


def plugin_of(tmp_path, code):
    script = tmp_path / "plugin.py"
    script.write_text(code)
    api_version = "client.authentication.k8s.io/v1beta1"
    environment = [{"name": "COUNTER", "value": str(tmp_path / "count")}]
    return {"exec": {"apiVersion": api_version, "command": sys.executable, "args": [str(script)], "env": environment}}


COUNTING = """
import json, os, pathlib
path = pathlib.Path(os.environ["COUNTER"])
number = int(path.read_text()) + 1 if path.exists() else 1
path.write_text(str(number))
print(json.dumps({"status": {"token": f"token-{number}"}}))
"""


async def test_credential_plugin_runs_again_when_its_token_is_refused(tmp_path):
    guard = Guard("Bearer token-1")

    async with RawApi(guard) as api, KubernetesClient(config_of(api, plugin_of(tmp_path, COUNTING))) as client:
        await client.ping()
        await client.ping()
        guard.accepted = "Bearer token-2"
        await client.ping()

    assert [it.removeprefix("Bearer token-") for it in seen(api)] == ["1", "1", "1", "2"]


async def test_credential_plugin_that_fails_is_a_setup_error(tmp_path):
    plugin = plugin_of(tmp_path, "import sys; sys.exit('no login')")

    async with RawApi(Guard(None)) as api, KubernetesClient(config_of(api, plugin)) as client:
        with pytest.raises(KubernetesSetupError, match="no login"):
            await client.ping()


async def test_credential_plugin_that_is_not_installed_is_a_setup_error(tmp_path):
    plugin = plugin_of(tmp_path, "")
    plugin["exec"]["command"] = str(tmp_path / "aws")

    async with RawApi(Guard(None)) as api, KubernetesClient(config_of(api, plugin)) as client:
        with pytest.raises(KubernetesSetupError, match="aws"):
            await client.ping()


async def test_auth_provider_is_refused_with_the_reason():
    async with (
        RawApi(Guard(None)) as api,
        KubernetesClient(config_of(api, {"auth-provider": {"name": "gcp"}})) as client,
    ):
        with pytest.raises(KubernetesSetupError, match="auth-provider not supported"):
            await client.ping()


@pytest.fixture
def server_certificate(tmp_path):
    return make_certificate(tmp_path, "server")


def server_tls(certificate, *, clients=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    if clients is not None:
        context.load_verify_locations(clients.certificate)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def encoded(path):
    return base64.b64encode(path.read_bytes()).decode()


async def test_certificate_of_the_kubeconfig_is_trusted_from_a_file_or_inline(server_certificate):
    path = server_certificate.certificate
    async with RawApi(Guard("Bearer t"), tls=server_tls(server_certificate)) as api:
        for cluster in (
            {"certificate-authority": str(path)},
            {"certificate-authority-data": encoded(path)},
            {"insecure-skip-tls-verify": True},
        ):
            async with KubernetesClient(config_of(api, {"token": "t"}, **cluster)) as client:
                await client.ping()
                async with client.index(NAMESPACE) as index:
                    assert index.is_synced


async def test_unknown_certificate_is_refused(server_certificate, tmp_path):
    other = make_certificate(tmp_path, "other")
    cluster = {"certificate-authority": str(other.certificate)}

    tls = server_tls(server_certificate)
    async with RawApi(Guard(None), tls=tls) as api, KubernetesClient(config_of(api, **cluster)) as client:
        with pytest.raises(ApiUnavailable, match=r"ConnectError: .*CERTIFICATE_VERIFY_FAILED"):
            await client.ping()

    assert api.requests == []


async def test_certificate_for_another_host_is_refused(server_certificate):
    cluster = {"certificate-authority": str(server_certificate.certificate)}

    async with RawApi(Guard(None), tls=server_tls(server_certificate)) as api:
        config = config_of(api, **cluster)
        config.clusters["here"].server = api.url.replace("127.0.0.1", "localhost")
        async with KubernetesClient(config) as client:
            with pytest.raises(ApiUnavailable, match=r"ConnectError: .*localhost"):
                await client.ping()


async def test_client_certificate_is_presented(server_certificate, tmp_path):
    mine = make_certificate(tmp_path, "me")
    cluster = {"certificate-authority": str(server_certificate.certificate)}

    async with RawApi(Guard(None), tls=server_tls(server_certificate, clients=mine)) as api:
        for user in (
            {"client-certificate": str(mine.certificate), "client-key": str(mine.key)},
            {"client-certificate-data": encoded(mine.certificate), "client-key-data": encoded(mine.key)},
        ):
            async with KubernetesClient(config_of(api, user, **cluster)) as client:
                await client.ping()

    names = [dict(part[0] for part in request.certificate["subject"])["commonName"] for request in api.requests]
    assert names == ["me", "me"]


async def test_proxies_of_the_environment_are_not_used_for_tls(server_certificate, monkeypatch):
    for variable in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    cluster = {"certificate-authority": str(server_certificate.certificate)}

    tls = server_tls(server_certificate)
    async with RawApi(Guard(None), tls=tls) as api, KubernetesClient(config_of(api, **cluster)) as client:
        await client.ping()

    assert len(api.requests) == 1


async def test_watch_with_credentials_goes_on_behind_the_event_that_it_applied(make_stored_request):
    event = json.dumps({"type": "ADDED", "object": make_stored_request("u1", 11)}).encode() + b"\n"
    is_watched_again = asyncio.Event()

    async def answer(request, writer):
        if "watch=true" not in request.line:
            writer.write(response(LISTING))
            return
        assert request.headers["accept-encoding"] == "identity"
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        if "resourceVersion=11" in request.line:
            is_watched_again.set()
            return
        for part in (event[:7], event[7:]):
            writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    config = {"token": "t"}
    async with RawApi(answer) as api, KubernetesClient(config_of(api, config)) as client, client.index(NAMESPACE) as it:
        await is_watched_again.wait()
        assert list(it.active_uids()) == ["u1"]

    assert {request.headers["authorization"] for request in api.requests} == {"Bearer t"}
    assert {request.connection for request in api.requests} == {0}

import asyncio
import gzip
import json
import os
import socket
import ssl
import time

import pytest
from lightkube import KubeConfig
from tests.support.certificates import make_certificate
from tests.unit.kubernetes.raw_api import RawApi, response

from signal_gateway.kubernetes import ApiUnavailable, KubernetesClient, http_transport
from signal_gateway.kubernetes.errors import HttpFailure

pytestmark = pytest.mark.asyncio

VERSION = b'{"major": "1", "minor": "36"}'
CHUNKS = b"0a;x=y\r\n" + VERSION[:10] + b"\r\n13\r\n" + VERSION[10:] + b"\r\n0\r\nTrailer: x\r\n\r\n"


def client_of(api):
    return KubernetesClient(KubeConfig.from_server(api.url))


def always(*parts):
    async def answer(_, writer):
        for part in parts:
            writer.write(part)
            await writer.drain()

    return answer


def then_close(*parts):
    async def answer(_, writer):
        writer.write(b"".join(parts))
        writer.close()

    return answer


@pytest.mark.parametrize(
    "parts",
    [
        [response(VERSION)],
        [b"HTTP/1.1 200 OK\r\ncONTENT-length: 29\r\n\r\n", VERSION],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1d\r\n", VERSION, b"\r\n0\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", CHUNKS],
        [b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", response(VERSION)],
        [b"HTTP/1.1 100 Continue\r\n\r\n" + response(VERSION)],
        [response(gzip.compress(VERSION), Content_Encoding="gzip")],
        [bytes([byte]) for byte in response(VERSION)],
    ],
    ids=["length", "other case", "chunked", "chunks", "early hints", "continue", "gzip", "byte by byte"],
)
async def test_response_in_any_form_is_read_and_its_connection_used_again(parts):
    async with RawApi(always(*parts)) as api, client_of(api) as client:
        for _ in range(3):
            await client.ping()
        found = await client.get_namespace("x")

    assert found == json.loads(VERSION)
    assert {request.connection for request in api.requests} == {0}


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 29\r\n\r\n",
    ],
    ids=["until the end", "HTTP/1.0", "announced"],
)
async def test_connection_that_the_server_closes_after_its_response_is_not_used_again(head):
    async with RawApi(then_close(head, VERSION)) as api, client_of(api) as client:
        assert await client.get_namespace("x") == json.loads(VERSION)
        assert await client.get_namespace("x") == json.loads(VERSION)

    assert [request.connection for request in api.requests] == [0, 1]


async def test_connection_that_was_closed_while_idle_is_not_used_though_the_loop_has_not_read_its_end():
    async with RawApi(always(response(VERSION))) as api, client_of(api) as client:
        await client.ping()
        theirs = api.writers[0].get_extra_info("socket")
        theirs.shutdown(socket.SHUT_WR)  # in the kernel at once; the loop has no turn before the next call
        await client.ping()

    assert [request.connection for request in api.requests] == [0, 1]


@pytest.mark.parametrize(
    ("sent", "cause"),
    [
        (b"", "RemoteProtocolError: the server closed the connection without a response"),
        (b"HTTP/1.1 201 Created\r\nContent-Length: 50\r\n\r\n{", "in the middle of its response"),
        (b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", "in the middle of its response"),
        (b"HTTP/1.1 20", "without a response"),
        (b"SSH-2.0-OpenSSH\r\n", "not HTTP/1.1"),
        (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", "RemoteProtocolError"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, "exceeds"),
        (response(b"\x1f\x8bno", Content_Encoding="gzip"), "DecodingError"),
    ],
    ids=[
        "nothing",
        "cut off",
        "cut off chunks",
        "half a head",
        "other protocol",
        "upgrade",
        "long head",
        "damaged gzip",
    ],
)
async def test_create_without_a_complete_response_fails_and_is_sent_once(manifest, sent, cause):
    async with RawApi(then_close(sent)) as api, client_of(api) as client:
        with pytest.raises(ApiUnavailable, match=cause):
            await client.create_remediation_request(manifest)

    assert len(api.requests) == 1


async def test_create_on_a_connection_that_the_server_closes_at_that_moment_is_sent_once(manifest):
    """The server may have created the object before it closed the connection: only the caller can find out."""

    async def answer(request, writer):
        if request.line.startswith("GET"):
            writer.write(response(VERSION))
        else:
            writer.close()

    async with RawApi(answer) as api, client_of(api) as client:
        await client.ping()
        with pytest.raises(ApiUnavailable, match="without a response"):
            await client.create_remediation_request(manifest)

    assert [request.line.split()[0] for request in api.requests] == ["GET", "POST"]
    assert {request.connection for request in api.requests} == {0}


async def test_late_response_to_a_cancelled_call_is_not_taken_for_the_next():
    arrived = asyncio.Event()

    async def answer(request, writer):
        if request.line.startswith("GET /api/v1/namespaces/first"):
            arrived.set()
            await release.wait()
        writer.write(response(json.dumps({"for": request.line.split()[1]}).encode()))

    release = asyncio.Event()
    async with RawApi(answer) as api, client_of(api) as client:
        first = asyncio.create_task(client.get_namespace("first"))
        await arrived.wait()
        first.cancel()
        release.set()
        second = await client.get_namespace("second")

    assert second == {"for": "/api/v1/namespaces/second"}
    assert [request.connection for request in api.requests] == [0, 1]


async def test_second_response_to_one_request_is_not_taken_for_the_next():
    async def answer(request, writer):
        body = json.dumps({"for": request.line.split()[1]}).encode()
        writer.write(response(body) + response(b'{"for": "nobody"}'))

    async with RawApi(answer) as api, client_of(api) as client:
        found = [await client.get_namespace(name) for name in ("a", "b")]

    assert found == [{"for": "/api/v1/namespaces/a"}, {"for": "/api/v1/namespaces/b"}]
    assert [request.connection for request in api.requests] == [0, 1]


async def test_call_beyond_the_limit_of_connections_waits_for_another(monkeypatch):
    monkeypatch.setattr(http_transport, "_MAX_CONNECTIONS", 2)
    release = asyncio.Event()
    both = asyncio.Event()

    async def answer(_, writer):
        if len(api.requests) == 2:
            both.set()
        await release.wait()
        writer.write(response(VERSION))

    async with RawApi(answer) as api, client_of(api) as client:
        calls = [asyncio.create_task(client.ping()) for _ in range(6)]
        await both.wait()
        calls[3].cancel()
        release.set()
        await asyncio.gather(*calls[:3], *calls[4:])

    assert len(api.requests) == 5
    assert {request.connection for request in api.requests} == {0, 1}


async def test_call_waits_for_a_connection_for_a_limited_time(monkeypatch):
    monkeypatch.setattr(http_transport, "_MAX_CONNECTIONS", 1)
    asked = asyncio.Event()

    async def answer(_, __):
        asked.set()

    async with RawApi(answer) as api, client_of(api) as client:
        first = asyncio.create_task(client.ping())
        await asked.wait()
        monkeypatch.setattr(http_transport, "_PHASE_SECONDS", 0.01)
        with pytest.raises(ApiUnavailable, match="PoolTimeout"):
            await client.ping()
        first.cancel()


async def test_call_without_progress_fails_after_ten_seconds(monkeypatch):
    asked = asyncio.Event()

    async def answer(_, __):
        asked.set()

    async with RawApi(answer) as api, client_of(api) as client:
        call = asyncio.create_task(client.ping())
        await asked.wait()
        monotonic = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: monotonic() + 10.1)
        with pytest.raises(ApiUnavailable, match=r"no response in time \(ReadTimeout\)"):
            await call


async def test_request_that_the_server_does_not_read_is_a_write_timeout(manifest, monkeypatch):
    manifest["spec"]["originalPayload"] = "x" * 20_000_000
    accepted = asyncio.Queue()

    async def accept(_, writer):
        writer.transport.pause_reading()
        accepted.put_nowait(writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, KubernetesClient(KubeConfig.from_server(url)) as client:
        call = asyncio.create_task(client.create_remediation_request(manifest))
        theirs = await accepted.get()
        monotonic = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: monotonic() + 10.1)
        with pytest.raises(ApiUnavailable, match=r"no response in time \(WriteTimeout\)"):
            await call
        theirs.transport.abort()


async def test_large_request_and_response_pass(manifest):
    manifest["spec"]["originalPayload"] = "x" * 5_000_000

    async def echo(request, writer):
        writer.write(response(request.body or VERSION))

    async with RawApi(echo) as api, client_of(api) as client:
        created = await client.create_remediation_request(manifest)
        await client.ping()

    assert created == manifest
    assert {request.connection for request in api.requests} == {0}


async def test_names_cannot_change_the_request():
    async with RawApi(always(response(b'{"metadata": {}}'))) as api, client_of(api) as client:
        for name in ("a b", "a\r\nX: y", "a?b=c", "a#b", "ü", "a%2Fb"):
            await client.get_namespace(name)

    assert [request.line.split()[1].removeprefix("/api/v1/namespaces/") for request in api.requests] == [
        "a%20b",
        "a%0D%0AX:%20y",
        "a%3Fb=c",
        "a%23b",
        "%C3%BC",
        "a%252Fb",
    ]


async def test_server_url_with_a_path_is_continued():
    async with RawApi(always(response(VERSION))) as api:
        config = KubeConfig.from_server(f"{api.url}/k8s/clusters/c-1/")
        host = api.url.removeprefix("http://")
        async with KubernetesClient(config) as client:
            await client.ping()

    assert api.requests[0].line == "GET /k8s/clusters/c-1/version HTTP/1.1"
    assert api.requests[0].headers["host"] == host
    assert api.requests[0].headers["user-agent"].startswith("signal-gateway/")


async def test_close_ends_a_call_in_flight():
    asked = asyncio.Event()

    async def answer(_, __):
        asked.set()

    async with RawApi(answer) as api:
        client = client_of(api)
        call = asyncio.create_task(client.ping())
        await asked.wait()
        await client.aclose()
        with pytest.raises(ApiUnavailable):
            await call


async def test_close_leaves_no_open_file():
    async with RawApi(always(response(VERSION))) as api:
        before = len(os.listdir("/proc/self/fd"))
        client = client_of(api)
        await asyncio.gather(*(client.ping() for _ in range(20)))
        await client.aclose()
        for writer in api.writers:
            await writer.wait_closed()
        assert len(os.listdir("/proc/self/fd")) == before


async def test_stream_with_a_second_response_fails_at_once():
    async with RawApi(always(response(VERSION) + response(b"{}"))) as api:
        transport = http_transport.HttpTransport(api.url, tls=None)
        with pytest.raises(HttpFailure, match="more than one response"):
            async with transport.stream("GET", "/", {}):
                raise AssertionError("not reached")
        await transport.aclose()


async def test_stream_that_is_left_before_its_large_response_is_read_does_not_stop_the_next_call():
    async def answer(request, writer):
        large = b"x" * (400_000 if request.line.startswith("GET /large") else 1)
        writer.write(response(large))

    async with RawApi(answer) as api:
        transport = http_transport.HttpTransport(api.url, tls=None)
        async with transport.stream("GET", "/large", {}):
            pending = next(iter(transport._open))
            for _ in range(1000):
                if pending.is_free:
                    break
                await asyncio.sleep(0)
        assert (await transport.send("GET", "/small", {})).body == b"x"
        await transport.aclose()


async def test_close_that_is_cancelled_leaves_the_loop_in_order():
    errors = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    async with RawApi(always(response(VERSION))) as api:
        transport = http_transport.HttpTransport(api.url, tls=None)
        await transport.send("GET", "/", {})
        closing = asyncio.create_task(transport.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait({closing})
        await transport.aclose()

    assert closing.cancelled()
    assert errors == []


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "TLS"])
async def test_close_ends_all_calls_that_wait_for_a_connection(monkeypatch, tmp_path, is_tls):
    monkeypatch.setattr(http_transport, "_MAX_CONNECTIONS", 4)
    asked = asyncio.Event()

    async def answer(_, __):
        if len(api.requests) == 4:
            asked.set()

    certificate = make_certificate(tmp_path)
    of_server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    of_server.load_cert_chain(certificate.certificate, certificate.key)
    async with RawApi(answer, tls=of_server if is_tls else None) as api:
        transport = http_transport.HttpTransport(api.url, tls=certificate.trusted if is_tls else None)
        calls = [asyncio.create_task(transport.send("GET", "/", {})) for _ in range(20)]
        await asked.wait()
        await transport.aclose()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)

    assert {outcome.kind for outcome in outcomes} == {"PoolClosed", "RemoteProtocolError"}

"""What a client may leave undone, on real sockets; each connection ends, by a refusal where one is due."""

import asyncio
import io
import json
import socket
from http.client import HTTPResponse
from types import SimpleNamespace

import pytest
import pytest_asyncio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.server import ServerState

from signal_gateway.web.problem import PROBLEM_JSON
from signal_gateway.web.serving.app_server import AppServer
from signal_gateway.web.serving.http_protocol import BoundedProtocol, ConnectionLimits
from signal_gateway.web.serving.sockets import bind

pytestmark = pytest.mark.asyncio

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
IMPATIENT = ConnectionLimits(head_seconds=0.05, stall_seconds=0.05)


@pytest_asyncio.fixture
async def serve():
    servers = []

    async def serve(limits=ConnectionLimits(), *, answer_bytes=2):  # noqa: B008
        async def read(request: Request) -> Response:
            return Response(str(len(await request.body())).ljust(answer_bytes), media_type="text/plain")

        server = AppServer(Starlette(routes=[Route("/", read, methods=["GET", "POST"])]), sock=bind(), limits=limits)
        await server.start()
        servers.append(server)
        return server

    yield serve
    for server in servers:
        await server.stop()


def connect(server):
    host, port = server.url.removeprefix("http://").split(":")
    return asyncio.open_connection(host, int(port))


async def until_closed(reader):
    async with asyncio.timeout(10):
        return await reader.read()


def problem(data):
    """Read a problem that is the whole of what came."""
    response = HTTPResponse(SimpleNamespace(makefile=lambda _: io.BytesIO(data)))
    response.begin()
    body = json.loads(response.read())
    assert response.headers["content-type"] == PROBLEM_JSON
    assert response.headers["connection"] == "close"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert body["request_id"] == response.headers["x-request-id"]
    assert body["status"] == response.status
    return body


async def ended(server, writer):
    """Wait until the server has forgotten the connection."""
    writer.close()
    async with asyncio.timeout(10):
        await server._uvicorn._connections.wait_until_empty()
        await server.wait_until_idle()
    return server.open_connections == 0 and server.requests_in_flight == 0


@pytest.mark.parametrize(
    "garbage",
    [
        b"hello\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        CHUNKED + b"zz\r\n",
        CHUNKED + b"-5\r\nabc",
    ],
)
async def test_what_is_not_http_is_a_400(serve, garbage):
    server = await serve()
    reader, writer = await connect(server)

    writer.write(garbage)

    body = problem(await until_closed(reader))
    assert body["status"] == 400
    assert "HTTP/1.1" in body["detail"]
    assert await ended(server, writer)


async def test_garbage_behind_a_request_that_waits_is_not_taken_for_its_answer(serve):
    server = await serve()
    reader, writer = await connect(server)

    writer.write(GET + b"garbage\r\n\r\n")

    answer = await until_closed(reader)
    assert b" 400 " not in answer
    assert await ended(server, writer)


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(b"GET / HTTP/1.1\r\n" + b"X-Header: value\r\n" * 100_000, id="headers"),
        pytest.param(b"GET / HTTP/1.1\r\nX-Header: " + b"v" * 1_000_000, id="a value"),
        pytest.param(b"GET /" + b"p" * 1_000_000, id="a path"),
        pytest.param(b"\r\n" * 500_000, id="empty lines"),
        pytest.param(CHUNKED + b"1\r\nx\r\n0\r\n" + b"X-Trailer: value\r\n" * 100_000, id="trailers"),
        pytest.param(CHUNKED + b"1\r\nx\r\n0\r\nX-Trailer: " + b"v" * 1_000_000, id="a trailer"),
        pytest.param(CHUNKED + b"1;" + b"e" * 1_000_000, id="a chunk's extension"),
    ],
)
async def test_flood_ends_at_the_limit_with_a_431(serve, flood):
    server = await serve()
    reader, writer = await connect(server)

    writer.write(flood)  # and no end

    assert (await reader.readline()).startswith(b"HTTP/1.1 431 ")
    assert await ended(server, writer)


async def test_head_within_the_limit_gets_through(serve):
    server = await serve()
    reader, writer = await connect(server)

    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Header: value\r\n" * 3000 + b"\r\n")

    assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    assert await ended(server, writer)


async def test_trailers_are_read_and_dropped(serve):
    server = await serve()
    reader, writer = await connect(server)

    writer.write(CHUNKED + b"3\r\nabc\r\n0\r\nX-Trailer: value\r\n\r\n")
    writer.write(GET.replace(b"Host: x", b"Host: x\r\nConnection: close"))

    answer = await until_closed(reader)
    assert answer.count(b"HTTP/1.1 200 ") == 2
    assert await ended(server, writer)


async def test_head_that_takes_too_long_is_a_408(serve):
    server = await serve(IMPATIENT)
    reader, writer = await connect(server)

    writer.write(b"GET / HTTP/1.1\r\nHost:")

    assert problem(await until_closed(reader))["status"] == 408
    assert await ended(server, writer)


@pytest.mark.parametrize("before", [b"", GET])
async def test_second_head_that_takes_too_long_is_a_408_too_and_silence_is_just_closed(serve, before):
    server = await serve(IMPATIENT)
    reader, writer = await connect(server)

    writer.write(before)
    if before:
        await reader.readuntil(b"\r\n\r\n0 ")
        writer.write(b"GET")

    answer = await until_closed(reader)
    assert answer == b"" if not before else problem(answer)["status"] == 408
    assert await ended(server, writer)


async def test_client_that_does_not_read_is_cut_off(serve, caplog):
    server = await serve(IMPATIENT, answer_bytes=20_000_000)
    reader, writer = await connect(server)
    writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    writer.write(GET)
    await reader.readline()
    writer.transport.pause_reading()

    async with asyncio.timeout(10):
        await server._uvicorn._connections.wait_until_empty()
    assert "closed the connection of a client that read nothing" in caplog.text
    assert await ended(server, writer)


@pytest.mark.parametrize(("waiting", "is_cut_off"), [([900, 500, 100], False), ([900, 500, 500], True)])
async def test_client_that_reads_at_all_is_waited_for(waiting, is_cut_off):
    timers, cut_off = [], []
    transport = SimpleNamespace(
        get_extra_info=lambda _: None,
        get_write_buffer_size=lambda: waiting[0],
        abort=lambda: cut_off.append(True),
    )
    config = uvicorn.Config(lambda: None, log_config=None, lifespan="off")
    protocol = BoundedProtocol(
        limits=ConnectionLimits(),
        config=config,
        server_state=ServerState(),
        app_state={},
        _loop=SimpleNamespace(call_later=lambda _, call, *args: timers.append((call, args))),
    )
    protocol.connection_made(transport)

    protocol.pause_writing()
    while len(waiting) > 1:
        del waiting[0]
        call, args = timers.pop()
        call(*args)

    assert bool(cut_off) == is_cut_off


UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"


@pytest.mark.parametrize(
    "body",
    [b"Content-Length: 5\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"],
    ids=["length", "chunked"],
)
@pytest.mark.parametrize(
    "upgrade", [UPGRADE, UPGRADE.replace(b"h2c", b"websocket"), UPGRADE.replace(b"h2c", b"TLS/1.2")]
)
async def test_upgrade_is_ignored_and_the_body_kept(serve, upgrade, body):
    reader, writer = await connect(await serve())

    writer.write(
        b"POST / HTTP/1.1\r\nHost: x\r\n" + upgrade + body + GET.replace(b"Host", b"Connection: close\r\nHost")
    )

    first, second = (await until_closed(reader)).split(b"HTTP/1.1 ")[1:]
    assert (first[:3], first[-2:]) == (b"200", b"5 ")
    assert (second[:3], second[-2:]) == (b"200", b"0 ")
    writer.close()


async def test_upgrade_in_single_bytes_is_ignored_and_the_body_kept(serve):
    reader, writer = await connect(await serve())
    request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n" + UPGRADE + b"\r\nhello"

    for byte in request:
        writer.write(bytes([byte]))
        await asyncio.sleep(0)

    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert await reader.readexactly(2) == b"5 "
    writer.close()


async def test_many_upgrades_in_one_write_all_keep_their_bodies(serve):
    reader, writer = await connect(await serve())
    request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n" + UPGRADE + b"\r\nhello"

    writer.write(request * 100 + GET.replace(b"Host", b"Connection: close\r\nHost"))

    answers = (await until_closed(reader)).split(b"HTTP/1.1 ")[1:]
    assert [answer[-2:] for answer in answers] == [b"5 "] * 100 + [b"0 "]
    writer.close()

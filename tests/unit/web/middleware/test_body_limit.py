"""Bodies that are too large or too slow, on real sockets."""

import gzip
import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from signal_gateway.testing import LiveServer
from signal_gateway.web.body import BodyLimitMiddleware, json_body
from signal_gateway.web.problem import problem_handlers

LIMIT = 1000
CHUNKED = b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
ANNOUNCED = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"


@contextmanager
def connection(*, max_seconds: float | None = 30.0) -> Iterator[socket.socket]:
    """Connect to a server that reads the body at /reads and leaves it alone at /ignores."""

    async def reads(request: Request) -> Response:
        return Response(str(len(await request.body())))

    async def ignores(_: Request) -> Response:
        return Response("ignored")

    app = Starlette(
        routes=[Route("/reads", reads, methods=["POST"]), Route("/ignores", ignores, methods=["POST"])],
        middleware=[Middleware(BodyLimitMiddleware, max_body_bytes=LIMIT, max_seconds=max_seconds)],
    )
    with LiveServer(app) as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=60) as sock:
            yield sock


def chunk(size: int) -> bytes:
    return b"%x\r\n%b\r\n" % (size, b"x" * size)


def until_closed(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))


@pytest.mark.parametrize("path", [b"/reads", b"/ignores"])
def test_chunked_body_within_the_limits_gets_through(path: bytes) -> None:
    with connection() as sock:
        sock.sendall(CHUNKED % path + chunk(LIMIT // 2) * 2 + b"0\r\n\r\n")

        assert sock.recv(65536).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("path", [b"/reads", b"/ignores"])
def test_endless_chunked_body_is_refused_at_the_limit(path: bytes) -> None:
    with connection() as sock:
        sock.sendall(CHUNKED % path + chunk(LIMIT) + chunk(1))  # and no end

        answer = until_closed(sock)

    assert answer.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in answer.lower()


def test_announced_body_is_refused_before_it_comes() -> None:
    with connection() as sock:
        sock.sendall(ANNOUNCED % (b"/reads", LIMIT + 1))

        assert until_closed(sock).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("path", [b"/reads", b"/ignores"])
@pytest.mark.parametrize("start", [CHUNKED, ANNOUNCED])
def test_body_that_takes_too_long_is_refused(path: bytes, start: bytes) -> None:
    with connection(max_seconds=0.05) as sock:
        head = start % path if start is CHUNKED else start % (path, LIMIT)
        sock.sendall(head + (chunk(10) if start is CHUNKED else b"x" * 10))

        answer = until_closed(sock)

    assert answer.startswith(b"HTTP/1.1 408")
    assert b"connection: close" in answer.lower()
    assert b"The body took longer than 0.05 s." in answer


def test_answer_to_an_unread_body_leaves_the_connection_usable() -> None:
    with connection() as sock:
        for _ in range(2):
            sock.sendall(ANNOUNCED % (b"/ignores", 500) + b"x" * 100)
            sock.sendall(b"x" * 400)
            answer = b""
            while not answer.endswith(b"ignored"):
                answer += sock.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200")


def test_without_a_time_limit_an_early_answer_waits_for_nothing() -> None:
    with connection(max_seconds=None) as sock:
        sock.sendall(ANNOUNCED % (b"/ignores", 500))

        assert sock.recv(65536).startswith(b"HTTP/1.1 200")


@contextmanager
def service() -> Iterator[httpx.Client]:
    """Serve an application that returns the body that it reads."""

    async def echoes(request: Request) -> Response:
        return Response(await json_body(request))

    app = Starlette(
        routes=[Route("/", echoes, methods=["POST"])],
        middleware=[Middleware(BodyLimitMiddleware, max_body_bytes=LIMIT, max_seconds=30.0)],
        exception_handlers=problem_handlers(),
    )
    with LiveServer(app) as server, httpx.Client(base_url=server.url) as client:
        yield client


def post(client: httpx.Client, body: bytes, encoding: str) -> httpx.Response:
    return client.post("/", content=body, headers={"Content-Type": "application/json", "Content-Encoding": encoding})


TEXT = b'{"a": "' + b"b" * 900 + b'"}'


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(TEXT, mtime=0), "gzip"),
        (gzip.compress(TEXT, mtime=0), "X-GZip"),
        (gzip.compress(TEXT[:10], mtime=0) + gzip.compress(TEXT[10:], mtime=0), "gzip"),
        (zlib.compress(TEXT), "deflate"),
        (TEXT, "identity"),
    ],
    ids=["gzip", "alias", "two members", "deflate", "identity"],
)
def test_compressed_body_is_decompressed(body: bytes, encoding: str) -> None:
    with service() as client:
        response = post(client, body, encoding)

        assert (response.status_code, response.content) == (200, TEXT)


@pytest.mark.parametrize("size", [LIMIT + 1, 500 * LIMIT])
def test_compressed_body_that_expands_beyond_the_limit_is_refused(size: int) -> None:
    body = gzip.compress(bytes(size))

    with service() as client:
        response = post(client, body, "gzip")

        assert len(body) < LIMIT
        assert response.status_code == 413


@pytest.mark.parametrize(
    ("body", "encoding", "status", "detail"),
    [
        (TEXT, "gzip", 400, "not valid gzip"),
        (gzip.compress(TEXT, mtime=0)[:-1], "gzip", 400, "ends before its gzip data"),
        (gzip.compress(TEXT, mtime=0) + b"more", "gzip", 400, "not valid gzip"),
        (b"", "gzip", 400, "ends before its gzip data"),
        (gzip.compress(TEXT, mtime=0), "deflate", 400, "not valid deflate"),
        (TEXT, "br", 415, "send gzip, deflate, or no Content-Encoding"),
        (TEXT, "gzip, gzip", 415, "gzip, gzip"),
    ],
)
def test_body_that_cannot_be_decompressed_is_refused(body: bytes, encoding: str, status: int, detail: str) -> None:
    with service() as client:
        response = post(client, body, encoding)

        assert response.status_code == status
        assert detail in response.json()["detail"]
        assert (response.headers.get("Accept-Encoding") is not None) == (status == 415)

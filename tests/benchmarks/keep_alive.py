"""Requests on one kept-alive connection: what a socket costs that was made without naming its protocol."""

import socket
import time

from starlette.responses import PlainTextResponse
from tests.benchmarks.measure import Benchmark, Ratio, Series

from signal_gateway.testing import LiveServer

REQUESTS = 30


async def app(scope, receive, send):
    """Answer in two writes, head and body, as HTTP servers do."""
    await PlainTextResponse("x" * 100)(scope, receive, send)


def run() -> Benchmark:
    ours = Series("IPPROTO_TCP said, as the harness does", "ms", _milliseconds(None))
    bare = Series("protocol 0, as socket.socket() does", "ms", _milliseconds(_bare_socket()))
    return Benchmark(
        "One request on a kept-alive connection",
        [ours, bare],
        [Ratio("slowest request of ours / 40 ms", max(ours.samples[1:]) / 40, at_most=0.5)],
    )


def _milliseconds(sock: socket.socket | None) -> list[float]:
    figures = []
    with LiveServer(app, sock=sock) as server:
        for _ in range(REQUESTS):
            start = time.perf_counter()
            server.client.get("/")
            figures.append((time.perf_counter() - start) * 1000)
    return figures


def _bare_socket() -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    sock.setblocking(False)
    return sock

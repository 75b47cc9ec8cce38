"""What serving alone costs: start, one request, stop, of an application that does nothing."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import uvicorn
from starlette.responses import PlainTextResponse
from tests.benchmarks.measure import Benchmark, Ratio, Series

from signal_gateway.testing import LiveServer
from signal_gateway.testing.runtime.loops import SERVERS

ROUNDS = 15


async def app(scope, receive, send):
    await PlainTextResponse("x")(scope, receive, send)


def run() -> Benchmark:
    ours: list[float] = []
    recipe: list[float] = []
    loop = SERVERS.acquire()  # as a session does
    try:
        for _ in range(ROUNDS):
            ours.append(_milliseconds(_live_server))
            recipe.append(_milliseconds(_uvicorn_in_a_thread))
    finally:
        loop.release()
    live = Series("LiveServer, its own client", "ms", ours[1:])
    threaded = Series("uvicorn in a thread, httpx.Client()", "ms", recipe[1:])
    return Benchmark(
        "Serving alone: start, one request, stop, of an application that does nothing",
        [live, threaded],
        [Ratio("uvicorn in a thread / LiveServer", threaded.median / live.median, at_least=25)],
    )


def _milliseconds(serve: Callable[[], Iterator[httpx.Client]]) -> float:
    start = time.perf_counter()
    with contextmanager(serve)() as client:
        assert client.get("/").text == "x"
    return (time.perf_counter() - start) * 1000


def _live_server() -> Iterator[httpx.Client]:
    with LiveServer(app) as server:
        yield server.client


def _uvicorn_in_a_thread() -> Iterator[httpx.Client]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.001)  # ok: this is the recipe
    port = server.servers[0].sockets[0].getsockname()[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        yield client
    server.should_exit = True
    thread.join()

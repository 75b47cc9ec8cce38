import asyncio
import contextlib
import inspect
import logging
from datetime import UTC, datetime
from types import SimpleNamespace

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from signal_gateway.clock import SystemClock
from signal_gateway.web.serving import app_server as serving
from signal_gateway.web.serving.app_server import AppServer
from signal_gateway.web.serving.sockets import bind


async def hello(_request):
    return PlainTextResponse("hello")


@contextlib.asynccontextmanager
async def client_for(server):
    async with httpx.AsyncClient(base_url=server.url, trust_env=False, verify=False) as client:
        yield client


@pytest.mark.asyncio
async def test_app_answers_between_start_and_stop():
    server = AppServer(Starlette(routes=[Route("/", hello)]), sock=bind())
    await server.start()

    async with client_for(server) as client:
        response = await client.get("/")
        await server.stop()

        assert response.text == "hello"
        with pytest.raises(httpx.ConnectError):
            await client.get("/")


@pytest.mark.asyncio
async def test_failed_startup_raises_the_applications_own_exception():
    @contextlib.asynccontextmanager
    async def lifespan(_app):
        raise LookupError("no such cluster")
        yield

    sock = bind()
    server = AppServer(Starlette(lifespan=lifespan), sock=sock)

    with pytest.raises(LookupError, match="no such cluster"):
        await server.start()
    assert sock.fileno() == -1


@pytest.mark.asyncio
async def test_start_that_is_given_up_leaves_no_task_behind():
    is_starting, was_cancelled = asyncio.Event(), asyncio.Event()

    @contextlib.asynccontextmanager
    async def lifespan(_app):
        is_starting.set()
        try:
            await asyncio.Event().wait()
        finally:
            was_cancelled.set()
        yield

    sock = bind()
    starting = asyncio.create_task(AppServer(Starlette(lifespan=lifespan), sock=sock).start())
    await is_starting.wait()

    starting.cancel()

    async with asyncio.timeout(5):
        await was_cancelled.wait()
    sock.close()


@pytest.mark.asyncio
async def test_failed_shutdown_raises_the_applications_own_exception():
    @contextlib.asynccontextmanager
    async def lifespan(_app):
        yield
        raise LookupError("could not say goodbye")

    server = AppServer(Starlette(lifespan=lifespan), sock=bind())
    await server.start()

    with pytest.raises(LookupError, match="could not say goodbye"):
        await server.stop()


@pytest.mark.asyncio
async def test_app_without_a_lifespan_is_served_where_it_may_lack_one():
    async def app(scope, receive, send):
        assert scope["type"] == "http", "this application knows no other"
        await PlainTextResponse("bare")(scope, receive, send)

    server = AppServer(app, sock=bind(), lifespan="auto")
    await server.start()

    async with client_for(server) as client:
        assert (await client.get("/")).text == "bare"
    await server.stop()


@pytest.mark.asyncio
async def test_request_in_flight_is_answered_before_the_stop_ends():
    has_begun, may_answer = asyncio.Event(), asyncio.Event()

    async def slow(_request):
        has_begun.set()
        await may_answer.wait()
        return PlainTextResponse("done")

    server = AppServer(Starlette(routes=[Route("/", slow)]), sock=bind())
    await server.start()

    async with client_for(server) as client:
        request = asyncio.create_task(client.get("/"))
        await has_begun.wait()
        stop = asyncio.create_task(server.stop())
        may_answer.set()
        response = await request
        await stop

    assert response.text == "done"


@pytest.mark.asyncio
async def test_run_serves_until_the_event_and_while_the_stop_is_put_off():
    end, has_started, is_put_off, may_stop = (asyncio.Event() for _ in range(4))

    async def put_off():
        is_put_off.set()
        await may_stop.wait()

    server = AppServer(Starlette(routes=[Route("/", hello)]), sock=bind())
    running = asyncio.create_task(server.run(until=end, on_start=has_started.set, before_stop=put_off))

    async with asyncio.timeout(10), client_for(server) as client:
        await has_started.wait()
        end.set()
        await is_put_off.wait()
        meanwhile = await client.get("/")
        may_stop.set()
        await running
        with pytest.raises(httpx.ConnectError):
            await client.get("/")

    assert meanwhile.text == "hello"


@pytest.mark.asyncio
async def test_run_gives_the_start_up_when_the_end_comes_first():
    is_starting, was_cancelled, end = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @contextlib.asynccontextmanager
    async def lifespan(_app):
        is_starting.set()
        try:
            await asyncio.Event().wait()
        finally:
            was_cancelled.set()
        yield

    sock, starts = bind(), []
    running = asyncio.create_task(
        AppServer(Starlette(lifespan=lifespan), sock=sock).run(until=end, on_start=lambda: starts.append(1))
    )
    async with asyncio.timeout(10):
        await is_starting.wait()
        end.set()
        await running

    assert was_cancelled.is_set()
    assert (sock.fileno(), starts) == (-1, [])


@pytest.mark.asyncio
async def test_run_raises_what_the_start_raises():
    @contextlib.asynccontextmanager
    async def lifespan(_app):
        raise LookupError("no such cluster")
        yield

    with pytest.raises(LookupError, match="no such cluster"):
        await AppServer(Starlette(lifespan=lifespan), sock=bind()).run(until=asyncio.Event())


@pytest.mark.asyncio
async def test_request_that_outlasts_the_grace_is_cut_off(caplog):
    has_begun = asyncio.Event()

    async def endless(_request):
        has_begun.set()
        await asyncio.Event().wait()

    server = AppServer(Starlette(routes=[Route("/", endless)]), sock=bind(), grace=0.01)
    await server.start()

    async with client_for(server) as client:
        request = asyncio.create_task(client.get("/"))
        await has_begun.wait()
        with caplog.at_level(logging.WARNING, "signal_gateway.web.serving.app_server"):
            await server.stop()
        with pytest.raises(httpx.TransportError):
            await request

    assert "cancelled 1 requests" in caplog.text


@pytest.mark.asyncio
async def test_app_is_told_to_end_its_open_responses_before_they_are_waited_for():
    has_begun, is_over = asyncio.Event(), asyncio.Event()

    async def watch(_request):
        has_begun.set()
        await is_over.wait()
        return PlainTextResponse("over")

    app = Starlette(routes=[Route("/", watch)])
    server = AppServer(app, sock=bind(), grace=3600, streams=SimpleNamespace(stop=is_over.set))
    await server.start()

    async with client_for(server) as client:
        request = asyncio.create_task(client.get("/"))
        await has_begun.wait()
        await server.stop()

        assert (await request).text == "over"


@pytest.mark.asyncio
async def test_idle_waits_for_the_request_in_flight():
    has_begun, may_answer = asyncio.Event(), asyncio.Event()

    async def slow(_request):
        has_begun.set()
        await may_answer.wait()
        return PlainTextResponse("done")

    server = AppServer(Starlette(routes=[Route("/", slow)]), sock=bind())
    await server.start()

    async with client_for(server) as client:
        request = asyncio.create_task(client.get("/"))
        await has_begun.wait()
        idle = asyncio.create_task(server.wait_until_idle())
        await asyncio.sleep(0)
        assert not idle.done()
        assert server.requests_in_flight == 1
        may_answer.set()
        await idle
        await request
    await server.stop()


@pytest.mark.asyncio
async def test_accepted_connections_have_nodelay_set():
    flags = []

    async def app(scope, receive, send):
        await PlainTextResponse("x")(scope, receive, send)

    server = AppServer(app, sock=bind(), lifespan="auto")
    await server.start()
    async with client_for(server) as client:
        await client.get("/")
        for connection in server._uvicorn.server_state.connections:
            accepted = connection.transport.get_extra_info("socket")
            flags.append(accepted.getsockopt(6, 1))  # IPPROTO_TCP, TCP_NODELAY
    await server.stop()

    assert flags == [1]


@pytest.mark.asyncio
async def test_date_header_is_renewed_while_the_server_waits_for_its_end(monkeypatch):
    moments = [datetime(1994, 11, 6, 8, 49, second, tzinfo=UTC) for second in (36, 37)]
    has_ticked = asyncio.Event()

    def now(_clock):
        if len(moments) == 1:
            has_ticked.set()
        return moments.pop(0) if len(moments) > 1 else moments[0]

    monkeypatch.setattr(SystemClock, "now", now)
    server = AppServer(Starlette(routes=[Route("/", hello)]), sock=bind())
    await server.start()

    async with asyncio.timeout(10), client_for(server) as client:
        await has_ticked.wait()
        date = (await client.get("/")).headers["date"]
    await server.stop()

    assert date == "Sun, 06 Nov 1994 08:49:37 GMT"


def test_uvicorn_still_has_the_hooks_that_the_stop_relies_on():
    for hook in ("startup", "main_loop", "shutdown"):
        assert inspect.iscoroutinefunction(getattr(uvicorn.Server, hook)), hook
    body = inspect.getsource(uvicorn.Server._serve)
    assert "self.lifespan = config.lifespan_class(config)" in body
    assert "await self.main_loop()" in body
    assert "await self.shutdown(sockets=sockets)" in body


@pytest.mark.asyncio
async def test_server_ends_without_the_hooks_too(monkeypatch):
    """As if uvicorn called them by other names: its own methods poll for `should_exit`."""
    for hook in ("main_loop", "shutdown"):
        monkeypatch.setattr(serving._Server, hook, getattr(uvicorn.Server, hook))
    server = AppServer(Starlette(routes=[Route("/", hello)]), sock=bind())
    await server.start()

    async with client_for(server) as client:
        response = await client.get("/")
    async with asyncio.timeout(5):
        await server.stop()

    assert response.text == "hello"

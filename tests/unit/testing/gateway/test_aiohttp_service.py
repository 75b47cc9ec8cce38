"""Applications of aiohttp run under aiohttp's own runner, with the rules of every live server."""

import asyncio
import threading

import aiohttp
import pytest
from aiohttp import web

from signal_gateway.errors import HarnessError
from signal_gateway.testing import serve


def app_with(*routes, **signals):
    app = web.Application()
    app.add_routes(routes)
    for name, function in signals.items():
        getattr(app, name).append(function)
    return app


async def hello(_request):
    return web.Response(text="hello")


async def post(request):
    return web.json_response(await request.json(), status=201)


async def missing(_request):
    raise web.HTTPNotFound(text="no such order")


async def broken(_request):
    raise LookupError("no such table")


async def stream(request):
    response = web.StreamResponse()
    await response.prepare(request)
    for part in (b"a", b"b"):
        await response.write(part)
    await response.write_eof()
    return response


async def echo(request):
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data.upper())
    return socket


ROUTES = (
    web.get("/", hello),
    web.post("/", post),
    web.get("/missing", missing),
    web.get("/broken", broken),
    web.get("/stream", stream),
    web.get("/echo", echo),
)


@pytest.fixture
def service(gateway_serve):
    return gateway_serve(app_with(*ROUTES))


def test_requests_are_answered_and_recorded(service):
    assert service.client.get("/").text == "hello"
    assert service.client.post("/", json={"item": "tea"}).json() == {"item": "tea"}
    assert service.client.get("/missing").text == "no such order"
    assert service.client.get("/stream").text == "ab"

    recorded = [(one.method, one.path, one.status, one.body) for one in service.exchanges]
    assert recorded == [
        ("GET", "/", 200, b"hello"),
        ("POST", "/", 201, b'{"item": "tea"}'),
        ("GET", "/missing", 404, b"no such order"),
        ("GET", "/stream", 200, b""),
    ]


def test_stream_is_recorded_before_its_handler_returns(gateway_serve):
    may_return = threading.Event()

    async def held(request):
        response = await stream(request)
        await asyncio.to_thread(may_return.wait, 60)
        return response

    service = gateway_serve(app_with(web.get("/held", held)))
    try:
        assert service.client.get("/held").text == "ab"
        assert service.exchanges[-1].status == 200
    finally:
        may_return.set()


def test_exception_of_a_handler_is_recorded_with_its_frames(service):
    assert service.client.get("/broken").status_code == 500

    assert "LookupError: no such table" in service.exchanges[-1].error


@pytest.mark.asyncio
async def test_websocket_is_served(service):
    async with aiohttp.ClientSession() as session, session.ws_connect(service.url + "/echo") as socket:
        await socket.send_str("tea")
        assert await socket.receive_str() == "TEA"


def test_start_up_and_clean_up_run_on_the_loop_of_the_server():
    steps = []

    async def started(_app):
        steps.append("started")

    async def cleaned_up(_app):
        steps.append("cleaned up")

    async def create_app():
        return app_with(*ROUTES, on_startup=started, on_cleanup=cleaned_up)

    with serve(create_app) as service:
        assert service.client.get("/").text == "hello"
        assert steps == ["started"]

    assert steps == ["started", "cleaned up"]


def test_start_up_that_fails_raises_the_exception_of_the_application():
    async def fail(_app):
        raise LookupError("no database")

    with pytest.raises(LookupError, match="no database"), serve(app_with(on_startup=fail)):
        pass


def test_same_application_is_served_one_time_after_the_other():
    app = app_with(*ROUTES)

    with serve(app) as first:
        assert first.client.get("/").text == "hello"
    with serve(app) as second:
        assert second.client.get("/").text == "hello"


def test_settle_waits_for_the_request_in_flight_and_the_task_that_it_started():
    released, done = asyncio.Event(), []

    async def finish():
        await released.wait()
        done.append(True)

    async def begin(_request):
        asyncio.create_task(finish())  # noqa: RUF006 - the server keeps it
        return web.Response()

    async def release(_request):
        released.set()
        return web.Response()

    with serve(app_with(web.get("/begin", begin), web.get("/release", release))) as service:
        service.client.get("/begin")
        with pytest.raises(HarnessError, match=r"still busy after 0\.05 s: task .*finish"):
            service.settle(0.05)
        service.client.get("/release")
        service.settle()

        assert done == [True]


def test_request_that_never_ends_does_not_hold_the_stop():
    async def hang(_request):
        await asyncio.Event().wait()

    async def abandon(url):
        async with aiohttp.ClientSession() as session:
            request = asyncio.create_task(session.get(url + "/hang"))
            while not request.done():
                await asyncio.sleep(0)
                if service.exchanges:
                    break
            await asyncio.to_thread(service.stop)
            with pytest.raises(aiohttp.ClientError):
                await request

    service = serve(app_with(web.get("/hang", hang)), stop_grace=0.05)
    service.start()
    asyncio.run(abandon(service.url))

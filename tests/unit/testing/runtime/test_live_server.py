import asyncio
import contextlib
import threading

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from signal_gateway.errors import HarnessError
from signal_gateway.testing import LiveServer
from signal_gateway.testing.runtime.loops import DEPENDENCIES, LoopThread


async def hello(_request):
    return PlainTextResponse("hello")


APP = Starlette(routes=[Route("/", hello)])


def test_server_answers_a_plain_client_and_is_gone_afterwards():
    loop = LoopThread("test-loop")
    with LiveServer(APP, loop=loop) as server:
        assert server.client.get("/").text == "hello"

    assert loop.users == 0
    assert "test-loop" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.asyncio
async def test_server_answers_a_test_on_a_loop_of_its_own():
    with LiveServer(APP) as server:
        assert (await server.async_client.get("/")).text == "hello"


def test_client_works_in_one_loop_after_the_other():
    async def ask(server):
        return (await server.async_client.get("/")).text

    with LiveServer(APP) as server:
        assert [asyncio.run(ask(server)) for _ in range(2)] == ["hello", "hello"]


def test_failed_startup_raises_the_applications_own_exception_and_leaves_nothing():
    @contextlib.asynccontextmanager
    async def lifespan(_app):
        raise LookupError("no such cluster")
        yield

    loop = LoopThread("test-loop")
    server = LiveServer(Starlette(lifespan=lifespan), loop=loop)

    with pytest.raises(LookupError, match="no such cluster"):
        server.start()
    server.stop()

    assert "test-loop" not in {thread.name for thread in threading.enumerate()}


def test_startup_that_hangs_is_an_error_that_names_the_server():
    @contextlib.asynccontextmanager
    async def lifespan(_app):
        await asyncio.Event().wait()
        yield

    server = LiveServer(Starlette(lifespan=lifespan), name="sleeper", startup_timeout=0.05)

    with pytest.raises(HarnessError, match=rf"the start of the sleeper at {server.url} took longer than 0\.05 s"):
        server.start()


def test_task_that_the_application_left_behind_is_an_error_that_names_it():
    tasks = []

    async def leak(_request):
        tasks.append(asyncio.create_task(asyncio.Event().wait(), name="forgotten"))
        return PlainTextResponse("x")

    server = LiveServer(Starlette(routes=[Route("/", leak)]), stop_grace=0.05)
    server.start()
    server.client.get("/")

    with pytest.raises(HarnessError, match="still open after the stop: task forgotten"):
        server.stop()


def test_application_may_call_another_harness_server_synchronously():
    with LiveServer(APP, loop=DEPENDENCIES) as dependency:

        async def ask_neighbour(_request):
            return PlainTextResponse(dependency.client.get("/").text)

        with LiveServer(Starlette(routes=[Route("/", ask_neighbour)])) as server:
            assert server.client.get("/").text == "hello"


def test_server_starts_once_and_stops_as_often_as_you_like():
    server = LiveServer(APP)
    server.start()
    server.stop()
    server.stop()

    with pytest.raises(HarnessError, match="create a new LiveServer"):
        server.start()

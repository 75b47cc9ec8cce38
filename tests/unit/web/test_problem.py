import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from signal_gateway.clock import SystemClock
from signal_gateway.web.body import BodyLimitMiddleware
from signal_gateway.web.middleware.standard import StandardMiddleware
from signal_gateway.web.problem import PROBLEM_JSON, Problem, problem_handlers
from signal_gateway.web.response_headers import NO_PAGES


async def echo(request):
    return PlainTextResponse(await request.body())


async def teapot(_request):
    raise Problem(418, "It is one.", headers={"Retry-After": "3"}, members={"spout": "short"})


async def bug(_request):
    raise RuntimeError("the password is hunter2")


class NoObserver:
    def begin_request(self):
        pass

    def end_request(self, scope, *, status, seconds):
        pass


@pytest.fixture
def app():
    return Starlette(
        routes=[Route("/", echo, methods=["POST"]), Route("/teapot", teapot), Route("/bug", bug)],
        middleware=[
            Middleware(
                StandardMiddleware, observer=NoObserver(), clock=SystemClock(), content_security_policy=NO_PAGES
            ),
            Middleware(BodyLimitMiddleware, max_body_bytes=10),
        ],
        exception_handlers=problem_handlers(),
    )


def client_of(app):
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("method", "path", "status", "title"),
    [
        ("GET", "/nowhere", 404, "Not Found"),
        ("PUT", "/", 405, "Method Not Allowed"),
        ("GET", "/teapot", 418, "I'm a Teapot"),
        ("GET", "/bug", 500, "Internal Server Error"),
    ],
)
async def test_every_error_is_a_problem_with_the_request_id(app, method, path, status, title):
    async with client_of(app) as client:
        response = await client.request(method, path)

    body = response.json()
    assert (response.status_code, body["status"], body["title"], body["instance"]) == (status, status, title, path)
    assert response.headers["Content-Type"] == PROBLEM_JSON
    assert body["request_id"] == response.headers["X-Request-ID"]


@pytest.mark.asyncio
async def test_problem_brings_its_own_headers_and_members(app):
    async with client_of(app) as client:
        response = await client.get("/teapot")

    assert response.headers["Retry-After"] == "3"
    assert response.json()["spout"] == "short"


@pytest.mark.asyncio
async def test_text_of_an_unexpected_exception_goes_to_the_log_and_not_to_the_caller(app, caplog):
    async with client_of(app) as client:
        response = await client.get("/bug")

    assert "hunter2" not in response.text
    assert "hunter2" in caplog.text
    assert response.json()["request_id"] in caplog.text


@pytest.mark.asyncio
async def test_request_id_of_the_sender_is_not_taken_as_ours(app):
    async with client_of(app) as client:
        response = await client.post("/", headers={"X-Request-ID": "mine"})

    assert response.headers["X-Request-ID"] != "mine"


@pytest.mark.asyncio
async def test_body_up_to_the_limit_gets_through(app):
    async with client_of(app) as client:
        response = await client.post("/", content=b"x" * 10)

    assert response.text == "x" * 10


async def in_pieces(total):
    for _ in range(total):
        yield b"x"


@pytest.mark.asyncio
@pytest.mark.parametrize("announced", [True, False])
async def test_body_over_the_limit_is_refused_announced_or_not(app, announced):
    content = b"x" * 11 if announced else in_pieces(11)

    async with client_of(app) as client:
        response = await client.post("/", content=content)

    assert response.status_code == 413
    assert response.headers["Content-Type"] == PROBLEM_JSON
    assert response.json()["request_id"] == response.headers["X-Request-ID"]

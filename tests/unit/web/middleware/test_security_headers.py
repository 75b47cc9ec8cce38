"""Security headers on every answer, whoever made it."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from signal_gateway.clock import SystemClock
from signal_gateway.testing import LiveServer
from signal_gateway.web.middleware.standard import StandardMiddleware
from signal_gateway.web.problem import problem_handlers
from signal_gateway.web.response_headers import OWN_PAGES

EXPECTED = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class Observed:
    """The requests that a middleware reports."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.ended: list[tuple[str, int | None, float]] = []

    def begin_request(self) -> None:
        self.in_flight += 1

    def end_request(self, scope: Scope, *, status: int | None, seconds: float) -> None:
        self.in_flight -= 1
        self.ended.append((scope["path"], status, seconds))


@pytest.fixture
def observed() -> Observed:
    return Observed()


@pytest.fixture
def app(observed: Observed) -> Starlette:
    async def plain(_: Request) -> Response:
        return Response("x")

    async def cached(_: Request) -> Response:
        return Response("x", headers={"Cache-Control": "max-age=3600", "X-Frame-Options": "SAMEORIGIN"})

    async def bug(_: Request) -> Response:
        raise RuntimeError("a bug")

    async def half(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("a bug in the midst of a response")

    return Starlette(
        routes=[Route("/plain", plain), Route("/cached", cached), Route("/bug", bug), Mount("/half", half)],
        middleware=[
            Middleware(StandardMiddleware, observer=observed, clock=SystemClock(), content_security_policy=OWN_PAGES)
        ],
        exception_handlers=problem_handlers(),
    )


@pytest.mark.parametrize(
    ("path", "status", "cache_control"),
    [
        ("/plain", 200, "no-store"),
        ("/cached", 200, "max-age=3600"),
        ("/nowhere", 404, "no-store"),
        ("/bug", 500, "no-store"),
    ],
)
def test_every_answer_has_them_and_keeps_its_own_caching(
    app: Starlette, path: str, status: int, cache_control: str
) -> None:
    with LiveServer(app) as server:
        answer: httpx.Response = server.client.get(path)

    assert answer.status_code == status
    assert {name: answer.headers.get_list(name) for name in EXPECTED} == {
        name: [value] for name, value in EXPECTED.items()
    }
    assert answer.headers.get_list("cache-control") == [cache_control]


def test_every_request_is_observed_with_its_status_and_duration(app: Starlette, observed: Observed) -> None:
    with LiveServer(app) as server:
        for path in ("/plain", "/nowhere", "/bug"):
            server.client.get(path)

    assert [(path, status) for path, status, _ in observed.ended] == [("/plain", 200), ("/nowhere", 404), ("/bug", 500)]
    assert all(0 <= seconds < 60 for _, _, seconds in observed.ended)
    assert observed.in_flight == 0


def test_error_in_the_midst_of_a_response_is_not_answered_a_second_time(app: Starlette, observed: Observed) -> None:
    with LiveServer(app) as server, pytest.raises(httpx.TransportError):
        server.client.get("/half/way")

    assert [status for _, status, _ in observed.ended] == [200]
    assert observed.in_flight == 0

"""Security headers on every answer, whoever made it."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from signal_gateway.testing import LiveServer
from signal_gateway.web.middleware.security_headers import OWN_PAGES, SecurityHeadersMiddleware
from signal_gateway.web.middleware.server_error import BugMiddleware
from signal_gateway.web.problem import problem_handlers

EXPECTED = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


@pytest.fixture
def app() -> Starlette:
    async def plain(_: Request) -> Response:
        return Response("x")

    async def cached(_: Request) -> Response:
        return Response("x", headers={"Cache-Control": "max-age=3600", "X-Frame-Options": "SAMEORIGIN"})

    async def bug(_: Request) -> Response:
        raise RuntimeError("a bug")

    handlers = problem_handlers()
    on_bug = handlers.pop(Exception)
    return Starlette(
        routes=[Route("/plain", plain), Route("/cached", cached), Route("/bug", bug)],
        middleware=[
            Middleware(SecurityHeadersMiddleware, content_security_policy=OWN_PAGES),
            Middleware(BugMiddleware, on_bug=on_bug),
        ],
        exception_handlers=handlers,
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

"""The ids that a sender gives its request, and its address, beside the request id of ours."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from signal_gateway.clock import SystemClock
from signal_gateway.web.middleware.standard import StandardMiddleware
from signal_gateway.web.response_headers import NO_PAGES

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Unobserved:
    def begin_request(self) -> None:
        pass

    def end_request(self, scope: Scope, *, status: int | None, seconds: float) -> None:
        pass


async def kept(headers: dict[str, str], client: tuple[str, int] = ("10.42.0.16", 51234)) -> dict[str, object]:
    """Return what a request with these headers leaves in its state."""

    async def show(request: Request) -> Response:
        return JSONResponse({"peer": request.state.peer, **request.state.sender_ids})

    observer = Unobserved()
    app = Starlette(
        routes=[Route("/", show)],
        middleware=[
            Middleware(StandardMiddleware, observer=observer, clock=SystemClock(), content_security_policy=NO_PAGES)
        ],
    )
    transport = httpx.ASGITransport(app, client=client)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
        found: dict[str, object] = (await http.get("/", headers=headers)).json()
        return found


@pytest.mark.asyncio
@pytest.mark.parametrize("value", ["am-7", "0190b7d3-0000-7000-8000-000000000000", "a" * 128, "Root=1-67891233-abcd"])
async def test_valid_request_id_of_the_sender_is_kept(value: str) -> None:
    assert (await kept({"X-Request-ID": value}))["sender_request_id"] == value


@pytest.mark.asyncio
@pytest.mark.parametrize("value", ["", "a" * 129, "two words", 'quote"', "<b>", "a\tb"])
async def test_request_id_that_is_not_valid_is_left_out(value: str) -> None:
    assert "sender_request_id" not in await kept({"X-Request-ID": value})


@pytest.mark.asyncio
@pytest.mark.parametrize("value", [f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00", f"cc-{TRACE}-{SPAN}-01-later"])
async def test_valid_traceparent_is_kept(value: str) -> None:
    assert (await kept({"traceparent": value}))["traceparent"] == value


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "value",
    [
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}",
        f"cc-{TRACE}-{SPAN}-01-{'x' * 65}",
    ],
)
async def test_traceparent_that_is_not_valid_is_left_out(value: str) -> None:
    assert "traceparent" not in await kept({"traceparent": value})


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("client", "peer"), [(("10.42.0.16", 51234), "10.42.0.16:51234"), (("fd00::7", 51234), "[fd00::7]:51234")]
)
async def test_peer_is_the_address_of_the_connection(client: tuple[str, int], peer: str) -> None:
    assert (await kept({}, client))["peer"] == peer

import httpx
import pytest
from starlette.responses import PlainTextResponse

from signal_gateway.web.credentials import unknown_token
from signal_gateway.web.middleware.authentication import AuthenticationMiddleware, Protection
from signal_gateway.web.problem import Problem


@pytest.mark.asyncio
async def test_what_a_sender_says_of_itself_in_the_name_of_a_proxy_is_dropped():
    seen = []

    async def app(scope, receive, send):  # noqa: ARG001
        seen.append(scope["headers"])

    kept = (b"x-other", b"1")
    said = [
        (b"X-Auth-Request-User", b"root"),
        (b"x-auth-request-email", b"a@b"),
        (b"impersonate-group", b"x"),
        kept,
    ]
    protection = Protection("test", prefixes=("/protected",))
    middleware = AuthenticationMiddleware(app, authenticator=None, protection=protection, failures=None)

    await middleware({"type": "http", "path": "/", "headers": said}, None, None)

    assert seen == [[kept]]


class Refusing:
    """Raises an error for all credentials."""

    def __init__(self, error):
        self._error = error

    async def authenticate(self, request, credentials):  # noqa: ARG002
        raise self._error


class Failures:
    def __init__(self):
        self.reasons = []

    def count_authentication_failure(self, *, reason):
        self.reasons.append(reason)


@pytest.fixture
def failures():
    return Failures()


@pytest.fixture
def get(failures):
    """Return a function that sends a GET with a token to a service whose authenticator raises an error."""

    async def get(error, **headers):
        app = AuthenticationMiddleware(
            PlainTextResponse("secret"),
            authenticator=Refusing(error),
            protection=Protection("test", open_paths=("/open",), basic_methods=("GET",)),
            failures=failures,
        )
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get(headers.pop("path", "/"), headers={"Authorization": "Bearer x"} | headers)

    return get


@pytest.mark.asyncio
async def test_credentials_that_cannot_be_verified_right_now_are_no_challenge(get, failures):
    response = await get(Problem(503, "Retry later.", headers={"Retry-After": "5"}))

    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert "WWW-Authenticate" not in response.headers
    assert failures.reasons == ["unavailable"]


@pytest.mark.asyncio
async def test_browser_gets_a_second_challenge_where_basic_is_allowed(get, failures):
    page = await get(unknown_token(), Accept="text/html")
    program = await get(unknown_token())

    bearer = 'Bearer realm="test", error="invalid_token"'
    assert page.headers.get_list("WWW-Authenticate") == [bearer, 'Basic realm="test", charset="UTF-8"']
    assert program.headers.get_list("WWW-Authenticate") == [bearer]
    assert failures.reasons == ["unknown_token"] * 2


@pytest.mark.asyncio
async def test_open_path_needs_no_credentials(get, failures):
    assert (await get(unknown_token(), path="/open")).text == "secret"
    assert failures.reasons == []

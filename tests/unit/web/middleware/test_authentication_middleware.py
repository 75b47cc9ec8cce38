import pytest

from signal_gateway.web.middleware.authentication import AuthenticationMiddleware, Protection


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
    middleware = AuthenticationMiddleware(app, authenticator=None, protection=Protection("test"), failures=None)

    await middleware({"type": "http", "path": "/", "headers": said}, None, None)

    assert seen == [[kept]]

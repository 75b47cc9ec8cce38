"""UserCredentials: adds the credentials of a kubeconfig to requests. Imports lightkube, which reads them."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, cast

from lightkube import ConfigError
from lightkube.config import client_adapter
from lightkube.config.models import User

from signal_gateway.kubernetes.api_transport import ApiTransport, HttpReply, HttpStream
from signal_gateway.kubernetes.errors import CredentialsFailure, HttpFailure

__all__ = ["UserCredentials"]


class _Outgoing(NamedTuple):
    """The part of a request that lightkube's credentials write."""

    headers: dict[str, str]


class _Incoming(NamedTuple):
    """The part of a response that lightkube's credentials read."""

    status_code: int


class UserCredentials:
    """A transport that adds the credentials of a user: a token, a token file, a credential plugin or a password.

    lightkube decides which applies, and when a token is read again: after a 401, once for each request.

    Args:
        transport: Carries the requests, and is closed with this one.
        user: The user of the kubeconfig.

    Raises:
        CredentialsFailure: The user has credentials of a kind that is not supported.
    """

    def __init__(self, transport: ApiTransport, user: User) -> None:
        self._transport = transport
        self._origin = user.token_file or (user.exec.command if user.exec else "the user")
        try:
            self._credentials = client_adapter.user_auth(user)
        except ConfigError as exc:
            raise CredentialsFailure(str(exc)) from exc

    async def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> HttpReply:
        """Send a request with credentials and return its complete response.

        Raises:
            HttpFailure: There is no complete response.
            CredentialsFailure: There are no credentials: the token file is missing, or the plugin failed.
        """
        flow = self._flow(headers)
        try:
            request = await self._next(flow, None)
            while True:
                assert request is not None, "the flow begins with a request"
                reply = await self._transport.send(method, target, request.headers, body)
                request = await self._next(flow, _Incoming(reply.status))
                if request is None:
                    return reply
        finally:
            await flow.aclose()

    @asynccontextmanager
    async def stream(self, method: str, target: str, headers: Mapping[str, str]) -> AsyncIterator[HttpStream]:
        """Send a request with credentials and use its response as it arrives.

        Raises:
            HttpFailure: There is no response.
            CredentialsFailure: There are no credentials: the token file is missing, or the plugin failed.
        """
        flow = self._flow(headers)
        try:
            request = await self._next(flow, None)
            while request is not None:
                async with self._transport.stream(method, target, request.headers) as response:
                    request = await self._next(flow, _Incoming(response.status))
                    if request is None:
                        yield response
        finally:
            await flow.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    def _flow(self, headers: Mapping[str, str]) -> AsyncGenerator[_Outgoing, _Incoming | None]:
        request = _Outgoing(dict(headers))
        if self._credentials is None:
            return _one(request)
        flow = self._credentials.async_auth_flow(cast(Any, request))
        return cast("AsyncGenerator[_Outgoing, _Incoming | None]", flow)

    async def _next(
        self, flow: AsyncGenerator[_Outgoing, _Incoming | None], response: _Incoming | None
    ) -> _Outgoing | None:
        """Return the next request to send; None if the response is final."""
        try:
            request = await flow.asend(response)
        except StopAsyncIteration:
            return None
        except ConfigError as exc:
            raise CredentialsFailure(str(exc)) from exc
        except OSError as exc:  # the file is not readable, or the plugin is not executable
            raise CredentialsFailure(f"{self._origin}: {exc.strerror or exc}") from exc
        authorization = request.headers.get("Authorization", "")
        if not authorization.isascii() or not authorization.isprintable():
            raise HttpFailure("LocalProtocolError", "the token has characters that a header must not have")
        return request


async def _one(request: _Outgoing) -> AsyncGenerator[_Outgoing, _Incoming | None]:
    yield request

"""GivenTransport: carries requests over a transport of httpx2 that the creator of a client passes."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import httpx2

from signal_gateway.kubernetes.api_transport import HttpReply, HttpStream
from signal_gateway.kubernetes.errors import HttpFailure

__all__ = ["GivenTransport"]

_TIMEOUT: Final = httpx2.Timeout(10.0)


class GivenTransport:
    """Requests over a transport of httpx2, such as a mock or a recorder.

    Args:
        server: URL of the server.
        transport: Carries the requests; its creator closes it.
    """

    def __init__(self, server: str, transport: httpx2.AsyncBaseTransport) -> None:
        self._server = server.rstrip("/")
        self._transport = transport

    async def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> HttpReply:
        """Send a request and return its complete response.

        Raises:
            HttpFailure: There is no complete response.
        """
        async with self._response(method, target, headers, body, _TIMEOUT) as response:
            return await response.reply()

    @asynccontextmanager
    async def stream(self, method: str, target: str, headers: Mapping[str, str]) -> AsyncIterator[HttpStream]:
        """Send a request and use its response as it arrives, without a limit for the time between its parts.

        Raises:
            HttpFailure: There is no response.
        """
        timeout = httpx2.Timeout(10.0, read=None)
        async with self._response(method, target, {**headers, "Accept-Encoding": "identity"}, b"", timeout) as response:
            yield response

    async def aclose(self) -> None:
        """Leave the transport open, for its creator."""

    @asynccontextmanager
    async def _response(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, limits: httpx2.Timeout
    ) -> "AsyncIterator[_GivenResponse]":
        url = self._server + target
        extensions = {"timeout": limits.as_dict()}
        request = httpx2.Request(method, url, headers=dict(headers), content=body or None, extensions=extensions)
        with _failures():
            response = await self._transport.handle_async_request(request)
        response.request = request
        try:
            yield _GivenResponse(response)
        finally:
            await response.aclose()


class _GivenResponse:
    """A response of httpx2.

    Args:
        response: The response, whose body is not read yet.
    """

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self.status = response.status_code

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the parts of the body."""
        with _failures():
            async for chunk in self._response.aiter_bytes():
                yield chunk

    async def reply(self) -> HttpReply:
        """Read the whole body."""
        with _failures():
            body = await self._response.aread()
        return HttpReply(self.status, dict(self._response.headers.raw), body)


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except httpx2.TimeoutException as exc:
        raise HttpFailure(type(exc).__name__, str(exc), is_timeout=True) from exc
    except (httpx2.HTTPError, httpx2.StreamError) as exc:
        raise HttpFailure(type(exc).__name__, str(exc)) from exc

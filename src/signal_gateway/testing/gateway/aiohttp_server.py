"""AiohttpServer: serves an application of aiohttp with the runner of aiohttp, on the socket of a live server."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

from aiohttp import web
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from signal_gateway.testing.gateway.application import AIOHTTP_REQUEST

__all__ = ["AiohttpServer"]

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class AiohttpServer:
    """One application of aiohttp on one listening socket. All coroutines run on the loop that called `start`.

    Args:
        app: The application of aiohttp.
        recorder: An ASGI application around the requests, which records them.
        sock: A listening socket; the server closes it.
        grace: Seconds for open requests after the stop.
    """

    def __init__(self, app: web.Application, *, recorder: ASGIApp, sock: socket.socket, grace: float) -> None:
        self._recorder = recorder
        self._sock = sock
        self._runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=grace)
        self._handler: Handler
        self._in_flight = 0
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    @property
    def open_connections(self) -> int:
        """The number of open client connections, including idle ones."""
        server = self._runner.server
        return 0 if server is None else len(server.connections)

    async def start(self) -> None:
        """Run the start-up of the application, then accept connections.

        Raises:
            Exception: The start-up of the application failed with this exception.
        """
        try:
            await self._runner.setup()
            server = self._runner.server
            assert server is not None
            self._handler = server.request_handler
            server.request_handler = self._handle
            await web.SockSite(self._runner, self._sock).start()
        except BaseException:
            self._sock.close()
            await self._runner.cleanup()
            raise

    async def stop(self) -> None:
        """Stop accepting connections, finish open requests within the grace, then run the clean-up of the application.

        Raises:
            Exception: The clean-up of the application failed with this exception.
        """
        try:
            await self._runner.cleanup()
        finally:
            self._sock.close()

    async def wait_until_idle(self) -> None:
        """Return as soon as no request is in flight."""
        await self._is_idle.wait()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self._in_flight += 1
        self._is_idle.clear()
        try:
            exchange = _Exchange(self._handler, request)
            scope = {"type": "http", "method": request.method, "path": request.path, AIOHTTP_REQUEST: exchange}
            await self._recorder(scope, _receive_nothing, _send_nothing)
            return exchange.result()
        finally:
            self._in_flight -= 1
            if self._in_flight == 0:
                self._is_idle.set()


class _Exchange:
    """One request of aiohttp as an ASGI application, which reports the response and sends nothing.

    A handler sends a streamed response itself, so the client may have all of it before the handler returns. aiohttp
    calls `_prepare_hook` of the request before the first byte, which is where the response is reported.
    """

    def __init__(self, handler: Handler, request: web.BaseRequest) -> None:
        self._handler = handler
        self._request = request
        self._response: web.StreamResponse | None = None
        self._raised: web.HTTPException | None = None
        self._has_begun = False

    def result(self) -> web.StreamResponse:
        """Return the response of the handler, or raise its response as the handler did."""
        if self._raised is not None:
            raise self._raised
        assert self._response is not None
        return self._response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the ASGI signature
        prepare = self._request._prepare_hook

        async def prepare_reported(response: web.StreamResponse) -> None:
            await prepare(response)
            await self._begin(response, send)

        object.__setattr__(self._request, "_prepare_hook", prepare_reported)  # in debug mode aiohttp warns of a setattr
        try:
            response: web.StreamResponse = await self._handler(self._request)
            self._response = response
        except web.HTTPException as exc:
            response = self._raised = exc
        body = response.body if isinstance(response, web.Response) else None
        await self._begin(response, send)
        await send({"type": "http.response.body", "body": body if isinstance(body, bytes | bytearray) else b""})

    async def _begin(self, response: web.StreamResponse, send: Send) -> None:
        if not self._has_begun:
            self._has_begun = True
            await send({"type": "http.response.start", "status": response.status, "headers": []})


async def _receive_nothing() -> Message:
    return {"type": "http.disconnect"}


async def _send_nothing(message: Message) -> None:
    """Take a message that aiohttp has sent or will send itself."""

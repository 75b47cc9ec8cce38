"""AppServer: serves an ASGI app on a listening socket, and stops it without polling.

uvicorn polls twice while it stops, which takes 160 ms, and a patched `time.time` ends it. `_Server` overrides its
`main_loop` and `shutdown` to wait for events, and `Lifespan` raises the exceptions of the application. uvicorn does not
document these hooks, so a contract test checks them; without the hooks, `should_exit` still ends the server, only
slower.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, Final, Literal, Protocol

import uvicorn
from starlette.types import ASGIApp

from signal_gateway.clock import SystemClock
from signal_gateway.web.response_headers import http_date
from signal_gateway.web.serving.http_protocol import BoundedProtocol, ConnectionLimits
from signal_gateway.web.serving.lifespan import Lifespan, ServerStartError
from signal_gateway.web.serving.sockets import url_of

__all__ = ["AppServer", "OpenStreams", "ServerStartError"]

_log = logging.getLogger(__name__)
_CLOCK: Final = SystemClock()

_TLS_CLOSE_TIMEOUT = 1.0  # seconds for a client to confirm the end of TLS; an idle connection pool never does


class OpenStreams(Protocol):
    """The responses that an application holds open, such as watches."""

    def stop(self) -> None:
        """End all of them. The server calls this when it stops, before it waits for open responses."""
        ...


class AppServer:
    """One ASGI app on one listening socket. All coroutines run on one loop: the loop that called `start`.

    Args:
        app: The application.
        sock: A listening socket from `bind`; the server closes it.
        tls: The TLS context, such as that of `server_tls`; None for plain HTTP.
        lifespan: `on` if the application must have a lifespan, `auto` if it may.
        websockets: Whether websocket upgrades are served, if a library for them is installed.
        grace: Seconds that open requests get after `stop`, before they are cancelled.
        streams: The responses that the application holds open; None if it holds none.
        limits: Limits of a connection.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        sock: socket.socket,
        tls: ssl.SSLContext | None = None,
        lifespan: Literal["on", "auto"] = "on",
        websockets: bool = False,
        grace: float = 2.0,
        streams: OpenStreams | None = None,
        limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008 - it is frozen
    ) -> None:
        self.url = url_of(sock, scheme="http" if tls is None else "https")
        self._sock = sock
        config = _Config(
            app,
            interface="asgi3",
            http="httptools",
            ws="auto" if websockets else "none",
            log_config=None,
            server_header=False,
        )
        config.load()
        config.http_protocol_class = partial(BoundedProtocol, limits=limits)  # type: ignore[assignment]
        config.ssl = tls
        config.lifespan_class = lambda _: Lifespan(app, is_required=lifespan == "on")
        self._uvicorn = _Server(config, url=self.url, grace=grace, streams=streams)
        self._serving: asyncio.Task[None] | None = None

    @property
    def requests_in_flight(self) -> int:
        """Number of requests in flight."""
        return len(self._uvicorn.server_state.tasks)

    @property
    def open_connections(self) -> int:
        """Number of open client connections, including idle ones."""
        return len(self._uvicorn.server_state.connections)

    async def start(self) -> None:
        """Run the application's start-up, then accept connections.

        Raises:
            Exception: The exception of the application, if its start-up failed; the socket is closed.
            ServerStartError: The start-up failed without an exception.
        """
        self._serving = asyncio.create_task(self._serve(), name=f"serve {self.url}")
        started = asyncio.create_task(self._uvicorn.has_started.wait())
        try:
            await asyncio.wait({self._serving, started}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._serving.cancel()
            await asyncio.wait({self._serving})
            self._sock.close()
            raise
        finally:
            started.cancel()
        if self._serving.done():
            self._sock.close()
            self._serving.result()
            raise ServerStartError(f"the server at {self.url} ended before it had started")

    async def stop(self) -> None:
        """Stop accepting connections, finish open requests within the grace, then run the application's shutdown.

        Raises:
            Exception: The exception of the application, if its shutdown failed.
        """
        self._uvicorn.request_stop()
        if self._serving is not None:
            await self._serving
        self._sock.close()

    async def run(
        self,
        *,
        until: asyncio.Event,
        on_start: Callable[[], None] = lambda: None,
        before_stop: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Serve until an event is set, then stop gracefully; an event during the start cancels the start.

        Args:
            until: Requests the end, such as `StopSignals.requested`.
            on_start: Called once, when the server accepts requests.
            before_stop: Awaited once, after the event and before the stop; requests are still accepted.

        Raises:
            Exception: The exception of the application, if its start-up or shutdown failed.
        """
        end_requested = asyncio.create_task(until.wait())
        starting = asyncio.create_task(self.start())
        try:
            await asyncio.wait({starting, end_requested}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                return
            starting.result()
            assert self._serving is not None
            on_start()
            await asyncio.wait({self._serving, end_requested}, return_when=asyncio.FIRST_COMPLETED)
            if before_stop is not None and not self._serving.done():
                await before_stop()
            await self.stop()
        finally:
            end_requested.cancel()
            starting.cancel()
            await asyncio.wait({starting})

    async def wait_until_idle(self) -> None:
        """Return as soon as no request is in flight."""
        await self._uvicorn.wait_until_idle()

    async def _serve(self) -> None:
        await self._uvicorn.serve(sockets=[self._sock])


class _Connections(set[Any]):
    """The open connections of a server: notifies waiters when the last one has left."""

    def __init__(self) -> None:
        super().__init__()
        self.emptied = asyncio.Event()

    def discard(self, item: Any) -> None:
        super().discard(item)
        if not self:
            self.emptied.set()

    async def wait_until_empty(self) -> None:
        while self:
            self.emptied.clear()
            await self.emptied.wait()


class _Config(uvicorn.Config):
    def configure_logging(self) -> None:
        """Do nothing: uvicorn changes loggers and level names of the whole process."""


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, *, url: str, grace: float, streams: OpenStreams | None) -> None:
        super().__init__(config)
        self.has_started = asyncio.Event()
        self._stop_requested = asyncio.Event()
        self._url = url
        self._grace = grace
        self._streams = streams
        self._connections = _Connections()
        self._tasks = self.server_state.tasks
        self.server_state.connections = self._connections

    def request_stop(self) -> None:
        """Request the end; call it on the server's loop."""
        self.should_exit = True
        self._stop_requested.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the caller handles signals; uvicorn would raise the signal again before the clean-up

    async def wait_until_idle(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.has_started.set()

    async def main_loop(self) -> None:
        while not self.should_exit:
            date = http_date(_CLOCK.now()).encode()
            self.server_state.default_headers = [(b"date", date), *self.config.encoded_headers]
            try:
                async with asyncio.timeout(1):
                    await self._stop_requested.wait()
            except TimeoutError:
                continue

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for sock in sockets or []:
            sock.close()
        _log.debug("no requests are accepted any more at %s, %d are in flight", self._url, len(self._tasks))
        if self._streams is not None:
            self._streams.stop()

        for connection in list(self._connections):
            connection.shutdown()
        try:
            async with asyncio.timeout(self._grace):
                await self._drain()
        except TimeoutError:
            await self._cancel_open()

        if not self.force_exit:
            await self.lifespan.shutdown()

    async def _drain(self) -> None:
        await self.wait_until_idle()
        if self.config.ssl is not None:
            await self._close_tls()
        await self._connections.wait_until_empty()
        for server in self.servers:
            if self.config.ssl is None:  # with TLS it would wait for clients without a handshake
                await server.wait_closed()

    async def _close_tls(self) -> None:
        """Close the connections of clients that do not confirm the end of TLS in time."""
        try:
            async with asyncio.timeout(_TLS_CLOSE_TIMEOUT):
                await self._connections.wait_until_empty()
        except TimeoutError:
            for connection in list(self._connections):
                if connection.transport.get_write_buffer_size() == 0:
                    connection.transport.abort()

    async def _cancel_open(self) -> None:
        _log.warning(
            "cancelled %d requests and closed %d connections that were still open %s s after the stop",
            len(self._tasks),
            len(self._connections),
            self._grace,
        )
        for task in list(self._tasks):
            task.cancel()
        for connection in list(self._connections):
            connection.transport.abort()
        try:
            async with asyncio.timeout(self._grace):
                await self._drain()
        except TimeoutError:
            _log.error("%d requests did not end after their cancellation", len(self._tasks))

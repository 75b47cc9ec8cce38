"""Serve an ASGI app on a socket that is already listening, and stop it without polling.

uvicorn polls twice while it stops, 160 ms in all. Its `main_loop` and `shutdown` are overridden here by ones that
wait for events, and its lifespan by one that raises what the application raises. None of that is documented, so a
contract test looks whether it still holds; where it does not, `should_exit` ends the server all the same, only slower.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, Literal

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from signal_gateway.web.serving.extensions import ABORT
from signal_gateway.web.serving.http_protocol import BoundedProtocol, ConnectionLimits
from signal_gateway.web.serving.lifespan import Lifespan, ServerStartError
from signal_gateway.web.serving.sockets import url_of

__all__ = ["AppServer", "ServerStartError"]

_log = logging.getLogger(__name__)

_TLS_GOODBYE = 1.0  # seconds for a client to answer a TLS connection's end; an idle pool never does


class AppServer:
    """One ASGI app on one listening socket. All coroutines run on one loop: the one that called `start`.

    Args:
        app: The application.
        sock: A listening socket from `bind`; the server closes it.
        tls: What it speaks TLS with, such as `server_tls`; None for plain HTTP.
        lifespan: `on` if the application must have a lifespan, `auto` if it may.
        websockets: Whether websocket upgrades are served, if a library for them is installed.
        grace: How long open requests may go on after `stop`, in seconds; then they are cancelled.
        before_drain: Called once when stopping, before open responses are waited for. An application that
            holds responses open, such as a watch, ends them here.
        limits: What a client may leave undone.
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
        before_drain: Callable[[], None] | None = None,
        limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008 - it is frozen
    ) -> None:
        self.url = url_of(sock, scheme="http" if tls is None else "https")
        self._sock = sock
        self._app = app
        config = uvicorn.Config(
            self._with_abort,
            interface="asgi3",
            http="httptools",
            ws="auto" if websockets else "none",
            log_config=None,
            access_log=False,
            server_header=False,
        )
        config.load()
        config.http_protocol_class = partial(BoundedProtocol, limits=limits)  # type: ignore[assignment]
        config.ssl = tls
        config.lifespan_class = lambda _: Lifespan(app, is_required=lifespan == "on")
        self._uvicorn = _Server(config, grace=grace, before_drain=before_drain)
        self._serving: asyncio.Task[None] | None = None

    @property
    def requests_in_flight(self) -> int:
        """How many requests are being answered now."""
        return len(self._uvicorn.server_state.tasks)

    @property
    def open_connections(self) -> int:
        """How many client connections are open now, idle ones included."""
        return len(self._uvicorn.server_state.connections)

    async def start(self) -> None:
        """Run the application's start-up and accept connections.

        Raises:
            Exception: The application's own, if its start-up failed; the socket is closed then.
            ServerStartError: It failed without one.
        """
        self._serving = asyncio.create_task(self._serve(), name=f"serve {self.url}")
        started = asyncio.create_task(self._uvicorn.has_started.wait())
        try:
            await asyncio.wait({self._serving, started}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._serving.cancel()  # nobody waits for this start any more
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
        """Stop accepting, let open requests finish within the grace, run the application's shutdown.

        Raises:
            Exception: The application's own, if its shutdown failed.
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
        """Serve until an event, then stop gracefully; if it comes during the start, that is given up.

        Args:
            until: Asks for the end, such as `StopSignals.requested`.
            on_start: Called once when requests are answered.
            before_stop: Awaited once the end was asked for; requests are still accepted meanwhile.

        Raises:
            Exception: The application's own, if its start-up or shutdown failed.
        """
        asked_to_end = asyncio.create_task(until.wait())
        starting = asyncio.create_task(self.start())
        try:
            await asyncio.wait({starting, asked_to_end}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                return
            starting.result()
            assert self._serving is not None
            on_start()
            await asyncio.wait({self._serving, asked_to_end}, return_when=asyncio.FIRST_COMPLETED)
            if before_stop is not None and not self._serving.done():
                await before_stop()
            await self.stop()
        finally:
            asked_to_end.cancel()
            starting.cancel()
            await asyncio.wait({starting})

    async def is_idle(self) -> None:
        """Return as soon as no request is being answered."""
        await self._uvicorn.tasks_done()

    async def _with_abort(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application close a request's connection, as a network does that fails."""
        if scope["type"] == "http":
            scope.setdefault("extensions", {})[ABORT] = partial(self._abort, scope["client"])
        await self._app(scope, receive, send)

    def _abort(self, client: tuple[str, int]) -> None:
        for connection in list(self._uvicorn.server_state.connections):
            if getattr(connection, "client", None) == client:
                connection.transport.abort()

    async def _serve(self) -> None:
        await self._uvicorn.serve(sockets=[self._sock])


class _NotifyingSet(set[Any]):
    """A set that says when its last member has left."""

    def __init__(self) -> None:
        super().__init__()
        self.emptied = asyncio.Event()

    def discard(self, item: Any) -> None:
        super().discard(item)
        if not self:
            self.emptied.set()

    async def is_empty(self) -> None:
        while self:
            self.emptied.clear()
            await self.emptied.wait()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, *, grace: float, before_drain: Callable[[], None] | None) -> None:
        super().__init__(config)
        self.has_started = asyncio.Event()
        self._stop_requested = asyncio.Event()
        self._grace = grace
        self._before_drain = before_drain
        self._connections = _NotifyingSet()
        self._tasks = _NotifyingSet()
        self.server_state.connections = self._connections
        self.server_state.tasks = self._tasks

    def request_stop(self) -> None:
        """Ask for the end, from the server's own loop."""
        self.should_exit = True
        self._stop_requested.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # whoever runs the server decides; uvicorn would raise the signal again before clean-up is done

    async def tasks_done(self) -> None:
        await self._tasks.is_empty()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.has_started.set()

    async def main_loop(self) -> None:
        counter = 0
        while not await self.on_tick(counter):
            counter = (counter + 10) % 864000  # `on_tick` renews the Date header on every tenth count
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
        if self._before_drain is not None:
            self._before_drain()

        for connection in list(self._connections):
            connection.shutdown()
        try:
            async with asyncio.timeout(self._grace):
                await self._drained()
        except TimeoutError:
            await self._cut_off()

        if not self.force_exit:
            await self.lifespan.shutdown()

    async def _drained(self) -> None:
        await self._tasks.is_empty()
        if self.config.ssl is not None:
            await self._leave_tls()
        await self._connections.is_empty()
        for server in self.servers:
            if self.config.ssl is None:  # with TLS it would wait for those who never shook hands
                await server.wait_closed()

    async def _leave_tls(self) -> None:
        """Close the connections of clients that don't answer the end of TLS, which all connections have got."""
        try:
            async with asyncio.timeout(_TLS_GOODBYE):
                await self._connections.is_empty()
        except TimeoutError:
            for connection in list(self._connections):
                if connection.transport.get_write_buffer_size() == 0:
                    connection.transport.abort()

    async def _cut_off(self) -> None:
        _log.warning(
            "cut off %d requests and %d connections that were still open %s s after the stop",
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
                await self._drained()
        except TimeoutError:
            _log.error("%d requests ignored their cancellation", len(self._tasks))

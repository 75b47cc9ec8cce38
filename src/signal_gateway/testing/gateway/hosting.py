"""ServiceHosting: the HTTP server of a service, chosen on the loop once the application is known."""

import asyncio
import socket
from contextlib import AsyncExitStack
from typing import Any

from starlette.types import ASGIApp

from signal_gateway.testing.gateway.application import ServedApplication
from signal_gateway.testing.runtime.server import HttpServer
from signal_gateway.web.serving.app_server import AppServer

__all__ = ["ServiceHosting"]


class ServiceHosting:
    """Creates the server of a served application.

    Args:
        served: The application; `open` was called before the server starts.
    """

    def __init__(self, served: ServedApplication) -> None:
        self._served = served

    def server_for(self, app: ASGIApp, *, sock: socket.socket, grace: float) -> HttpServer:
        """Create the server. It is not started.

        Args:
            app: The served application, wrapped by the live server.
            sock: The listening socket; the server closes it.
            grace: Seconds for open requests after the stop.
        """
        return _ServiceServer(self._served, app, sock=sock, grace=grace)


class _ServiceServer:
    """Runs the async factories and context managers of a service around its HTTP server."""

    def __init__(self, served: ServedApplication, app: ASGIApp, *, sock: socket.socket, grace: float) -> None:
        self._served = served
        self._app = app
        self._sock = sock
        self._grace = grace
        self._contexts: _Contexts | None = None
        self._server: HttpServer | None = None

    @property
    def open_connections(self) -> int:
        return 0 if self._server is None else self._server.open_connections

    async def start(self) -> None:
        if not self._served.is_open:
            self._contexts = _Contexts(self._served)
            await self._contexts.enter()
        try:
            self._server = self._new_server()
            await self._server.start()
        except BaseException:
            await self._leave()
            raise

    async def stop(self) -> None:
        try:
            if self._server is not None:
                await self._server.stop()
        finally:
            await self._leave()

    async def wait_until_idle(self) -> None:
        if self._server is not None:
            await self._server.wait_until_idle()

    async def _leave(self) -> None:
        if self._contexts is not None:
            await self._contexts.leave()

    def _new_server(self) -> HttpServer:
        if not self._served.is_aiohttp:
            return AppServer(self._app, sock=self._sock, lifespan="auto", websockets=True, grace=self._grace)
        from signal_gateway.testing.gateway.aiohttp_server import AiohttpServer

        app: Any = self._served.app
        return AiohttpServer(app, recorder=self._app, sock=self._sock, grace=self._grace)


class _Contexts:
    """The async context managers of a service, entered and left by one task, as cancel scopes require."""

    def __init__(self, served: ServedApplication) -> None:
        self._served = served
        self._entered = asyncio.Event()
        self._leaving = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def enter(self) -> None:
        """Open the application.

        Raises:
            Exception: A factory failed with this exception.
        """
        self._task = asyncio.create_task(self._hold(), name="the contexts of the service")
        entered = asyncio.create_task(self._entered.wait())
        try:
            await asyncio.wait({self._task, entered}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._task.cancel()
            await asyncio.wait({self._task})
            raise
        finally:
            entered.cancel()
        if self._task.done():
            self._task.result()

    async def leave(self) -> None:
        """Leave the context managers.

        Raises:
            Exception: A context manager failed with this exception.
        """
        self._leaving.set()
        if self._task is not None:
            await self._task

    async def _hold(self) -> None:
        async with AsyncExitStack() as stack:
            await self._served.open_on_loop(stack)
            self._entered.set()
            await self._leaving.wait()

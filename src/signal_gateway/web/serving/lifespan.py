"""Lifespan: runs the ASGI lifespan of an application, and raises the exceptions of the application.

uvicorn's class logs the exception and ends the process, or the loop that many servers share.
"""

import asyncio
from typing import Any

from starlette.types import ASGIApp, Message

from signal_gateway.errors import SignalGatewayError

__all__ = ["Lifespan", "ServerStartError"]


class ServerStartError(SignalGatewayError):
    """The application did not start and raised no exception, or lacks the lifespan that it must have."""


class Lifespan:
    """Runs one application's lifespan, with the interface that `uvicorn.Server` expects.

    Attributes:
        state: The state that the application's start-up prepares for its requests.
        should_exit: Always False: a failure raises an exception instead.

    Args:
        app: The application.
        is_required: Whether an application without a lifespan is an error.
    """

    def __init__(self, app: ASGIApp, *, is_required: bool) -> None:
        self.state: dict[str, Any] = {}
        self.should_exit = False
        self._app = app
        self._is_required = is_required
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._has_received = False
        self._is_started = asyncio.Event()
        self._failure: str | None = None
        self._running: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Run the application's start-up.

        Raises:
            Exception: The exception of the application.
            ServerStartError: The start-up failed without an exception, or the required lifespan is missing.
        """
        self._running = asyncio.create_task(self._run(), name="lifespan")
        self._to_app.put_nowait({"type": "lifespan.startup"})
        started = asyncio.create_task(self._is_started.wait())
        try:
            await asyncio.wait({self._running, started}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._running.cancel()
            raise
        finally:
            started.cancel()
        if self._is_started.is_set():
            return

        error = self._running.exception()
        if error is not None and (self._has_received or self._is_required):
            raise error
        if self._failure is not None or self._is_required:
            raise ServerStartError(f"the application did not start: {self._failure or 'it has no ASGI lifespan'}")

    async def shutdown(self) -> None:
        """Run the application's shutdown, if it has started.

        Raises:
            Exception: The exception of the application.
        """
        if self._running is None or not self._is_started.is_set():
            return
        self._to_app.put_nowait({"type": "lifespan.shutdown"})
        await self._running

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        await self._app(scope, self._receive, self._send)

    async def _receive(self) -> Message:
        self._has_received = True
        return await self._to_app.get()

    async def _send(self, message: Message) -> None:
        if message["type"] == "lifespan.startup.complete":
            self._is_started.set()
        elif message["type"] == "lifespan.startup.failed":
            self._failure = message.get("message") or "it gave no reason"

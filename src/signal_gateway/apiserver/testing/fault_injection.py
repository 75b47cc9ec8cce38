"""FaultInjection: applies faults to one request and its response."""

import asyncio

from starlette.types import Message, Receive, Send

from signal_gateway.apiserver.apimachinery.status import StatusError
from signal_gateway.apiserver.handlers.responses import ClientConnection
from signal_gateway.apiserver.testing.faults import FaultEffects

__all__ = ["FaultInjection"]


class FaultInjection:
    """Applies faults to one request and its response.

    Attributes:
        has_dropped: Whether the connection is closed.

    Args:
        effects: The effects of the faults.
        connection: The connection of the client.
        send: Sends the response.

    Raises:
        StatusError: 500 for a drop if the HTTP server under the application cannot close connections.
    """

    def __init__(self, effects: FaultEffects, connection: ClientConnection, send: Send) -> None:
        self.has_dropped = False
        self._effects = effects
        self._connection = connection
        self._send = send
        if effects.drop is not None and not connection.can_drop:
            message = "this HTTP server cannot drop connections: serve the application with a LiveServer"
            raise StatusError(500, message, reason="InternalError")

    async def before_request(self) -> None:
        """Delay the request, drop its connection, or fail it.

        Raises:
            StatusError: The error of the fault.
        """
        if self._effects.delay:
            await asyncio.sleep(self._effects.delay)
        if self._effects.drop == "before":
            self._drop()
        elif self._effects.error is not None:
            raise self._effects.error

    async def send(self, message: Message) -> None:
        """Send a part of the response: delayed, only its first half, or not at all."""
        if self.has_dropped:
            return
        if message["type"] == "http.response.start":
            if self._effects.response_delay:
                await asyncio.sleep(self._effects.response_delay)
            if self._effects.drop == "after":
                self._drop()
                return
        elif self._effects.drop == "during":
            body: bytes = message.get("body", b"")
            await self._send({**message, "body": body[: len(body) // 2], "more_body": True})
            self._drop()
            return
        await self._send(message)

    async def after_request(self, receive: Receive) -> None:
        """Wait for the end of a dropped connection. An earlier return makes the HTTP server send a response itself."""
        while self.has_dropped and (await receive())["type"] != "http.disconnect":
            pass

    def _drop(self) -> None:
        self.has_dropped = True
        self._connection.drop()

"""Disturbance: how a request comes to be late, or to get half an answer or none."""

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from signal_gateway.apiserver.apimachinery.status import StatusError
from signal_gateway.apiserver.testing.faults import Effects
from signal_gateway.web.serving.app_server import ABORT

__all__ = ["Disturbance", "abort_of"]


def abort_of(scope: Scope) -> Callable[[], None] | None:
    """Return what closes a request's connection; None under a server that offers no such thing."""
    abort: Callable[[], None] | None = scope.get("extensions", {}).get(ABORT)
    return abort


class Disturbance:
    """What faults do to one request and its answer.

    Attributes:
        has_dropped: Whether the connection was closed.

    Args:
        effects: What is to happen.
        scope: The request's.
        send: Where the answer goes.

    Raises:
        StatusError: 500 if a connection is to be closed, and the server in charge of it does not offer that.
    """

    def __init__(self, effects: Effects, scope: Scope, send: Send) -> None:
        self.has_dropped = False
        self._effects = effects
        self._send = send
        self._abort = abort_of(scope)
        if effects.drop is not None and self._abort is None:
            message = "the server under this application can't drop connections: serve it with a LiveServer"
            raise StatusError(500, message, reason="InternalError")

    async def before(self) -> None:
        """Let the request wait, drop its connection, or make it fail.

        Raises:
            StatusError: The fault's.
        """
        if self._effects.delay:
            await asyncio.sleep(self._effects.delay)
        if self._effects.drop == "before":
            self._drop()
        elif self._effects.error is not None:
            raise self._effects.error

    async def send(self, message: Message) -> None:
        """Pass a part of the answer on, late, by half or not at all."""
        if self.has_dropped:
            return
        if message["type"] == "http.response.start":
            if self._effects.delay_of_answer:
                await asyncio.sleep(self._effects.delay_of_answer)
            if self._effects.drop == "after":
                self._drop()
                return
        elif self._effects.drop == "during":
            body: bytes = message.get("body", b"")
            await self._send({**message, "body": body[: len(body) // 2], "more_body": True})
            self._drop()
            return
        await self._send(message)

    async def end(self, receive: Receive) -> None:
        """Wait until a connection that was dropped is gone: before that, the server would answer in our place."""
        message: dict[str, Any] = {}
        while self.has_dropped and message.get("type") != "http.disconnect":
            message = dict(await receive())

    def _drop(self) -> None:
        assert self._abort is not None
        self.has_dropped = True
        self._abort()

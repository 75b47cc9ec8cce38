"""Exchanges: the last requests that a live server answered, for the report of a test that failed."""

import time
import traceback
from collections import deque
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Exchange", "ExchangeLog"]

_MOST_RECENT = 10
_MOST_BODY_BYTES = 400
_MOST_FRAMES = 3


@dataclass(slots=True)
class Exchange:
    """One request and what was answered, as far as it has come.

    Attributes:
        method: Such as `POST`.
        path: The URL's path.
        status: The answer's HTTP status; None until it begins.
        seconds: How long the answer took; None until it is complete.
        body: The beginning of the answer's body.
        error: What the application raised, with its innermost lines; empty if nothing.
    """

    method: str
    path: str
    status: int | None = None
    seconds: float | None = None
    body: bytes = b""
    error: str = ""

    def __str__(self) -> str:
        if self.status is None:
            return f"{self.method} {self.path} -> no answer yet"
        took = "still sending" if self.seconds is None else f"{self.seconds * 1000:.1f} ms"
        return f"{self.method} {self.path} -> {self.status} ({took}) {self.body.decode(errors='replace')}".rstrip()


class ExchangeLog:
    """Keeps the last requests of an application; written on its loop, read from any thread.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._recent: deque[Exchange] = deque(maxlen=_MOST_RECENT)

    @property
    def recent(self) -> list[Exchange]:
        """The newest exchanges, oldest first."""
        return list(self._recent)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and note it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(scope["method"], scope["path"])
        self._recent.append(exchange)
        begin = time.perf_counter()

        async def send_noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
            elif message["type"] == "http.response.body":
                room = _MOST_BODY_BYTES - len(exchange.body)
                if room > 0:
                    exchange.body += bytes(message.get("body", b"")[:room])
                if not message.get("more_body", False):
                    exchange.seconds = time.perf_counter() - begin
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except Exception as exc:
            exchange.error = "".join(traceback.format_exception(exc, limit=-_MOST_FRAMES)).rstrip()
            raise

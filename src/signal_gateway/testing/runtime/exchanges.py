"""ExchangeLog: the last requests and responses of a live server, for the report of a failed test."""

import traceback
from collections import deque
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from signal_gateway.clock import SystemClock

__all__ = ["Exchange", "ExchangeLog"]

_CLOCK: Final = SystemClock()
_MOST_RECENT = 10
_MOST_BODY_BYTES = 400
_MOST_FRAMES = 3


@dataclass(slots=True)
class Exchange:
    """One request and its response, as far as it was sent.

    Attributes:
        method: The HTTP method, such as `POST`.
        path: The path of the URL.
        status: The HTTP status of the response; None until the response begins.
        seconds: The duration; None until the response is complete.
        body: The first bytes of the response body.
        error: The exception of the application with its innermost frames; empty if it raised none.
    """

    method: str
    path: str
    status: int | None = None
    seconds: float | None = None
    body: bytes = b""
    error: str = ""

    def __str__(self) -> str:
        if self.status is None:
            return f"{self.method} {self.path} -> no response yet"
        took = "still sending" if self.seconds is None else f"{self.seconds * 1000:.1f} ms"
        return f"{self.method} {self.path} -> {self.status} ({took}) {self.body.decode(errors='replace')}".rstrip()


class ExchangeLog:
    """ASGI middleware that keeps the last exchanges. The loop of the server writes them, any thread reads them.

    Args:
        app: The wrapped application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._recent: deque[Exchange] = deque(maxlen=_MOST_RECENT)

    @property
    def recent(self) -> list[Exchange]:
        """The newest exchanges, oldest first."""
        return list(self._recent)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request and record the exchange."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(scope["method"], scope["path"])
        self._recent.append(exchange)
        begin = _CLOCK.monotonic()

        async def send_recorded(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
            elif message["type"] == "http.response.body":
                missing = _MOST_BODY_BYTES - len(exchange.body)
                if missing > 0:
                    exchange.body += bytes(message.get("body", b"")[:missing])
                if not message.get("more_body", False):
                    exchange.seconds = _CLOCK.monotonic() - begin
            await send(message)

        try:
            await self._app(scope, receive, send_recorded)
        except Exception as exc:
            exchange.error = "".join(traceback.format_exception(exc, limit=-_MOST_FRAMES)).rstrip()
            _complete(exchange, begin)
            raise
        _complete(exchange, begin)


def _complete(exchange: Exchange, begin: float) -> None:
    """Note the server error with which the server responds if the application began no response."""
    if exchange.status is None:
        exchange.status = 500
        exchange.seconds = _CLOCK.monotonic() - begin

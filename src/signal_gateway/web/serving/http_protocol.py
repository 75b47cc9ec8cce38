"""BoundedProtocol: uvicorn's HTTP/1.1 protocol with limits for slow clients and large heads.

uvicorn limits neither the time nor the size of a request's head, keeps all trailers, and waits without limit for a
client that does not read its response. Any client that can connect could use up connections and memory that way.

uvicorn also drops the body of a request with an `Upgrade` that it does not know, such as `h2c` of Java's HTTP client
and of `curl --http2`. Here such a request is served over HTTP/1.1, with its body.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any, Final

from httptools import HttpParserUpgrade, HttpRequestParser
from uuid_utils import uuid7
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from signal_gateway.web.problem import Problem, problem_response
from signal_gateway.web.response_headers import NO_PAGES, security_headers

__all__ = ["ABORT", "IS_CLOSING", "BoundedProtocol", "ConnectionLimits"]

ABORT: Final = "signal_gateway.abort"
"""Key in the `extensions` of an ASGI scope: a function without arguments that closes the request's connection abruptly,
like a network failure."""

IS_CLOSING: Final = "signal_gateway.is_closing"
"""Key in the `extensions` of an ASGI scope: a function without arguments that returns whether the request's connection
is closed. Starlette's `Request.is_disconnected` creates and cancels a scope of anyio to find out."""

_log = logging.getLogger(__name__)

# per read; asyncio's 256 KiB, twice per connection, are too much for hundreds of connections
_READ_BYTES: Final = 32 * 1024
_NOT_HTTP: Final = "The request is not valid HTTP/1.1 (RFC 9112). Send HTTP/1.1."


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of one connection.

    Attributes:
        head_seconds: Time limit for the head of a request, from the start of the connection or the head's first byte.
        head_bytes: Size limit for the head of a request, and for bytes that belong to neither a head nor a body.
        stall_seconds: Time limit in which a client must read some bytes of a response that waits for it.
    """

    head_seconds: float = 30.0
    head_bytes: int = 64 * 1024
    stall_seconds: float = 30.0


class _PlainParser(HttpRequestParser):
    """A parser that ignores the `Upgrade` of a request, as RFC 9110, 7.8 allows, and so keeps the request's body.

    httptools ends such a request after its head. The head is parsed again, without the header.

    Args:
        protocol: Has the callbacks of the parser.
    """

    def __init__(self, protocol: "BoundedProtocol") -> None:
        super().__init__(protocol)
        self._protocol = protocol

    def feed_data(self, data: bytes) -> None:  # type: ignore[override] # uvicorn passes bytes
        """Parse received bytes."""
        while True:
            try:
                super().feed_data(data)
            except HttpParserUpgrade as exc:
                head = self._protocol.take_head_without_upgrade()
                if head is None:
                    raise
                data = head + data[exc.args[0] :]
            else:
                return


class BoundedProtocol(HttpToolsProtocol):
    """One connection. If the client exceeds a limit, it gets an error response and the connection closes.

    The error response is left out if the client could take it for the response to an earlier request.

    Args:
        limits: The limits.
        uvicorn: The arguments of uvicorn's protocol.
    """

    def __init__(self, *, limits: ConnectionLimits, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self.access_log = False  # a live server writes no lines into the access log of its process
        self.parser = _PlainParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._limits = limits
        self._has_ignored_upgrade = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._has_refused = False
        self._is_in_head = False
        self._header_bytes = 0
        self._made_progress = False
        self._bytes_without_progress = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        if hasattr(transport, "max_size"):
            transport.max_size = _READ_BYTES  # pyright: ignore[reportAttributeAccessIssue] - asyncio's own, not its ABC's
        self._head_timer = self.loop.call_later(self._limits.head_seconds, self._give_up_head)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers."""
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        self._stop_stall_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse received bytes, unless the connection is about to close."""
        if self._has_refused:
            return
        if self._head_timer is None and (self.cycle is None or self.cycle.response_complete):
            self._head_timer = self.loop.call_later(self._limits.head_seconds, self._give_up_head)
        self._made_progress = False
        super().data_received(data)
        self._bytes_without_progress = 0 if self._made_progress else self._bytes_without_progress + len(data)
        if self._bytes_without_progress > self._limits.head_bytes and not self._has_refused:
            self._refuse(self._too_large())

    def on_message_begin(self) -> None:
        """Start to count the bytes of the headers."""
        super().on_message_begin()
        extensions: dict[str, Any] = {ABORT: self.transport.abort, IS_CLOSING: self.transport.is_closing}
        self.scope["extensions"] = extensions
        self._is_in_head = True
        self._header_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; discard a trailer, because the application never reads trailers."""
        if self._is_in_head:
            self._header_bytes += len(name) + len(value) + len(": \r\n")
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Check the size of a complete head."""
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        self._is_in_head = False
        self._made_progress = True
        if len(self.url) + self._header_bytes > self._limits.head_bytes and not self._has_refused:
            self._refuse(self._too_large())
        if self._has_refused:
            return
        if self.parser.should_upgrade() and not self._should_upgrade():
            self._has_ignored_upgrade = any(name == b"upgrade" for name, _ in self.headers)
        if not self._has_ignored_upgrade:
            super().on_headers_complete()

    def take_head_without_upgrade(self) -> bytes | None:
        """Return the head of a request to parse again; None unless its `Upgrade` is ignored."""
        if not self._has_ignored_upgrade:
            return None
        self._has_ignored_upgrade = False
        request_line = b"%b %b HTTP/%b\r\n" % (
            self.parser.get_method(),
            self.url,
            self.parser.get_http_version().encode(),
        )
        headers = [b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        return b"".join([request_line, *headers, b"\r\n"])

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._made_progress = True
        if self._has_refused:
            return
        super().on_body(body)
        if len(self.cycle.body) >= _READ_BYTES:
            self.flow.pause_reading()  # until the application reads on

    def on_message_complete(self) -> None:
        """Take the end of a body."""
        self._made_progress = True
        if not self._has_refused and not self._has_ignored_upgrade:
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the parser's text is not for clients
        """Refuse bytes that are not HTTP."""
        self._refuse(Problem(400, _NOT_HTTP))

    def pause_writing(self) -> None:
        """Start the timer for a client that does not read its response."""
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        """Stop the timer: the client reads again."""
        self._stop_stall_timer()
        super().resume_writing()

    def _give_up_head(self) -> None:
        self._head_timer = None
        if self._is_in_head:
            self._refuse(Problem(408, f"The head of the request took longer than {self._limits.head_seconds:g} s."))
        else:
            self.transport.close()

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _expect_reading(self) -> None:
        waiting = self.transport.get_write_buffer_size()
        self._stall_timer = self.loop.call_later(self._limits.stall_seconds, self._give_up_reading, waiting)

    def _give_up_reading(self, was_waiting: int) -> None:
        if self.transport.get_write_buffer_size() < was_waiting:
            self._expect_reading()
            return
        _log.warning(
            "closed the connection of a client that read nothing of its response for %g s", self._limits.stall_seconds
        )
        self.transport.abort()

    def _too_large(self) -> Problem:
        return Problem(431, f"The head of the request is larger than {self._limits.head_bytes} bytes.")

    def _refuse(self, problem: Problem) -> None:
        self._has_refused = True
        if not self._has_response_due():
            problem.headers |= {"Connection": "close", **security_headers(NO_PAGES)}
            response = problem_response(problem, instance="/", request_id=str(uuid7()))
            lines = [b"%b: %b\r\n" % header for header in (*self.server_state.default_headers, *response.raw_headers)]
            self.transport.write(b"".join([STATUS_LINE[problem.status], *lines, b"\r\n", bytes(response.body)]))
        self.transport.close()

    def _has_response_due(self) -> bool:
        """Return whether the client could take a refusal for (a part of) the response to an earlier request."""
        if self.cycle is None or self.cycle.response_complete:
            return False
        return bool(self.pipeline) or self.cycle.response_started or not self.cycle.more_body

"""BoundedProtocol: uvicorn's HTTP/1.1, with an end to what a client may leave undone.

uvicorn itself waits for ever for the head of a request, takes a head of any size, keeps every trailer, and waits for
ever for a client that doesn't read its answer. Nothing of that needs more of a client than to connect.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any, Final

from uuid_utils import uuid7
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from signal_gateway.web.middleware.security_headers import NO_PAGES, security_headers
from signal_gateway.web.problem import Problem, problem_response

__all__ = ["BoundedProtocol", "ConnectionLimits"]

_log = logging.getLogger(__name__)

_READ_BYTES: Final = 32 * 1024  # at once; asyncio's 256 KiB, twice over for each connection, are much for a hundred
_NOT_HTTP: Final = "This is not HTTP/1.1 as RFC 9112 has it, so nothing was read."


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What a client may cost that does not say what it wants, or doesn't read what it is told.

    Attributes:
        head_seconds: How long a request's head may take, from the connection's start or the head's first byte on.
        head_bytes: How large a request's head may be; also, how much may come that is neither a head nor a body.
        stall_seconds: How long a client may read nothing of an answer that waits for it.
    """

    head_seconds: float = 30.0
    head_bytes: int = 64 * 1024
    stall_seconds: float = 30.0


class BoundedProtocol(HttpToolsProtocol):
    """One connection. A client that overdoes it is told so if no other answer is due, and its connection ends.

    Args:
        limits: What it may cost.
        uvicorn: The arguments of uvicorn's own protocol.
    """

    def __init__(self, *, limits: ConnectionLimits, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._limits = limits
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._has_refused = False
        self._is_in_head = False
        self._head_bytes = 0
        self._made_progress = False
        self._bytes_for_nothing = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        if hasattr(transport, "max_size"):
            transport.max_size = _READ_BYTES
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._stop_head_timer()
        self._stop_stall_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless the connection is about to be closed."""
        if self._has_refused:
            return
        if self.cycle is None or self.cycle.response_complete:
            self._expect_head()
        self._made_progress = False
        super().data_received(data)
        self._bytes_for_nothing = 0 if self._made_progress else self._bytes_for_nothing + len(data)
        if self._bytes_for_nothing > self._limits.head_bytes and not self._has_refused:
            self._refuse(self._too_large())

    def on_message_begin(self) -> None:
        """Note that a head begins."""
        super().on_message_begin()
        self._is_in_head = True
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Take a part of the target."""
        self._head_bytes += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; a trailer is dropped, for nobody reads one."""
        if self._is_in_head:
            self._head_bytes += len(name) + len(value) + len(": \r\n")
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Note that a head is complete."""
        self._stop_head_timer()
        self._is_in_head = False
        self._made_progress = True
        if self._head_bytes > self._limits.head_bytes and not self._has_refused:
            self._refuse(self._too_large())
        if not self._has_refused:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._made_progress = True
        if self._has_refused:
            return
        super().on_body(body)
        if len(self.cycle.body) >= _READ_BYTES:
            self.flow.pause_reading()  # until the application asks for more

    def on_message_complete(self) -> None:
        """Note that a body is complete."""
        self._made_progress = True
        if not self._has_refused:
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the parser's words are not for clients
        """Answer what is not HTTP."""
        self._refuse(Problem(400, _NOT_HTTP))

    def pause_writing(self) -> None:
        """Give a client that has not read an answer some time for it."""
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        """Note that a client has read."""
        self._stop_stall_timer()
        super().resume_writing()

    def _expect_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self._limits.head_seconds, self._give_up_head)

    def _give_up_head(self) -> None:
        self._head_timer = None
        if self._is_in_head:
            self._refuse(Problem(408, f"The head of the request took longer than {self._limits.head_seconds:g} s."))
        else:
            self.transport.close()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

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
        _log.warning("cut off a client that read nothing of its answer for %g s", self._limits.stall_seconds)
        self.transport.abort()

    def _too_large(self) -> Problem:
        return Problem(431, f"The head of the request is larger than {self._limits.head_bytes} bytes.")

    def _refuse(self, problem: Problem) -> None:
        self._has_refused = True
        if not self._has_answer_due():
            problem.headers |= {"Connection": "close", **security_headers(NO_PAGES)}
            response = problem_response(problem, instance="/", request_id=str(uuid7()))
            lines = [b"%b: %b\r\n" % header for header in (*self.server_state.default_headers, *response.raw_headers)]
            self.transport.write(b"".join([STATUS_LINE[problem.status], *lines, b"\r\n", bytes(response.body)]))
        self.transport.close()

    def _has_answer_due(self) -> bool:
        """Whether the client would take a refusal for the answer to an earlier request, or for a part of one."""
        if self.cycle is None or self.cycle.response_complete:
            return False
        return bool(self.pipeline) or self.cycle.response_started or not self.cycle.more_body

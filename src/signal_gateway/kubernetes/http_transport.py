"""HttpTransport: HTTP/1.1 to one Kubernetes API server over kept connections, for the running loop.

It does what the calls of a gateway need and nothing else: no redirects, no cookies, no proxy. llhttp (by httptools)
parses the responses. A request is written once: if its connection breaks the call fails, and the caller decides.
"""

import asyncio
import select
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, cast
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from signal_gateway._idle import IDLE_SECONDS
from signal_gateway._version import __version__
from signal_gateway.kubernetes.api_transport import HttpReply, HttpStream
from signal_gateway.kubernetes.errors import HttpFailure

__all__ = ["HttpTransport"]

_MAX_CONNECTIONS: Final = 200
_MAX_IDLE: Final = 100
_PHASE_SECONDS: Final = 10.0
_HEAD_BYTES: Final = 100 * 1024
_STREAM_BUFFER_BYTES: Final = 256 * 1024
_HAPPY_EYEBALLS_SECONDS: Final = 0.25  # RFC 8305
_GZIP_MAGIC: Final = b"\x1f\x8b"  # JSON and text never begin with it


class HttpTransport:
    """Connections to one API server, for the loop on which it is created.

    A phase of a call (a free connection, the connect, and each wait for progress of the request or the response) takes
    at most 10 seconds. An idle connection is used again for 3 seconds, if the server has not closed it.

    Args:
        server: URL of the server, with an optional path that the targets continue.
        tls: Context for an `https` URL.
    """

    def __init__(self, server: str, *, tls: ssl.SSLContext | None) -> None:
        parts = urlsplit(server)
        self._loop = asyncio.get_running_loop()
        self._host = parts.hostname or ""
        self._tls = tls if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._tls is not None else 80)
        self._prefix = parts.path.rstrip("/")
        authority = parts.netloc.rpartition("@")[2].encode("idna" if not parts.netloc.isascii() else "ascii").decode()
        self._common = (
            f" HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: signal-gateway/{__version__}\r\nAccept-Encoding: gzip\r\n"
        )
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()
        self._connecting = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_closed = False

    async def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> HttpReply:
        """Send a request and return its complete response.

        Raises:
            HttpFailure: There is no complete response.
        """
        fields = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        request = f"{method} {self._prefix}{target}{self._common}{fields}{length}\r\n".encode("ascii") + body
        connection = await self._connection()
        try:
            reply = await connection.begin(request)
            assert reply is not None, "only a stream has a head without a body"
            if reply.body[:2] == _GZIP_MAGIC:
                return reply.decompressed()
            return reply
        finally:
            self._free(connection)

    @asynccontextmanager
    async def stream(self, method: str, target: str, headers: Mapping[str, str]) -> AsyncIterator[HttpStream]:
        """Send a request and use its response as it arrives; the end of the block closes an incomplete one.

        Raises:
            HttpFailure: There is no response.
        """
        fields = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        common = self._common.replace("gzip", "identity")  # compressed lines would wait for each other
        connection = await self._connection()
        try:
            await connection.begin(
                f"{method} {self._prefix}{target}{common}{fields}\r\n".encode("ascii"), is_stream=True
            )
            yield connection
        finally:
            self._free(connection)

    async def aclose(self) -> None:
        """Close every connection and wait until all sockets are closed."""
        self._is_closed = True
        for connection in (connections := list(self._open)):
            connection.abort()
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
        for connection in connections:
            await asyncio.shield(connection.lost)

    async def _connection(self) -> "_Connection":
        """Return the connection that was used last, or a new one."""
        while self._idle:
            used = self._idle.pop()
            is_young = self._loop.time() - used.progress_at <= IDLE_SECONDS
            # readable: the server closed it, or sent something without a request; the loop has not read it yet
            if used.is_free and is_young and not used.poll(0):
                return used
            used.abort()
        return await self._connect()

    async def _connect(self) -> "_Connection":
        while len(self._open) + self._connecting >= _MAX_CONNECTIONS and not self._is_closed:
            await self._wait_for_another_call()
            if self._idle:
                return await self._connection()
        if self._is_closed:
            raise HttpFailure("PoolClosed", "the connections of the client were closed during the call")
        self._connecting += 1
        try:
            async with asyncio.timeout(_PHASE_SECONDS):
                _, connection = await self._loop.create_connection(
                    lambda: _Connection(self._loop, self._discard), self._host, self._port, **self._options()
                )
        except TimeoutError as exc:
            raise HttpFailure("ConnectTimeout", f"no connection within {_PHASE_SECONDS:g} s", is_timeout=True) from exc
        except (OSError, UnicodeError) as exc:  # a UnicodeError for a host that IDNA does not allow
            raise HttpFailure("ConnectError", str(exc)) from exc
        finally:
            self._connecting -= 1
            self._wake_one()
        self._open.add(connection)
        if self._is_closed:
            connection.abort()
        return connection

    def _options(self) -> dict[str, Any]:
        """Return the options of `create_connection`; other loops than asyncio's try one address after another."""
        options: dict[str, Any] = {}
        if self._tls is not None:
            options |= {"ssl": self._tls, "server_hostname": self._host}
        is_name = ":" not in self._host and not self._host.replace(".", "").isdigit()
        if is_name and isinstance(self._loop, asyncio.BaseEventLoop):
            options["happy_eyeballs_delay"] = _HAPPY_EYEBALLS_SECONDS
        return options

    async def _wait_for_another_call(self) -> None:
        """Wait until a call ends.

        Raises:
            HttpFailure: All connections stay in use.
        """
        waiting = self._loop.create_future()
        self._waiting.append(waiting)
        try:
            async with asyncio.timeout(_PHASE_SECONDS):
                await waiting
        except (TimeoutError, asyncio.CancelledError) as exc:
            if not waiting.cancelled():  # woken at the same moment: the turn of the next one
                self._wake_one()
            if isinstance(exc, asyncio.CancelledError):
                raise
            cause = f"all {_MAX_CONNECTIONS} connections were in use for {_PHASE_SECONDS:g} s"
            raise HttpFailure("PoolTimeout", cause, is_timeout=True) from exc

    def _free(self, connection: "_Connection") -> None:
        """Keep a connection for the next call; close it if its exchange is not complete, or there are enough."""
        if connection.is_free and len(self._idle) < _MAX_IDLE and not self._is_closed:
            self._idle.append(connection)
        else:
            connection.abort()
        if self._waiting:
            self._wake_one()

    def _wake_one(self) -> None:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)
                return

    def _discard(self, connection: "_Connection") -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._wake_one()


class _Connection(asyncio.Protocol):
    """One connection, with one exchange at a time.

    The parser fills containers directly where no Python code is needed.

    Args:
        loop: The running loop.
        discard: Called when the socket is closed.

    Attributes:
        is_free: Whether it is open and has no exchange.
        lost: Done when the socket is closed.
        poll: Returns a true value if the socket is readable; takes the milliseconds to wait.
        progress_at: Time on the loop of the last byte or the last request.
        status: HTTP status of a stream.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, discard: "Callable[[_Connection], None]") -> None:
        self._loop = loop
        self._discard = discard
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._begins: list[None] = []
        self._heads: list[None] = []
        self.on_message_begin = partial(self._begins.append, None)
        self.on_header = self._headers.__setitem__
        self.on_headers_complete = partial(self._heads.append, None)
        self.on_body = self._body.append
        self._parser = HttpResponseParser(self)
        self.is_free = False
        self.lost: asyncio.Future[None] = loop.create_future()
        self.progress_at = loop.time()
        self.poll: Callable[[int], object] = _never
        self.status = 0
        self._outcome: asyncio.Future[HttpReply | None] | None = None
        self._is_stream = False
        self._is_complete = False
        self._failure: HttpFailure | None = None
        self._head_bytes = 0
        self._is_writing = False
        self._more: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Make it free."""
        self._transport = cast(asyncio.Transport, transport)
        if hasattr(select, "poll"):  # not on Windows, where the loop notices a little later
            poller = select.poll()
            poller.register(transport.get_extra_info("socket"), select.POLLIN)
            self.poll = poller.poll
        self.is_free = True
        self._timer = self._loop.call_later(_PHASE_SECONDS, self._check_progress)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the exchange."""
        self.is_free = False
        if self._timer is not None:
            self._timer.cancel()
        if exc is None and self._is_delimited_by_the_end():
            self.on_message_complete()
        elif self._outcome is not None and exc is not None:
            self._fail("ReadError", str(exc) or type(exc).__name__)
        elif self._outcome is not None and not self._is_complete:
            cause = "in the middle of its response" if self._heads else "without a response"
            self._fail("RemoteProtocolError", f"the server closed the connection {cause}")
        self._wake_reader()
        self._discard(self)
        self.lost.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Parse a part of a response."""
        self.progress_at = self._loop.time()
        if not self._heads:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as exc:
            self._fail("RemoteProtocolError", f"the response is not HTTP/1.1: {exc}")
        if not self._heads and self._head_bytes > _HEAD_BYTES:
            self._fail("RemoteProtocolError", f"the head of the response exceeds {_HEAD_BYTES} bytes")
        if len(self._begins) > 1:  # more than one response: what follows would belong to no request
            self._fail("RemoteProtocolError", "the server sent more than one response")
        elif self._is_stream and self._heads:
            if self._outcome is not None and not self._outcome.done():
                self.status = self._parser.get_status_code()
                self._outcome.set_result(None)
            if self._more is not None and not self._more.done():
                self._more.set_result(None)
            is_full = not self._is_complete and sum(map(len, self._body)) > _STREAM_BUFFER_BYTES
            if is_full and not self._transport.is_closing():
                self._transport.pause_reading()  # until the user reads on; a complete response has nothing to stop

    def pause_writing(self) -> None:
        """Note that the server reads slowly."""
        self._is_writing = True

    def resume_writing(self) -> None:
        """Note that the server has read."""
        self._is_writing = False
        self.progress_at = self._loop.time()

    def on_message_complete(self) -> None:
        """End the exchange with its response."""
        status = self._parser.get_status_code()
        if status < 200:  # 100 Continue, 103 Early Hints: the response follows
            self._headers.clear()
            self._begins.clear()
            self._heads.clear()
            return
        if self._is_complete:
            return
        self._is_complete = True
        self.is_free = self._parser.should_keep_alive() and not self._transport.is_closing()
        outcome = self._outcome
        if not self._is_stream and outcome is not None and not outcome.done():
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            outcome.set_result(HttpReply(status, dict(self._headers), body))

    def begin(self, request: bytes, *, is_stream: bool = False) -> "asyncio.Future[HttpReply | None]":
        """Write a request; return a future of its response, or of None when a stream has its head."""
        for container in (self._headers, self._body, self._begins, self._heads):
            container.clear()
        self._is_stream, self._is_complete, self._failure = is_stream, False, None
        self._head_bytes = 0
        self.progress_at = self._loop.time()
        self._outcome = self._loop.create_future()
        if self.is_free:
            self.is_free = False
            self._transport.write(request)
        else:
            self._fail("ReadError", "the connection was closed before the request was sent")
        return self._outcome

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the parts of the body of a stream.

        Raises:
            HttpFailure: The body is not complete.
        """
        while True:
            if self._body:
                data = b"".join(self._body)
                self._body.clear()
                if not self._transport.is_closing():
                    self._transport.resume_reading()
                yield data
            elif self._is_complete:
                return
            elif self._failure is not None:
                raise self._failure
            else:
                self._more = self._loop.create_future()
                await self._more

    async def reply(self) -> HttpReply:
        """Read the rest of the body of a stream.

        Raises:
            HttpFailure: The body is not complete.
        """
        headers = dict(self._headers)
        return HttpReply(self.status, headers, b"".join([chunk async for chunk in self.chunks()]))

    def abort(self) -> None:
        """Close the socket at once."""
        self.is_free = False
        self._transport.abort()

    def _fail(self, kind: str, cause: str, *, is_timeout: bool = False) -> None:
        """End the exchange without a complete response, and the connection."""
        self._failure = self._failure or HttpFailure(kind, cause, is_timeout=is_timeout)
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_exception(self._failure)
        self._wake_reader()
        self.abort()

    def _wake_reader(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    def _is_delimited_by_the_end(self) -> bool:
        """Return whether the end of the connection is the end of the body (RFC 9112, 6.3)."""
        names = {name.lower() for name in self._headers}
        return bool(self._heads) and not self._is_complete and not names & {b"content-length", b"transfer-encoding"}

    def _check_progress(self) -> None:
        """Close a connection that has been idle, or give up a call that makes no progress. Runs while it is open."""
        is_idle = self._outcome is None or self._is_complete
        waited = self._loop.time() - self.progress_at
        limit = IDLE_SECONDS if is_idle else _PHASE_SECONDS
        if waited >= limit and is_idle:
            self.abort()
        elif waited >= limit and not self._is_stream:  # the user of a stream has a deadline of its own
            kind = "WriteTimeout" if self._is_writing else "ReadTimeout"
            self._fail(kind, f"no progress for {_PHASE_SECONDS:g} s", is_timeout=True)
        else:
            remaining = limit - waited if waited < limit else limit
            self._timer = self._loop.call_later(remaining, self._check_progress)


def _never(_: int) -> bool:
    return False

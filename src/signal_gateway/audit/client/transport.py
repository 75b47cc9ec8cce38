"""Transport: HTTP/1.1 over sockets of its own, for the calls of a DataStorageClient.

A test may replace the transports of httpx, requests or `http.client`, disable sockets, or record all HTTP calls of the
process. Deliveries run in the background of such a test, so they use the socket type, `getaddrinfo` and `poll` as they
were at the import of `machine`, and write no log records.
"""

import encodings.idna  # noqa: F401 - the first look-up of a host imports it; a concurrent fork would see half of it
import select
import socket
import ssl
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Protocol, cast
from urllib.parse import urlsplit

import h11

from signal_gateway._idle import IDLE_SECONDS
from signal_gateway._machine import Primitives, machine, primitives

__all__ = [
    "ConnectError",
    "ConnectTimeout",
    "ProtocolError",
    "ReadError",
    "ReadTimeout",
    "TlsSource",
    "Transport",
    "TransportError",
    "TransportResponse",
    "WriteError",
    "WriteTimeout",
]

_MAX_IDLE = 20
_CHUNK_BYTES = 64 * 1024
_MAX_HEAD_BYTES = 64 * 1024
_CLOSED = "the connection is closed"
_DEFAULT_PORTS = {"http": 80, "https": 443}


class TransportError(Exception):
    """An HTTP call got no complete response. The subclass names the phase, the message has the cause."""


class ConnectError(TransportError):
    """No connection: the host is unknown, refuses the connection, or has an invalid certificate."""


class ConnectTimeout(TransportError):  # noqa: N818 - the phase, as in httpx
    """The connection took too long."""


class WriteError(TransportError):
    """The connection broke while the request was sent."""


class WriteTimeout(TransportError):  # noqa: N818 - the phase, as in httpx
    """The server did not read the request in time."""


class ReadError(TransportError):
    """The connection broke before the response was complete."""


class ReadTimeout(TransportError):  # noqa: N818 - the phase, as in httpx
    """The response, or its next part, did not arrive in time."""


class ProtocolError(TransportError):
    """The server closed the connection early, or its response is not HTTP/1.1."""


class TlsSource(Protocol):
    """A source of TLS contexts."""

    def context(self) -> ssl.SSLContext:
        """Return the context for a new connection."""
        ...


class TransportResponse:
    """A response whose body is read part by part. Close it; a response that was read completely frees its connection.

    Attributes:
        status_code: HTTP status.
        headers: Header fields by name in lower case. Repeated fields are joined with a comma.
    """

    def __init__(self, connection: "_Connection", head: h11.Response, free: Callable[["_Connection"], None]) -> None:
        self.status_code: int = head.status_code
        self.headers: dict[str, str] = {}
        for raw_name, raw_value in head.headers:
            name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
            self.headers[name] = f"{self.headers[name]}, {value}" if name in self.headers else value
        self._connection = connection
        self._free = free

    def chunks(self, deadline: float | None = None) -> Iterator[bytes]:
        """Yield the parts of the body.

        Args:
            deadline: `machine.monotonic()` at which the body must be complete; None for a limit per part only.

        Raises:
            TransportError: The body is not complete.
        """
        while not isinstance(event := self._connection.receive(deadline), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                yield bytes(event.data)
        connection, self._connection = self._connection, _NOTHING
        self._free(connection)

    def close(self) -> None:
        """Close the connection, unless the body was read completely."""
        self._connection.close()


class Transport:
    """HTTP/1.1 connections to one server, which are kept for later calls. Safe to use from any thread.

    Reads no environment variable: there is no proxy. A forked child has its own connections.

    Args:
        url: URL of the server, with an optional path that the targets of the requests continue.
        tls: Contexts for an `https` URL; each connection gets the one of its time.
    """

    def __init__(self, url: str, *, tls: TlsSource | None) -> None:
        parts = urlsplit(url)
        host = parts.hostname or ""
        self._host = host if host.isascii() else host.encode("idna").decode()
        self._port = parts.port or _DEFAULT_PORTS[parts.scheme.lower()]
        self._path = parts.path.rstrip("/")
        self._tls = tls if parts.scheme.lower() == "https" else None
        shown = f"[{self._host}]" if ":" in self._host else self._host
        authority = shown if self._port == _DEFAULT_PORTS[parts.scheme.lower()] else f"{shown}:{self._port}"
        self._headers = [("host", authority), ("accept-encoding", "identity")]
        self._primitives = primitives()
        # by process id: a forked child must not use the connections of its parent
        self._idle: dict[int, deque[_Connection]] = {}

    def send(
        self,
        method: str,
        target: str,
        *,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
        timeout: float,
    ) -> TransportResponse:
        """Send a request and return the response, without its body.

        Args:
            method: HTTP method.
            target: Path, continues the path of the URL; with the query.
            content: Request body.
            headers: More header fields.
            timeout: Maximum seconds of each phase: connect, write, read of each part.

        Raises:
            TransportError: There is no response.
        """
        idle = self._idle.setdefault(machine.getpid(), deque())
        fields = [*self._headers, *(headers or {}).items()]
        if content:
            fields.append(("content-length", str(len(content))))
        request = h11.Request(method=method, target=self._path + target, headers=fields)
        connection = self._connection(idle, timeout)
        try:
            connection.timeout = timeout
            connection.write(request, content)
            deadline = machine.monotonic() + timeout
            while not isinstance(head := connection.receive(deadline), h11.Response):
                pass
        except BaseException:
            connection.close()
            raise

        def free(used: _Connection) -> None:
            try:
                used.http.start_next_cycle()
            except h11.LocalProtocolError:  # one of both sides closes it
                used.close()
                return
            used.idle_since = machine.monotonic()
            if self._idle.get(machine.getpid()) is idle and len(idle) < _MAX_IDLE:
                idle.append(used)
                if self._idle.get(machine.getpid()) is not idle:  # closed in the meantime
                    _close_all(idle)
            else:
                used.close()

        return TransportResponse(connection, head, free)

    def close(self) -> None:
        """Close the connections that no call uses; the others close after their calls. The transport stays usable."""
        _close_all(self._idle.pop(machine.getpid(), deque()))

    def _connection(self, idle: deque["_Connection"], timeout: float) -> "_Connection":
        """Return the connection that was used last, or a new one; close the idle ones that are not usable."""
        with suppress(IndexError):  # another thread may take the last one
            while idle:
                if (used := idle.pop()).is_usable():
                    return used
                used.close()
        try:
            addresses = self._primitives.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as exc:
            raise ConnectError(str(exc)) from exc
        cause: OSError | None = None
        for family, kind, protocol, _, address in addresses:
            sock = self._primitives.new_socket(family, kind, protocol)
            try:
                sock.settimeout(timeout)
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._tls is not None:  # which takes over the descriptor of any socket
                    sock = self._tls.context().wrap_socket(cast("socket.socket", sock), server_hostname=self._host)
            except OSError as exc:
                sock.close()
                cause = cause or exc
            except BaseException:
                sock.close()
                raise
            else:
                return _Connection(sock, self._primitives)
        if isinstance(cause, TimeoutError):
            raise ConnectTimeout(f"no connection within {timeout:g} s") from cause
        raise ConnectError(str(cause)) from cause


class _Connection:
    """One connection: a socket and the state of its HTTP exchange. Used by one thread at a time.

    Attributes:
        http: State of the exchange.
        idle_since: `machine.monotonic()` at the end of the last exchange.
        timeout: Maximum seconds of each phase of the current exchange.
    """

    def __init__(self, sock: socket.SocketType | None, primitives: Primitives) -> None:
        self._sock = sock
        self._primitives = primitives
        self.http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)
        self.idle_since = 0.0
        self._sent_at = 0.0
        self.timeout = 0.0

    def write(self, request: h11.Request, content: bytes) -> None:
        """Send a request."""
        head = self.http.send(request) or b""
        if content:
            self.http.send(h11.Data(data=content))
        self.http.send(h11.EndOfMessage())
        sock = self._sock
        if sock is None:
            raise ReadError(_CLOSED)
        sock.settimeout(self.timeout)
        try:
            # a large body is not copied behind the head
            sock.sendall(head + content if len(content) < _CHUNK_BYTES else head)
            if len(content) >= _CHUNK_BYTES:
                sock.sendall(content)
        except TimeoutError as exc:
            raise WriteTimeout(f"the request was not sent within {self.timeout:g} s") from exc
        except OSError as exc:
            raise WriteError(str(exc)) from exc
        self._sent_at = machine.monotonic()

    def receive(self, deadline: float | None) -> object:
        """Return the next event of the response: its head, a part of its body, or its end."""
        while True:
            try:
                event = self.http.next_event()
            except h11.RemoteProtocolError as exc:
                raise ProtocolError(str(exc)) from exc
            if event is not h11.NEED_DATA:
                return event
            sock = self._sock
            remaining = self.timeout if deadline is None else min(self.timeout, deadline - machine.monotonic())
            try:
                if remaining <= 0:
                    raise TimeoutError
                if sock is None:
                    raise ReadError(_CLOSED)
                sock.settimeout(remaining)
                data = sock.recv(_CHUNK_BYTES)
            except TimeoutError as exc:
                waited = machine.monotonic() - self._sent_at
                raise ReadTimeout(f"the response takes too long: it is not complete after {waited:.1f} s") from exc
            except OSError as exc:
                raise ReadError(str(exc)) from exc
            if not data and self.http.their_state is h11.SEND_RESPONSE:
                raise ProtocolError("the server closed the connection without a response")
            self.http.receive_data(data)

    def is_usable(self) -> bool:
        """Return whether an idle connection is young, and open at the other end."""
        sock = self._sock
        if sock is None or machine.monotonic() - self.idle_since > IDLE_SECONDS:
            return False
        # readable: the server closed it, or sent something without a request
        if self._primitives.poll is None:  # Windows
            return not self._primitives.select([sock], [], [], 0)[0]
        poll = self._primitives.poll()
        poll.register(sock, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Close the socket."""
        sock, self._sock = self._sock, None
        if sock is not None:
            with suppress(OSError):
                sock.close()


_NOTHING = _Connection(None, primitives())


def _close_all(idle: deque[_Connection]) -> None:
    while True:
        try:
            connection = idle.pop()
        except IndexError:
            return
        connection.close()

"""Listening sockets, bound before the server starts: the address is known early, and no other process takes the port.

The module imports no server, so that reserving a port stays cheap.
"""

import socket
from ipaddress import IPv6Address, ip_address
from socket import getaddrinfo
from typing import Any

from signal_gateway.errors import ConfigurationError

__all__ = ["bind", "is_loopback", "parse_listen", "reserve_port", "url_of"]

BACKLOG = 2048

_Socket = socket.socket  # at import, because a test may patch the class


class _ListeningSocket(_Socket):
    """A socket whose connections do not depend on `socket.socket`, which a test may patch."""

    def accept(self) -> tuple[socket.socket, Any]:
        accept = getattr(self, "_accept", None)  # gevent's sockets have none
        if accept is None:
            return super().accept()
        descriptor, address = accept()
        return _Socket(self.family, self.type, self.proto, fileno=descriptor), address


def parse_listen(address: str) -> tuple[str, int]:
    """Split `host:port`.

    Args:
        address: Such as `127.0.0.1:8080` or `[::1]:8080`; port 0 lets the system choose.

    Raises:
        ConfigurationError: The address has another form, or the port is not within 0 to 65535.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ConfigurationError(f"{address!r} is not an address to listen on: write host:port, such as 127.0.0.1:8080")
    return host.removeprefix("[").removesuffix("]"), int(port)


def bind(host: str = "127.0.0.1", port: int = 0, *, reuse_port: bool = False) -> socket.socket:
    """Open a listening TCP socket: the address is known and connections queue up from now on.

    Args:
        host: IPv4 or IPv6 address, or a name that resolves to one.
        port: TCP port; 0 lets the system choose a free one.
        reuse_port: Set `SO_REUSEPORT`, for a port that a second socket of yours reserves.

    Returns:
        The socket, with the protocol `IPPROTO_TCP`: with protocol 0 asyncio never sets `TCP_NODELAY`, and each request
        on a kept-alive connection takes 44 ms instead of 0.6.

    Raises:
        ConfigurationError: The address can't be bound; the message names the address and the cause.
    """
    sock: _ListeningSocket | None = None
    try:
        family, _, _, _, address = getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = _ListeningSocket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as exc:
        if sock is not None:
            sock.close()
        raise ConfigurationError(f"can't listen on {host}:{port}: {exc.strerror or exc}") from exc
    sock.setblocking(False)
    return sock


def url_of(sock: socket.socket, *, scheme: str = "http") -> str:
    """Return the URL of a listening socket, as `http://host:port`."""
    host, port = sock.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def reserve_port() -> socket.socket:
    """Bind a free loopback port without listening: connections are refused, and the port stays reserved.

    Listen on it with `bind(port=..., reuse_port=True)`.
    """
    sock = _Socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("127.0.0.1", 0))
    return sock


def is_loopback(sock: socket.socket) -> bool:
    """Return whether a socket is bound to a loopback address, even if a host name was given to `bind`."""
    host, _, _ = sock.getsockname()[0].partition("%")
    address = ip_address(host)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback

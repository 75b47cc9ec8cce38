"""A DataStorage that misbehaves as it is told, in a process of its own: real sockets, HTTP/1.1 with keep-alive.

    python -m tests.campaigns.fault_server DIRECTORY SEED

It prints its URL, takes orders on the socket `control` in the directory, keeps the ledger `stored` there, and ends
with its standard input.
"""

import contextlib
import random
import socket
import struct
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

import orjson
from tests.campaigns.fault_book import Book
from tests.campaigns.fault_modes import GONE, MODES
from tests.campaigns.orders import Order, read_order

from signal_gateway.web.serving.sockets import bind, reserve_port, url_of

__all__ = ["FaultControl"]

_LONGEST_HANG = 60.0
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time


class FaultControl:
    """Tells a fault server what to do, and asks what it saw; for one thread.

    Args:
        directory: The server's.
    """

    def __init__(self, directory: Path) -> None:
        self._connection = Client(str(directory / "control"), "AF_UNIX")

    def switch(self, mode: str) -> None:
        """Answer in this way from now on."""
        self._ask("switch", mode)

    def met(self, batches: int, timeout: float) -> bool:
        """Wait until so many batches came since the switch."""
        return bool(self._ask("met", batches, timeout))

    def progress(self) -> tuple[int, dict[str, int]]:
        """See `Book.progress`."""
        stored, settled = self._ask("progress")
        return stored, settled

    def counts(self) -> dict[str, int]:
        """See `Book.counts`."""
        return dict(self._ask("counts"))

    def close(self) -> None:
        self._connection.close()

    def _ask(self, *question: Any) -> Any:
        self._connection.send(question)
        return self._connection.recv()


class FaultServer:
    """Accepts connections, a thread for each, as long as its mode isn't to be gone.

    Args:
        book: Where it keeps what it stored.
        seed: For what the modes leave to chance.
    """

    def __init__(self, book: Book, seed: int) -> None:
        self.book = book
        self.rng = random.Random(seed)
        self._mode = "normal"
        self._met = threading.Condition()
        self._met_since_switch = 0
        self._connections: set[socket.socket] = set()
        self._reservation = reserve_port()
        self._port = self._reservation.getsockname()[1]
        self._listener: socket.socket | None = None
        self._listen()

    @property
    def url(self) -> str:
        return url_of(self._reservation)

    def take_mode(self) -> str:
        """Return how to answer the batch that came."""
        with self._met:
            self._met_since_switch += 1
            self._met.notify_all()
            return self._mode

    def switch(self, mode: str) -> None:
        with self._met:
            if self._mode == GONE and mode != GONE:
                self._listen()
            previous, self._mode = self._mode, mode
            self._met_since_switch = 0
        if mode == GONE and previous != GONE:
            self._go()

    def met(self, batches: int, timeout: float) -> bool:
        with self._met:
            return self._met.wait_for(lambda: self._met_since_switch >= batches, timeout)

    def progress(self) -> tuple[int, dict[str, int]]:
        return self.book.progress()

    def counts(self) -> dict[str, int]:
        return self.book.counts()

    def _listen(self) -> None:
        listener = bind(port=self._port, reuse_port=True)
        listener.setblocking(True)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _go(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        self._connections.add(connection)
        try:
            with contextlib.suppress(OSError):  # the client may go at any moment
                _Connection(connection, None, self)  # type: ignore[arg-type] # it needs no socketserver
        finally:
            self._connections.discard(connection)
            connection.close()


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: FaultServer  # type: ignore[assignment] # which is no socketserver

    def setup(self) -> None:
        super().setup()
        self._acknowledged: Sequence[Order] = ()
        self._alone_until: float | None = None

    def do_POST(self) -> None:
        body = self.rfile.read(length := int(self.headers["content-length"]))
        if len(body) < length:
            self.close_connection = True
            return
        orders = [read_order(document) for document in orjson.loads(body)]
        # a client that goes on with a connection has read the answer before; one that gave up waiting has not
        self.server.book.confirm(self._acknowledged)
        self._acknowledged = ()
        if self._alone_until is not None:
            self.server.book.come_back(self._alone_until)
            self._alone_until = None
        self.server.book.arrive(orders)
        mode = self.server.take_mode()
        if mode == GONE:
            self.close_connection = True
            return
        MODES[mode](_Exchange(self, orders, len(body)))

    def do_GET(self) -> None:
        self.reply(404, b"", "text/plain", {})

    def acknowledge(self, orders: Sequence[Order], status: int, body: bytes) -> None:
        self._acknowledged = orders
        self.reply(status, body, "application/json", {})

    def leave_alone(self, seconds: float) -> None:
        self._alone_until = time.monotonic() + seconds

    def reply(self, status: int, body: bytes, content_type: str, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Exchange:
    """See `fault_modes.Exchange`."""

    def __init__(self, connection: _Connection, orders: Sequence[Order], body_bytes: int) -> None:
        self.orders = orders
        self.body_bytes = body_bytes
        self.rng = connection.server.rng
        self._connection = connection
        self._book = connection.server.book

    def commit(self, orders: Sequence[Order]) -> None:
        self._book.commit(orders)

    def refuse(self, bad: Sequence[Order]) -> None:
        self._book.refuse(bad)

    def acknowledge(self, status: int, body: bytes) -> None:
        self._connection.acknowledge(self.orders, status, body)

    def reply(self, status: int, body: bytes, content_type: str, headers: Mapping[str, str]) -> None:
        self._connection.reply(status, body, content_type, headers)

    def begin_reply(self, body_bytes: int, body: bytes) -> None:
        self._connection.send_response(201)
        self._connection.send_header("content-type", "application/json")
        self._connection.send_header("content-length", str(body_bytes))
        self._connection.end_headers()
        self._connection.wfile.write(body)

    def leave_alone(self, seconds: float) -> None:
        self._connection.leave_alone(seconds)

    def hang(self) -> None:
        self._connection.connection.settimeout(_LONGEST_HANG)
        self._connection.connection.recv(1)
        self.drop()

    def drop(self) -> None:
        self._connection.close_connection = True

    def reset(self) -> None:
        self._connection.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.drop()


def _obey(server: FaultServer, connection: Connection) -> None:
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            name, *arguments = connection.recv()
            connection.send(getattr(server, name)(*arguments))


def main(directory: Path, seed: int) -> None:
    listener = Listener(str(directory / "control"), "AF_UNIX")
    server = FaultServer(Book(directory / "stored"), seed)
    sys.stdout.write(server.url + "\n")
    sys.stdout.flush()

    def accept() -> None:
        while True:
            threading.Thread(target=_obey, args=(server, listener.accept()), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

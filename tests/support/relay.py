"""Relay: passes bytes between clients and a server, and cuts a connection where a test wants it cut.

    python -m tests.support.relay PORT TARGET_PORT

is one in a process of its own, which can be killed.
"""

import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Relay"]

_CHUNK_BYTES = 65536


class Relay:
    """Listens in front of a server. Each connection has a thread for each direction, which ends with it.

    Cuts are planned one at a time, and made on the first connection that a large enough request comes by.

    Args:
        target: Where the server is: host and port, or the path of a Unix socket.
        path: Where to listen on a Unix socket; a port of 127.0.0.1 by default.
        port: Which one; 0 takes a free one.

    Attributes:
        target: May be changed when the server has moved; connections from then on go there.
    """

    def __init__(self, target: tuple[str, int] | Path, *, path: Path | None = None, port: int = 0) -> None:
        self.target = target
        if path is None:
            self._listener = socket.create_server(("127.0.0.1", port))
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(path))
            self._listener.listen()
        self._lock = threading.Lock()  # over what follows
        self._connections: set[socket.socket] = set()
        self._cut_behind: int | None = None
        self._spoils_answer = False
        self._was_cut = threading.Event()
        self._acceptor = threading.Thread(target=self._accept)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        port: int = self._listener.getsockname()[1]
        return port

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def cut_request(self, *, behind: int) -> None:
        """Plan to cut the next connection that sends so many bytes without an answer, right behind them."""
        self._plan(behind, spoils_answer=False)

    def cut_answer(self, *, behind: int) -> None:
        """Plan to pass on a whole request of at least so many bytes, and to cut instead of passing on its answer."""
        self._plan(behind, spoils_answer=True)

    def wait_until_cut(self, timeout: float) -> bool:
        """Return whether the planned cut is made, as soon as it is."""
        return self._was_cut.wait(timeout)

    def _plan(self, behind: int, *, spoils_answer: bool) -> None:
        with self._lock:
            self._was_cut.clear()
            self._spoils_answer = spoils_answer
            self._cut_behind = behind

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            target = self.target
            server = socket.socket(socket.AF_UNIX if isinstance(target, Path) else socket.AF_INET)
            try:
                server.connect(str(target) if isinstance(target, Path) else target)
            except OSError:  # the server is down, which a client of the relay sees as a connection that ends
                client.close()
                server.close()
                continue
            with self._lock:
                self._connections |= {client, server}
            link = _Link(self, client, server)
            threading.Thread(target=link.pass_requests).start()
            threading.Thread(target=link.pass_answers).start()

    def may_pass_request(self, unanswered: int) -> bool:
        """Say whether so many unanswered bytes of a connection may pass; not if the cut is due here."""
        with self._lock:
            due = not self._spoils_answer and self._cut_behind is not None and unanswered > self._cut_behind
            return not (due and self._cut())

    def may_pass_answer(self, unanswered: int) -> bool:
        """Say whether the answer to so many bytes may pass; not if the cut is due here."""
        with self._lock:
            due = self._spoils_answer and self._cut_behind is not None and unanswered > self._cut_behind
            return not (due and self._cut())

    def forget(self, *connections: socket.socket) -> None:
        """Close what both directions are done with."""
        with self._lock:
            self._connections -= set(connections)
        for connection in connections:
            connection.close()

    def _cut(self) -> bool:
        self._cut_behind = None
        self._was_cut.set()
        return True


class _Link:
    """One client's connection and the one to the server behind it."""

    def __init__(self, relay: Relay, client: socket.socket, server: socket.socket) -> None:
        self._relay = relay
        self._client = client
        self._server = server
        self._unanswered = 0
        self._directions = [None, None]  # that go on; popping is atomic

    def pass_requests(self) -> None:
        while data := _received(self._client):
            self._unanswered += len(data)
            if not self._relay.may_pass_request(self._unanswered) or not _sent(self._server, data):
                break
        self._end()

    def pass_answers(self) -> None:
        while data := _received(self._server):
            if not self._relay.may_pass_answer(self._unanswered) or not _sent(self._client, data):
                break
            self._unanswered = 0
        self._end()

    def _end(self) -> None:
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._directions.pop()
        if not self._directions:
            self._relay.forget(self._client, self._server)


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(_CHUNK_BYTES)
    except OSError:
        return b""


def _sent(connection: socket.socket, data: bytes) -> bool:
    try:
        connection.sendall(data)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    with Relay(("127.0.0.1", int(sys.argv[2])), port=int(sys.argv[1])) as _relay:
        sys.stdout.write(f"relay on port {_relay.port}\n")
        sys.stdout.flush()
        signal.pause()

"""EmbeddedDataStorage: a real DataStorage on loopback that can be stopped and started again."""

import socket
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from signal_gateway.datastorage import create_datastorage
from signal_gateway.errors import HarnessError
from signal_gateway.testing.runtime.cleanup import run_all
from signal_gateway.testing.runtime.loops import NEIGHBOURS
from signal_gateway.testing.runtime.server import LiveServer
from signal_gateway.web.serving.sockets import bind, reserve_port, url_of

__all__ = ["EmbeddedDataStorage"]


class EmbeddedDataStorage:
    """A DataStorage over SQLite, on a loopback port that stays its own until it is closed.

    Use it as a context manager, or call `start` and `close`. What was stored survives `stop` and `start`.

    Args:
        database: SQLite file to keep the events in, also after the end; by default a temporary one.
        sock: A listening socket to serve on first; by default one on a free loopback port. A given socket
            can't be taken up again after `stop`.
        token_file: Who may read and write, in the form of `signal_gateway.datastorage.tokens`; by default everybody.
            It may change while the DataStorage runs.
    """

    def __init__(
        self,
        database: Path | str | None = None,
        *,
        sock: socket.socket | None = None,
        token_file: Path | str | None = None,
    ) -> None:
        self._token_file = None if token_file is None else Path(token_file)
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        if database is None:
            self._directory = tempfile.TemporaryDirectory(prefix="signal-gateway-datastorage-")
            database = Path(self._directory.name) / "audit.db"
        self.database = Path(database).absolute()

        self._reservation: socket.socket | None = None
        if sock is None:
            self._reservation = reserve_port()
            self._port = self._reservation.getsockname()[1]
            sock = bind(port=self._port, reuse_port=True)
        self._next_socket: socket.socket | None = sock
        self.url = url_of(sock)
        self._server: LiveServer | None = None

    def start(self) -> None:
        """Listen and serve; returns when requests are answered. Does nothing while it runs.

        Raises:
            HarnessError: It was closed, or stopped while it served on a socket that was given.
            DataStorageError: The database can't be used.
            ConfigurationError: The token file can't be used; the next start may find it mended.
        """
        if self._server is not None:
            return
        if self._next_socket is None:
            if self._reservation is None:
                raise HarnessError(f"the DataStorage at {self.url} can't start again: its port is not its own any more")
            self._next_socket = bind(port=self._port, reuse_port=True)
        app = create_datastorage(f"sqlite:///{self.database}", token_file=self._token_file).app
        sock, self._next_socket = self._next_socket, None
        server = LiveServer(
            app,
            name="DataStorage",
            sock=sock,
            loop=NEIGHBOURS,
            lifespan="on",
        )
        server.start()
        self._server = server

    def stop(self) -> None:
        """Stop serving and refuse connections, but keep the port and the events. Does nothing when stopped."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()

    def close(self) -> None:
        """Stop for good: give the port back and remove a temporary database."""
        run_all(f"the DataStorage at {self.url}", self.stop, self._let_go)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _let_go(self) -> None:
        for sock in (self._next_socket, self._reservation):
            if sock is not None:
                sock.close()
        self._next_socket = self._reservation = None
        if self._directory is not None:
            self._directory.cleanup()

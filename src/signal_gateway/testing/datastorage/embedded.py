"""EmbeddedDataStorage: a real DataStorage on loopback that you can stop and start."""

import socket
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from signal_gateway.datastorage import create_datastorage
from signal_gateway.errors import HarnessError
from signal_gateway.testing.runtime.cleanup import run_all
from signal_gateway.testing.runtime.loops import DEPENDENCIES
from signal_gateway.testing.runtime.server import STARTUP_TIMEOUT, LiveServer
from signal_gateway.web.serving.sockets import bind, reserve_port, url_of

__all__ = ["EmbeddedDataStorage"]


class EmbeddedDataStorage:
    """A DataStorage with SQLite on a loopback port, which stays reserved until `close`.

    Use it as a context manager, or call `start` and `close`. The stored events survive `stop` and `start`.

    Args:
        database: The SQLite file, which is not removed; by default a temporary file.
        sock: A listening socket for the first start; by default one on a free loopback port. A DataStorage with a
            given socket cannot start again after `stop`.
        token_file: The tokens of readers and writers, in the format of `signal_gateway.datastorage.tokens`; by default
            requests need no token. The file may change while the DataStorage runs.
        startup_timeout: Seconds for each start.
    """

    def __init__(
        self,
        database: Path | str | None = None,
        *,
        sock: socket.socket | None = None,
        token_file: Path | str | None = None,
        startup_timeout: float = STARTUP_TIMEOUT,
    ) -> None:
        self._startup_timeout = startup_timeout
        self._token_file = None if token_file is None else Path(token_file)
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._reservation: socket.socket | None = None
        self._next_socket = sock
        self._server: LiveServer | None = None
        try:
            if database is None:
                self._directory = tempfile.TemporaryDirectory(prefix="signal-gateway-datastorage-")
                database = Path(self._directory.name) / "audit.db"
            if sock is None:
                self._reservation = reserve_port()
                self._port = self._reservation.getsockname()[1]
                sock = self._next_socket = bind(port=self._port, reuse_port=True)
        except BaseException:
            self._release()
            raise
        self.database = Path(database).absolute()
        self.url = url_of(sock)

    def start(self) -> None:
        """Start the server and wait until it accepts requests. Does nothing while the server runs.

        Raises:
            HarnessError: It was closed, or it was stopped and has a given socket.
            DataStorageError: The database is not usable.
            ConfigurationError: The token file is not usable. A later start reads it again.
        """
        if self._server is not None:
            return
        if self._next_socket is None:
            if self._reservation is None:
                raise HarnessError(
                    f"the DataStorage at {self.url} cannot start again: its port is not reserved any more"
                )
            self._next_socket = bind(port=self._port, reuse_port=True)
        app = create_datastorage(f"sqlite:///{self.database}", token_file=self._token_file).app
        sock, self._next_socket = self._next_socket, None
        server = LiveServer(
            app,
            name="DataStorage",
            sock=sock,
            loop=DEPENDENCIES,
            lifespan="on",
            startup_timeout=self._startup_timeout,
        )
        server.start()
        self._server = server

    def stop(self) -> None:
        """Stop the server: connections are refused, the port and the events are kept. A second call does nothing."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()

    def close(self) -> None:
        """Stop the server, release the port and remove a temporary database."""
        run_all(f"the DataStorage at {self.url}", self.stop, self._release)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _release(self) -> None:
        for sock in (self._next_socket, self._reservation):
            if sock is not None:
                sock.close()
        self._next_socket = self._reservation = None
        if self._directory is not None:
            self._directory.cleanup()

"""OnDemandDataStorage: a DataStorage with a URL from the beginning that starts at the first connection."""

import select
import socket
import threading
from typing import TYPE_CHECKING

from signal_gateway.errors import HarnessError
from signal_gateway.web.serving.sockets import bind, url_of

if TYPE_CHECKING:
    from signal_gateway.testing.datastorage.embedded import EmbeddedDataStorage

__all__ = ["OnDemandDataStorage"]

STOP_TIMEOUT = 10.0


class OnDemandDataStorage:
    """A listening socket, with a thread that starts a DataStorage on it at the first connection.

    The cost for a run that never connects is one socket and one waiting thread: other modules are imported with the
    first connection. The thread ends after the start of the DataStorage, or at `close`.

    Args:
        database: The SQLite file, which is not removed; by default a temporary file.
    """

    def __init__(self, database: str | None = None) -> None:
        self._database = database
        self._sock = bind()
        self.url = url_of(self._sock)
        self._wake, self._waker = socket.socketpair()
        self._datastorage: EmbeddedDataStorage | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._wait, name="gateway-datastorage-on-demand", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, and stop the DataStorage if it was started.

        Raises:
            HarnessError: The DataStorage failed to start, or does not stop.
        """
        self._waker.close()
        self._thread.join(STOP_TIMEOUT)
        self._wake.close()
        if self._thread.is_alive():
            raise HarnessError(
                f"the DataStorage at {self.url} was still starting after {STOP_TIMEOUT} s: it cannot be stopped"
            )
        if self._datastorage is not None:
            self._datastorage.close()
        self._sock.close()
        if self._error is not None:
            raise HarnessError(f"the DataStorage at {self.url} failed to start: {self._error}") from self._error

    def _wait(self) -> None:
        ready, _, _ = select.select([self._sock, self._wake], [], [])
        if self._wake in ready:
            return
        try:
            from signal_gateway.testing.datastorage.embedded import EmbeddedDataStorage

            datastorage = EmbeddedDataStorage(self._database, sock=self._sock)
            self._datastorage = datastorage
            datastorage.start()
        except Exception as exc:  # noqa: BLE001 - close() raises it, on the thread of the session
            self._error = exc
            self._sock.close()  # from here on connections are refused; they do not hang

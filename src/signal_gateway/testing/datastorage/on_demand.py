"""A DataStorage whose URL is known at once, and which starts at the first connection."""

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
    """A listening socket, and a thread that waits for its first connection and then starts a DataStorage on it.

    A run whose tests never use it pays for a socket and a sleeping thread: nothing else is imported before. The
    thread ends when it has started the DataStorage, or at `close`.

    Args:
        database: SQLite file to keep the events in, also after the end; by default a temporary one.
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
        """End the waiting, or the DataStorage if it was started.

        Raises:
            HarnessError: The DataStorage could not start, or doesn't stop.
        """
        self._waker.close()
        self._thread.join(STOP_TIMEOUT)
        self._wake.close()
        if self._thread.is_alive():
            raise HarnessError(f"the DataStorage at {self.url} was still starting {STOP_TIMEOUT} s after the end")
        if self._datastorage is not None:
            self._datastorage.close()
        self._sock.close()
        if self._error is not None:
            raise HarnessError(f"the DataStorage at {self.url} could not start: {self._error}") from self._error

    def _wait(self) -> None:
        ready, _, _ = select.select([self._sock, self._wake], [], [])
        if self._wake in ready:
            return
        try:
            from signal_gateway.testing.datastorage.embedded import EmbeddedDataStorage

            datastorage = EmbeddedDataStorage(self._database, sock=self._sock)
            self._datastorage = datastorage
            datastorage.start()
        except Exception as exc:  # noqa: BLE001 - raised by close(), on the thread that can act on it
            self._error = exc
            self._sock.close()  # connections are refused from here on, instead of hanging

"""OnDemandDataStorage: a DataStorage with a URL from the beginning that starts at the first connection."""

import select
import socket
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from signal_gateway.errors import HarnessError
from signal_gateway.web.serving.sockets import bind, url_of

if TYPE_CHECKING:
    from signal_gateway.testing.datastorage.embedded import EmbeddedDataStorage

__all__ = ["OnDemandDataStorage", "wake"]

_Socket = socket.socket  # at import, because a test may patch the class
_select = select.select


def wake(url: str) -> None:
    """Connect to an `OnDemandDataStorage` without a request, so that it starts now. Does not wait for the start.

    A refused connection is no error here: the first request reports it.

    Args:
        url: The URL of the DataStorage.
    """
    address = urlsplit(url)
    with _Socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.connect_ex((address.hostname or "", address.port or 80))


class OnDemandDataStorage:
    """A listening socket, with a thread that starts a DataStorage on it at the first connection.

    The cost for a run that never connects is one socket and one waiting thread: other modules are imported with the
    first connection. The thread ends after the start of the DataStorage, or at `close`.

    Args:
        database: The SQLite file, which is not removed; by default a temporary file.
        startup_timeout: Seconds for the start, and for a start that is not complete at `close`.
    """

    def __init__(self, database: str | None = None, *, startup_timeout: float = 60.0) -> None:
        self._database = database
        self._startup_timeout = startup_timeout
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
        timeout = max(self._startup_timeout, 10.0)
        self._thread.join(timeout)
        self._wake.close()
        if self._thread.is_alive():
            raise HarnessError(
                f"the DataStorage at {self.url} was still starting {timeout:g} s after the last test: it cannot be"
                " stopped; raise gateway_startup_timeout on a slow machine"
            )
        if self._datastorage is not None:
            self._datastorage.close()
        self._sock.close()
        if self._error is not None:
            raise HarnessError(f"the DataStorage at {self.url} failed to start: {self._error}") from self._error

    def _wait(self) -> None:
        ready, _, _ = _select([self._sock, self._wake], [], [])
        if self._wake in ready:
            return
        try:
            from signal_gateway.testing.datastorage.embedded import EmbeddedDataStorage

            datastorage = EmbeddedDataStorage(self._database, sock=self._sock, startup_timeout=self._startup_timeout)
            self._datastorage = datastorage
            datastorage.start()
        except Exception as exc:  # noqa: BLE001 - close() raises it, on the thread of the session
            self._error = exc
            self._sock.close()  # from here on connections are refused; they do not hang

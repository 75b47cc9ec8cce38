"""ServerHost: the time limits, the loop threads and the number of the servers of one test process."""

from signal_gateway.testing.runtime.cleanup import run_all
from signal_gateway.testing.runtime.loops import DEPENDENCIES, SERVERS

__all__ = ["ServerHost"]


class ServerHost:
    """Counts the servers of a test process, and keeps the loop threads running between them.

    Attributes:
        startup_timeout: Seconds for the start-up of a server.
        stop_grace: Seconds for open requests after the stop of a server.
        servers: The number of servers, side by side or one after the other.

    Args:
        startup_timeout: Seconds for the start-up of a server.
        stop_grace: Seconds for open requests after the stop of a server.
    """

    def __init__(self, *, startup_timeout: float = 10.0, stop_grace: float = 2.0) -> None:
        self.startup_timeout = startup_timeout
        self.stop_grace = stop_grace
        self.servers = 0

    def register(self) -> None:
        """Count one server. The first one starts both loop threads, which run until `close`."""
        if self.servers == 0:
            SERVERS.acquire()
            DEPENDENCIES.acquire()
        self.servers += 1

    def close(self) -> None:
        """Release the loop threads.

        Raises:
            HarnessError: A loop does not end.
        """
        if self.servers:
            run_all("the loop threads", SERVERS.release, DEPENDENCIES.release)

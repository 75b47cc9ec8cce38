"""ServerHost: the time limits, the loop threads and the number of the servers of one test process."""

from signal_gateway.testing.runtime.cleanup import run_all
from signal_gateway.testing.runtime.loops import DEPENDENCIES, SERVERS, LoopThread
from signal_gateway.testing.runtime.running_loop import RunningLoop
from signal_gateway.testing.runtime.server import STARTUP_TIMEOUT, STOP_GRACE

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

    def __init__(self, *, startup_timeout: float = STARTUP_TIMEOUT, stop_grace: float = STOP_GRACE) -> None:
        self.startup_timeout = startup_timeout
        self.stop_grace = stop_grace
        self.servers = 0
        self._loops: dict[LoopThread, RunningLoop] = {}

    @property
    def settle_timeout(self) -> float:
        """Seconds to wait for the requests and the audit events of a server: the start-up timeout, but at least 10."""
        return max(self.startup_timeout, 10.0)

    def register(self) -> None:
        """Count one server. The first one starts both loop threads, which run until `close`.

        A loop that died or is blocked is replaced.

        Raises:
            HarnessError: A loop thread does not start.
        """
        for thread in (SERVERS, DEPENDENCIES):
            loop = self._loops.get(thread)
            if loop is None or not loop.is_usable:  # it died, or an application blocks it
                self._loops[thread] = thread.acquire()
                if loop is not None:
                    loop.release()
        self.servers += 1

    def close(self) -> None:
        """Release the loop threads.

        Raises:
            HarnessError: A loop does not end.
        """
        loops, self._loops = list(self._loops.values()), {}
        run_all("the loop threads", *(loop.release for loop in loops))

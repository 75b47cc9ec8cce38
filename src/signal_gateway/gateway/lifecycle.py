"""Lifecycle: the state of a gateway, from its creation to its stop."""

from typing import Final, Literal

from signal_gateway.errors import GatewayError

__all__ = ["Lifecycle", "State"]

State = Literal["new", "starting", "started", "stopping", "stopped"]

_OBSTACLES: Final[dict[State, str | None]] = {
    "new": "The gateway has not been started: its ASGI lifespan did not run. Serve its app with the lifespan on, "
    "pass the lifespan on where the app is mounted, or use `async with gateway`.",
    "starting": "The gateway is starting.",
    "started": None,
    "stopping": "The gateway is stopping.",
    "stopped": "The gateway has been stopped.",
}


class Lifecycle:
    """The state machine of one gateway: new, starting, started, stopping, stopped.

    Attributes:
        state: The current state.
        obstacle: The reason for which the gateway accepts no signals, for the sender; None while it is started.
        is_shutting_down: Whether the shutdown is announced. The gateway still accepts signals, and is not ready.
    """

    def __init__(self) -> None:
        self.is_shutting_down = False
        self._enter("new")

    @property
    def readiness_obstacle(self) -> str | None:
        """The reason for which the gateway is not ready; None if it is."""
        return self.obstacle or ("The gateway is shutting down." if self.is_shutting_down else None)

    def begin_start(self) -> None:
        """Enter `starting`.

        Raises:
            GatewayError: The gateway was started before.
        """
        if self.state != "new":
            raise GatewayError(f"a gateway can be started once, and this one is {self.state}: create another one")
        self._enter("starting")

    def complete_start(self) -> None:
        """Enter `started`."""
        self._enter("started")

    def begin_stop(self) -> bool:
        """Enter `stopping` and return True; do nothing and return False unless the gateway is started."""
        if self.state != "started":
            return False
        self._enter("stopping")
        return True

    def complete_stop(self) -> None:
        """Enter `stopped`."""
        self._enter("stopped")

    def announce_shutdown(self) -> None:
        """Make the gateway unready while it still accepts signals."""
        self.is_shutting_down = True

    def _enter(self, state: State) -> None:
        self.state: State = state
        self.obstacle = _OBSTACLES[state]

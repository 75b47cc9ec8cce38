"""KnownKinds: the kinds that a cluster has, looked up again from time to time without anybody waiting."""

import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from signal_gateway.clock import Clock
from signal_gateway.kubernetes import Kinds, KubernetesError

__all__ = ["KnownKinds"]

_log = logging.getLogger(__name__)

_SECONDS_UNTIL_OLD: Final = 60.0


class KnownKinds:
    """What discovery said last; called, it returns that. Runs on one loop.

    What is older than a minute is looked up again in the background, so a kind that was added by a
    CustomResourceDefinition is known within a minute of the first signal after it. If that fails, the old answer holds.

    Args:
        discover: Asks the cluster.
        clock: Tells how old the answer is.
        spawn: Starts a background task and keeps it.
    """

    def __init__(
        self,
        discover: Callable[[], Awaitable[Kinds]],
        *,
        clock: Clock,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._discover = discover
        self._clock = clock
        self._spawn = spawn
        self._kinds = Kinds(())
        self._asked_at = 0.0

    async def load(self) -> None:
        """Ask the cluster now.

        Raises:
            KubernetesError: It does not answer.
        """
        asked_at = self._clock.monotonic()
        self._kinds = await self._discover()
        self._asked_at = asked_at

    def kinds(self) -> Kinds:
        """Return what is known; if that is old, begin to look it up again."""
        if self._clock.monotonic() - self._asked_at >= _SECONDS_UNTIL_OLD:
            self._asked_at = self._clock.monotonic()  # now, so that one refresh runs at a time
            self._spawn(self._refresh())
        return self._kinds

    async def _refresh(self) -> None:
        try:
            self._kinds = await self._discover()
        except KubernetesError as exc:
            _log.warning("the kinds of the cluster could not be looked up again; the old ones hold: %s", exc)

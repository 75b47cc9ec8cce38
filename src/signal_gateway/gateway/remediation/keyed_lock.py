"""Lanes: one thing at a time for each fingerprint, in the order of arrival."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["Lanes"]


class _Lane:
    __slots__ = ("lock", "users")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0


class Lanes:
    """A fair lock for each key in use; runs on one loop."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}

    @asynccontextmanager
    async def hold(self, key: str, *, deadline: float) -> AsyncIterator[None]:
        """Hold the key's lane; whoever came first gets it first.

        Args:
            key: Whose lane, such as a fingerprint.
            deadline: Time of the running loop until which to wait for it.

        Raises:
            TimeoutError: It did not become free in time.
        """
        lane = self._lanes.setdefault(key, _Lane())
        lane.users += 1
        try:
            async with asyncio.timeout_at(deadline):
                await lane.lock.acquire()
            try:
                yield
            finally:
                lane.lock.release()
        finally:
            lane.users -= 1
            if lane.users == 0:
                del self._lanes[key]

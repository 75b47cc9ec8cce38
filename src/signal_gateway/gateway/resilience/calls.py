"""ApiCalls: how a gateway's calls reach the Kubernetes API: not too many at once, and none while it is failing."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from signal_gateway.clock import Clock
from signal_gateway.gateway.config import RetryConfig
from signal_gateway.gateway.resilience.breaker import CircuitBreaker
from signal_gateway.gateway.resilience.retry import retrying
from signal_gateway.kubernetes import KubernetesError

__all__ = ["ApiCalls"]

_MAX_AT_ONCE: Final = 64

Answer = TypeVar("Answer")


class ApiCalls:
    """Makes calls, within a bound and past one circuit breaker. Runs on the client's loop.

    Args:
        retry: How a call that may be is made again.
        breaker: What every attempt passes.
        clock: Waits between the attempts.
    """

    def __init__(self, *, retry: RetryConfig, breaker: CircuitBreaker, clock: Clock) -> None:
        self._retry = retry
        self._breaker = breaker
        self._clock = clock
        self._room = asyncio.Semaphore(_MAX_AT_ONCE)

    async def once(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        """Make a call.

        Raises:
            KubernetesError: It failed, or the breaker is open.
        """
        async with self._room:  # before the breaker is asked: it may open while a call waits for its turn
            return await self._breaker.call(call)

    async def retrying(
        self,
        call: Callable[[], Awaitable[Answer]],
        *,
        deadline: float,
        on_failure: Callable[[KubernetesError], None] | None = None,
    ) -> Answer:
        """Make a call, again if it fails for a reason that may pass.

        Args:
            call: Makes one attempt.
            deadline: Time of the running loop after which no further attempt starts.
            on_failure: Told of each failed attempt.

        Raises:
            KubernetesError: What the last attempt raised.
        """
        return await retrying(
            lambda: self.once(call),
            config=self._retry,
            deadline=deadline,
            on_failure=on_failure,
            sleep=self._clock.sleep,
        )

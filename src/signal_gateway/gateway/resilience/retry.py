"""Try a call to the Kubernetes API again when, and only when, that can help."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from signal_gateway.gateway.config import RetryConfig
from signal_gateway.gateway.resilience.breaker import BreakerOpen
from signal_gateway.kubernetes import KubernetesError

__all__ = ["retrying"]

_JITTER = 0.1

Answer = TypeVar("Answer")


async def retrying(
    call: Callable[[], Awaitable[Answer]],
    *,
    config: RetryConfig,
    deadline: float,
    on_failure: Callable[[KubernetesError], None] | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    jitter: Callable[[], float] = random.random,
) -> Answer:
    """Await a call until it succeeds, fails for good, or runs out of attempts or time.

    Args:
        call: Makes one attempt.
        config: Attempts and waits.
        deadline: Time of the running loop after which no further attempt starts.
        on_failure: Told of each failed attempt, the last one included; one that the breaker prevented is none.
        sleep: Waits for so many seconds.
        jitter: Returns a number from 0 to 1; spreads the waits by ten per cent either way.

    Raises:
        BreakerOpen: The breaker prevented an attempt: it is not waited for.
        KubernetesError: What the last attempt raised.
    """
    loop = asyncio.get_running_loop()
    backoff = config.initial_backoff
    for attempt in range(1, config.max_attempts + 1):
        try:
            return await call()
        except BreakerOpen:
            raise
        except KubernetesError as exc:
            if on_failure is not None:
                on_failure(exc)
            wait = max(backoff * (1 + _JITTER * (2 * jitter() - 1)), exc.retry_after or 0.0)
            if not exc.is_transient or attempt == config.max_attempts or loop.time() + wait >= deadline:
                raise
        await sleep(wait)
        backoff = min(backoff * 2, config.max_backoff)
    raise AssertionError("the last attempt returns or raises")

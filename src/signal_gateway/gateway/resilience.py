"""ApiCalls and CircuitBreaker: the way of every call to the Kubernetes API: bounded, past the breaker, with retries."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from random import random
from typing import Final, Literal, Protocol, TypeVar

from signal_gateway.clock import Clock
from signal_gateway.gateway.config import BreakerConfig, RetryConfig
from signal_gateway.gateway.metrics import GatewayMetrics
from signal_gateway.kubernetes import ApiUnavailable, KubernetesError

__all__ = ["ApiCalls", "BreakerOpen", "BreakerState", "CircuitBreaker", "FailedAttempts"]

BreakerState = Literal["closed", "half_open", "open"]

_MAX_CONCURRENT: Final = 64
_JITTER: Final = 0.1

Result = TypeVar("Result")


class BreakerOpen(ApiUnavailable):
    """The call was not made: too many calls before it failed. `retry_after` is the time until the next probe."""


class CircuitBreaker:
    """Admits all calls while it is closed, none while it is open, and a few probes while it is half-open.

    Only transient failures count: an API that rejects an object, or has no such object, works. A cancelled call does
    not count. A result counts only in the period in which its call began: a late result of a call from before the
    breaker opened neither opens nor closes it. Belongs to one event loop.

    Args:
        config: The thresholds and times.
        clock: Measures the window and the time for which the breaker stays open.
        metrics: Shows the state.
    """

    def __init__(self, config: BreakerConfig, *, clock: Clock, metrics: GatewayMetrics) -> None:
        self._config = config
        self._clock = clock
        self._metrics = metrics
        self._state: BreakerState = "closed"
        self._period = 0
        self._calls: deque[tuple[float, bool]] = deque()
        self._failures = 0
        self._opened_at = 0.0
        self._probes_begun = 0
        self._probes_passed = 0

    @property
    def state(self) -> BreakerState:
        """The state. An open breaker becomes half-open with the first call after its time."""
        return self._state

    def admit(self) -> int:
        """Admit one call; its result goes to `note`, or to `withdraw` if it has none.

        Returns:
            The period in which the call begins.

        Raises:
            BreakerOpen: No call may be made now.
        """
        if self._state == "open":
            remaining = self._opened_at + self._config.open_for - self._clock.monotonic()
            if remaining > 0:
                raise _not_called(remaining)
            self._enter("half_open")
        if self._state == "half_open":
            if self._probes_begun >= self._config.probes:
                raise _not_called(1.0)
            self._probes_begun += 1
        return self._period

    def note(self, period: int, *, has_failed: bool) -> None:
        """Count the result of a call.

        Args:
            period: Returned by `admit`.
            has_failed: Whether the call failed with a transient error.
        """
        if period != self._period:
            return
        if self._state == "half_open":
            self._note_probe(has_failed)
            return

        now = self._clock.monotonic()
        self._calls.append((now, has_failed))
        self._failures += has_failed
        while self._calls[0][0] <= now - self._config.window:
            _, had_failed = self._calls.popleft()
            self._failures -= had_failed
        enough = len(self._calls) >= self._config.minimum_calls
        if has_failed and enough and self._failures >= self._config.failure_ratio * len(self._calls):
            self._enter("open")

    def withdraw(self, period: int) -> None:
        """Give back the place of a call without a result, such as a cancelled one.

        Args:
            period: Returned by `admit`.
        """
        if period == self._period and self._state == "half_open":
            self._probes_begun -= 1

    def _note_probe(self, has_failed: bool) -> None:
        if has_failed:
            self._enter("open")
            return
        self._probes_passed += 1
        if self._probes_passed >= self._config.probes:
            self._enter("closed")

    def _enter(self, state: BreakerState) -> None:
        self._state = state
        self._period += 1
        self._calls.clear()
        self._failures = self._probes_begun = self._probes_passed = 0
        if state == "open":
            self._opened_at = self._clock.monotonic()
        self._metrics.note_breaker_state(state)


def _not_called(seconds: float) -> BreakerOpen:
    return BreakerOpen(
        f"the Kubernetes API was not called because too many calls failed; the next attempt is possible in "
        f"{seconds:.1f} s",
        retry_after=seconds,
    )


class FailedAttempts(Protocol):
    """Records the failed attempts of one call."""

    def add_failure(self, failure: KubernetesError) -> None:
        """Record one failed attempt. An attempt that the circuit breaker prevented is none."""
        ...


class ApiCalls:
    """Makes calls to the Kubernetes API. Belongs to the event loop of the client.

    Args:
        retry: Number of attempts and the waits between them.
        breaker: The circuit breaker of every attempt; None for calls that no breaker stops.
        clock: Waits between attempts.
    """

    def __init__(self, *, retry: RetryConfig, breaker: CircuitBreaker | None, clock: Clock) -> None:
        self._retry = retry
        self._breaker = breaker
        self._clock = clock
        self._places = asyncio.Semaphore(_MAX_CONCURRENT)

    async def call(
        self,
        call: Callable[[], Awaitable[Result]],
        *,
        deadline: float | None = None,
        failures: FailedAttempts | None = None,
    ) -> Result:
        """Make a call; if it fails with a transient error, make it again.

        The wait doubles with each attempt, has a jitter of ten per cent, and is never shorter than the API demands. An
        open breaker ends the call at once.

        Args:
            call: Makes one attempt.
            deadline: Time of the running loop after which no further attempt starts; None for one attempt only.
            failures: Records each failed attempt, including the last.

        Raises:
            BreakerOpen: The breaker prevented an attempt.
            KubernetesError: The error of the last attempt.
        """
        backoff = self._retry.initial_backoff
        for attempt in range(1, self._retry.max_attempts + 1):
            try:
                return await self._attempt(call)
            except BreakerOpen:
                raise
            except KubernetesError as exc:
                if failures is not None:
                    failures.add_failure(exc)
                if deadline is None or not exc.is_transient or attempt == self._retry.max_attempts:
                    raise
                wait = max(backoff * (1 + _JITTER * (2 * random() - 1)), exc.retry_after or 0.0)
                if asyncio.get_running_loop().time() + wait >= deadline:
                    raise
            await self._clock.sleep(wait)
            backoff = min(backoff * 2, self._retry.max_backoff)
        raise AssertionError("the last attempt returns or raises")

    async def _attempt(self, call: Callable[[], Awaitable[Result]]) -> Result:
        async with self._places:  # before the breaker: it may open while a call waits for its place
            if self._breaker is None:
                return await call()
            period = self._breaker.admit()
            try:
                result = await call()
            except KubernetesError as exc:
                self._breaker.note(period, has_failed=exc.is_transient)
                raise
            except BaseException:
                self._breaker.withdraw(period)
                raise
            self._breaker.note(period, has_failed=False)
            return result

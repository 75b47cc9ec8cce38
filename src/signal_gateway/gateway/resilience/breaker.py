"""CircuitBreaker: leaves the Kubernetes API alone while most calls to it fail."""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

from signal_gateway.clock import Clock
from signal_gateway.gateway.config import BreakerConfig
from signal_gateway.kubernetes import ApiUnavailable, KubernetesError

__all__ = ["BreakerOpen", "BreakerState", "CircuitBreaker"]

BreakerState = Literal["closed", "half_open", "open"]

Answer = TypeVar("Answer")


class BreakerOpen(ApiUnavailable):
    """The call was not made: too many before it failed; `retry_after` says when one may get through again."""


class CircuitBreaker:
    """Passes calls on while it is closed, none while it is open, and a few probes in between.

    Only transient failures count: an API that refuses an object, or has no such object, works. A call that is
    cancelled counts as nothing. Whether a call counts is told by the state in which it began: an answer that comes
    late, to a call from before the breaker opened, neither opens nor closes it. Runs on one loop.

    Args:
        config: When it opens, and for how long.
        clock: Measures the window and the time that it stays open.
        on_change: Told of each new state.
    """

    def __init__(self, config: BreakerConfig, *, clock: Clock, on_change: Callable[[BreakerState], None]) -> None:
        self._config = config
        self._clock = clock
        self._on_change = on_change
        self._state: BreakerState = "closed"
        self._period = 0
        self._calls: deque[tuple[float, bool]] = deque()
        self._failures = 0
        self._opened_at = 0.0
        self._probes_begun = 0
        self._probes_passed = 0

    @property
    def state(self) -> BreakerState:
        """The state; an open breaker becomes half-open with the first call after its time."""
        return self._state

    async def call(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        """Make a call, unless the breaker is open.

        Args:
            call: Makes it.

        Raises:
            BreakerOpen: It was not made.
            KubernetesError: What it raised.
        """
        self._admit()
        period = self._period
        counted = False
        try:
            answer = await call()
            counted = True
            self._note(period, has_failed=False)
        except KubernetesError as exc:
            counted = True
            self._note(period, has_failed=exc.is_transient)
            raise
        finally:
            if not counted and period == self._period and self._state == "half_open":
                self._probes_begun -= 1
        return answer

    def _admit(self) -> None:
        if self._state == "open":
            remaining = self._opened_at + self._config.open_for - self._clock.monotonic()
            if remaining > 0:
                raise _not_called(remaining)
            self._enter("half_open")
        if self._state == "half_open":
            if self._probes_begun >= self._config.probes:
                raise _not_called(1.0)
            self._probes_begun += 1

    def _note(self, period: int, *, has_failed: bool) -> None:
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
        self._on_change(state)


def _not_called(seconds: float) -> BreakerOpen:
    return BreakerOpen(
        f"the Kubernetes API was not called: too many calls failed; it is tried again in {seconds:.1f} s",
        retry_after=seconds,
    )

import asyncio
from datetime import UTC, datetime

import pytest

from signal_gateway.clock import MovableClock
from signal_gateway.gateway.config import BreakerConfig, RetryConfig
from signal_gateway.gateway.resilience import ApiCalls, BreakerOpen, CircuitBreaker
from signal_gateway.kubernetes import ApiUnavailable, Conflict, NotFound, RequestRejected

pytestmark = pytest.mark.asyncio

CONFIG = BreakerConfig(failure_ratio=0.5, minimum_calls=4, window=10, open_for=30, probes=2)


class Api:
    """Something to call, and how it answers."""

    def __init__(self, clock):
        self.states = []
        self.calls = 0
        self.breaker = CircuitBreaker(CONFIG, clock=clock, metrics=self)
        self._calls = ApiCalls(retry=RetryConfig(), breaker=self.breaker, clock=clock)

    def note_breaker_state(self, state):
        self.states.append(state)

    async def call(self, call):
        return await self._calls.call(call)

    async def answer(self, error=None):
        async def call():
            self.calls += 1
            if error is not None:
                raise error
            return "done"

        return await self.call(call)

    async def fail(self, times=1, error=ApiUnavailable):
        for _ in range(times):
            with pytest.raises(error):
                await self.answer(error("no"))


@pytest.fixture
def api(clock):
    return Api(clock)


@pytest.fixture
def clock():
    return MovableClock(datetime(2026, 1, 1, tzinfo=UTC))


async def test_it_opens_when_enough_of_enough_calls_fail(api):
    await api.answer()
    await api.answer()
    await api.fail()
    assert api.breaker.state == "closed"

    await api.fail()

    assert api.breaker.state == "open"
    with pytest.raises(BreakerOpen) as refused:
        await api.answer()
    assert (api.calls, refused.value.retry_after) == (4, 30)


async def test_few_calls_or_few_failures_leave_it_closed(api):
    await api.fail(3)
    assert api.breaker.state == "closed"
    for _ in range(7):
        await api.answer()
    await api.fail(2)

    assert api.breaker.state == "closed"


@pytest.mark.parametrize("error", [RequestRejected, NotFound, Conflict])
async def test_answers_that_say_no_are_no_failures(api, error):
    await api.fail(20, error)

    assert api.breaker.state == "closed"


async def test_failures_are_forgotten_after_the_window(api, clock):
    await api.fail(3)
    clock.advance(11)

    await api.fail(3)

    assert api.breaker.state == "closed"


async def test_probes_that_pass_close_it(api, clock):
    await api.fail(4)
    clock.advance(31)

    await api.answer()
    assert api.breaker.state == "half_open"
    await api.answer()

    assert api.states == ["open", "half_open", "closed"]


async def test_probe_that_fails_opens_it_again(api, clock):
    await api.fail(4)
    clock.advance(31)

    await api.fail()

    assert api.states == ["open", "half_open", "open"]
    with pytest.raises(BreakerOpen):
        await api.answer()


async def test_no_more_probes_than_configured_are_under_way(api, clock):
    await api.fail(4)
    clock.advance(31)
    release = asyncio.Event()
    probes = [asyncio.create_task(api.call(release.wait)) for _ in range(2)]
    await asyncio.sleep(0)

    with pytest.raises(BreakerOpen):
        await api.answer()
    release.set()
    await asyncio.gather(*probes)

    assert api.breaker.state == "closed"


async def test_cancelled_probe_makes_room_for_another(api, clock):
    await api.fail(4)
    clock.advance(31)
    probes = [asyncio.create_task(api.call(asyncio.Event().wait)) for _ in range(2)]
    await asyncio.sleep(0)
    for probe in probes:
        probe.cancel()
    await asyncio.gather(*probes, return_exceptions=True)

    assert await api.answer() == "done"


async def test_late_failure_from_before_it_opened_does_not_count(api, clock):
    release = asyncio.Event()

    async def late():
        await release.wait()
        raise ApiUnavailable("late")

    task = asyncio.create_task(api.call(late))
    await asyncio.sleep(0)
    await api.fail(4)
    clock.advance(31)
    await api.answer()
    release.set()
    with pytest.raises(ApiUnavailable):
        await task

    assert api.breaker.state == "half_open"

import asyncio

import pytest

from signal_gateway.clock import SystemClock
from signal_gateway.gateway.config import RetryConfig
from signal_gateway.gateway.resilience import ApiCalls
from signal_gateway.kubernetes import AlreadyExists, ApiUnavailable, Conflict, Forbidden, NotFound, RequestRejected

pytestmark = pytest.mark.asyncio

QUICK = RetryConfig(max_attempts=3, initial_backoff=0.001, max_backoff=0.002)


class Script:
    """A call that fails as written, then succeeds."""

    def __init__(self, *failures):
        self.failures = list(failures)
        self.attempts = 0

    async def __call__(self):
        self.attempts += 1
        if self.failures:
            raise self.failures.pop(0)
        return "done"


class Failures:
    """Keeps the failed attempts of a call."""

    def __init__(self):
        self.texts = []

    def add_failure(self, failure):
        self.texts.append(str(failure))


class SleeplessClock(SystemClock):
    """Notes the waits and does not wait."""

    def __init__(self):
        self.waits = []

    async def sleep(self, seconds):
        self.waits.append(round(seconds, 6))


def calls_with(config, *, clock=None):
    return ApiCalls(retry=config, breaker=None, clock=clock or SystemClock())


def in_seconds(seconds):
    return asyncio.get_running_loop().time() + seconds


async def test_transient_failure_is_tried_again_and_each_failure_told():
    call = Script(ApiUnavailable("first"), ApiUnavailable("second"))
    failures = Failures()

    assert await calls_with(QUICK).call(call, deadline=in_seconds(10), failures=failures) == "done"

    assert failures.texts == ["first", "second"]


async def test_attempts_are_counted_in_total():
    call = Script(*(ApiUnavailable("no") for _ in range(9)))
    failures = Failures()

    with pytest.raises(ApiUnavailable):
        await calls_with(QUICK).call(call, deadline=in_seconds(10), failures=failures)

    assert call.attempts == len(failures.texts) == 3


async def test_call_without_a_deadline_has_one_attempt():
    call = Script(ApiUnavailable("no"))

    with pytest.raises(ApiUnavailable):
        await calls_with(QUICK).call(call)

    assert call.attempts == 1


@pytest.mark.parametrize("kind", [NotFound, AlreadyExists, Conflict, Forbidden, RequestRejected])
async def test_failure_that_does_not_pass_is_not_tried_again(kind):
    call = Script(kind("no"))

    with pytest.raises(kind):
        await calls_with(QUICK).call(call, deadline=in_seconds(10))

    assert call.attempts == 1


async def test_no_attempt_starts_when_its_wait_would_pass_the_deadline():
    call = Script(ApiUnavailable("no", retry_after=60.0))

    async with asyncio.timeout(5):
        with pytest.raises(ApiUnavailable):
            await calls_with(QUICK).call(call, deadline=in_seconds(30))

    assert call.attempts == 1


async def test_waits_double_up_to_the_longest_and_honour_the_api(monkeypatch):
    monkeypatch.setattr("signal_gateway.gateway.resilience.random", lambda: 1.0)
    clock = SleeplessClock()
    config = RetryConfig(max_attempts=6, initial_backoff=0.1, max_backoff=0.3)
    call = Script(*(ApiUnavailable("no", retry_after=wait) for wait in (None, None, None, 2.0, None)))

    await calls_with(config, clock=clock).call(call, deadline=in_seconds(60))

    assert clock.waits == [0.11, 0.22, 0.33, 2.0, 0.33]

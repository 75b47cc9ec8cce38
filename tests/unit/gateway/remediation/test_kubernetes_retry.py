import asyncio

import pytest

from signal_gateway.gateway.config import RetryConfig
from signal_gateway.gateway.resilience.retry import retrying
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


def in_seconds(seconds):
    return asyncio.get_running_loop().time() + seconds


async def test_transient_failure_is_tried_again_and_each_failure_told():
    call = Script(ApiUnavailable("first"), ApiUnavailable("second"))
    told: list[Exception] = []

    assert await retrying(call, config=QUICK, deadline=in_seconds(10), on_failure=told.append) == "done"

    assert [str(failure) for failure in told] == ["first", "second"]


async def test_attempts_are_counted_in_total():
    call = Script(*(ApiUnavailable("no") for _ in range(9)))
    told: list[Exception] = []

    with pytest.raises(ApiUnavailable):
        await retrying(call, config=QUICK, deadline=in_seconds(10), on_failure=told.append)

    assert call.attempts == len(told) == 3


@pytest.mark.parametrize("kind", [NotFound, AlreadyExists, Conflict, Forbidden, RequestRejected])
async def test_failure_that_does_not_pass_is_not_tried_again(kind):
    call = Script(kind("no"))

    with pytest.raises(kind):
        await retrying(call, config=QUICK, deadline=in_seconds(10))

    assert call.attempts == 1


async def test_no_attempt_starts_when_its_wait_would_pass_the_deadline():
    call = Script(ApiUnavailable("no", retry_after=60.0))

    async with asyncio.timeout(5):
        with pytest.raises(ApiUnavailable):
            await retrying(call, config=QUICK, deadline=in_seconds(30))

    assert call.attempts == 1


async def test_waits_double_up_to_the_longest_and_honour_the_api():
    waits = []

    async def note(seconds):
        waits.append(round(seconds, 6))

    config = RetryConfig(max_attempts=6, initial_backoff=0.1, max_backoff=0.3)
    call = Script(*(ApiUnavailable("no", retry_after=wait) for wait in (None, None, None, 2.0, None)))

    await retrying(call, config=config, deadline=in_seconds(60), sleep=note, jitter=lambda: 1.0)

    assert waits == [0.11, 0.22, 0.33, 2.0, 0.33]

import asyncio

import pytest

from signal_gateway.clock import MovableClock
from signal_gateway.concurrency import BackgroundTasks, CachedRead

pytestmark = pytest.mark.asyncio


class Source:
    """Counts its reads, and returns or raises the next value when it may."""

    def __init__(self):
        self.reads = 0
        self.value = "one"
        self.begun = asyncio.Semaphore(0)
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def read(self):
        self.reads += 1
        value = self.value
        self.begun.release()
        await self.may_end.wait()
        if isinstance(value, Exception):
            raise value
        return value


@pytest.fixture
def source():
    return Source()


@pytest.fixture
def clock():
    return MovableClock()


@pytest.fixture
def tasks():
    return BackgroundTasks()


@pytest.fixture(params=["reads in tasks", "reads in the caller"])
def cache(request, clock, tasks):
    return CachedRead(
        max_age=5.0, max_entries=2, clock=clock, tasks=tasks if request.param == "reads in tasks" else None
    )


@pytest.fixture
def cache_with_tasks(clock, tasks):
    return CachedRead(max_age=5.0, max_entries=2, clock=clock, tasks=tasks)


@pytest.fixture
def cache_without_tasks(clock):
    return CachedRead(max_age=5.0, max_entries=2, clock=clock)


async def test_value_is_read_once_within_its_age(cache, source, clock):
    await cache.get("k", source.read)
    clock.advance(4.9)
    await cache.get("k", source.read)
    assert source.reads == 1

    clock.advance(0.1)
    source.value = "two"

    assert await cache.get("k", source.read) == "two"
    assert source.reads == 2


async def test_concurrent_callers_share_one_read(cache, source):
    source.may_end.clear()
    callers = [asyncio.create_task(cache.get("k", source.read)) for _ in range(50)]
    await source.begun.acquire()
    source.may_end.set()

    assert set(await asyncio.gather(*callers)) == {"one"}
    assert source.reads == 1


async def test_failure_reaches_every_caller_and_is_not_kept(cache, source):
    source.value = ValueError("no")
    source.may_end.clear()
    callers = [asyncio.create_task(cache.get("k", source.read)) for _ in range(3)]
    await source.begun.acquire()
    source.may_end.set()
    failed = await asyncio.gather(*callers, return_exceptions=True)
    source.value = "two"

    assert failed == [source_failure := failed[0]] * 3
    assert isinstance(source_failure, ValueError)
    assert await cache.get("k", source.read) == "two"
    assert source.reads == 2


async def test_age_counts_from_before_the_read(cache, source, clock):
    source.may_end.clear()
    caller = asyncio.create_task(cache.get("k", source.read))
    await source.begun.acquire()
    clock.advance(5)
    source.may_end.set()

    assert await caller == "one"
    assert cache.kept("k") is None


async def test_oldest_value_is_dropped_first(cache, source):
    for key in ("a", "b", "c"):
        await cache.get(key, source.read)

    assert [cache.kept(key) for key in ("a", "b", "c")] == [None, "one", "one"]
    assert len(cache) == 2


async def test_read_in_a_task_outlives_its_caller(cache_with_tasks, source, tasks):
    source.may_end.clear()
    caller = asyncio.create_task(cache_with_tasks.get("k", source.read))
    await source.begun.acquire()

    caller.cancel()
    source.may_end.set()
    await tasks.settle()

    assert cache_with_tasks.kept("k") == "one"


async def test_read_in_a_caller_that_is_cancelled_is_done_again_by_the_next(cache_without_tasks, source):
    source.may_end.clear()
    first = asyncio.create_task(cache_without_tasks.get("k", source.read))
    await source.begun.acquire()
    second = asyncio.create_task(cache_without_tasks.get("k", source.read))
    await asyncio.sleep(0)

    first.cancel()
    await source.begun.acquire()
    source.may_end.set()

    assert await second == "one"
    assert source.reads == 2


async def test_newer_value_is_not_replaced_by_a_slow_read(cache_with_tasks, source, clock):
    source.may_end.clear()
    slow = asyncio.create_task(cache_with_tasks.get("k", source.read))
    await source.begun.acquire()
    clock.advance(5)
    cache_with_tasks.keep("k", "newer", begun_at=clock.monotonic())
    source.may_end.set()

    assert await slow == "one"
    assert cache_with_tasks.kept("k") == "newer"


async def test_latest_is_none_before_the_first_read(cache_with_tasks, source):
    assert cache_with_tasks.latest("k", source.read) is None
    assert source.reads == 0


async def test_latest_returns_an_old_value_and_refreshes_it_once_in_the_background(
    cache_with_tasks, source, clock, tasks
):
    await cache_with_tasks.refresh("k", source.read)
    clock.advance(5)
    source.value = "two"

    assert [cache_with_tasks.latest("k", source.read) for _ in range(3)] == ["one"] * 3
    await tasks.settle()

    assert cache_with_tasks.latest("k", source.read) == "two"
    assert source.reads == 2


async def test_failed_refresh_leaves_the_old_value_and_is_logged(cache_with_tasks, source, clock, tasks, caplog):
    await cache_with_tasks.refresh("k", source.read)
    clock.advance(5)
    source.value = ValueError("no")

    cache_with_tasks.latest("k", source.read)
    await tasks.settle()

    assert cache_with_tasks.latest("k", source.read) == "one"
    assert "unexpected error in background work" in caplog.text
    await tasks.settle()

import asyncio
from datetime import UTC, datetime

import pytest

from signal_gateway.clock import MovableClock
from signal_gateway.concurrency import BackgroundTasks
from signal_gateway.gateway.config import RetryConfig
from signal_gateway.gateway.resilience import ApiCalls
from signal_gateway.gateway.targets import cache as cache_module
from signal_gateway.gateway.targets.cache import ObjectCache
from signal_gateway.kubernetes import ApiUnavailable, Kind, NotFound

pytestmark = pytest.mark.asyncio

POD = Kind("Pod", "", "v1", "pods", "pod", is_namespaced=True)
NODE = Kind("Node", "", "v1", "nodes", "node", is_namespaced=False)


class Api:
    """Answers reads with what a test says, when it says so."""

    def __init__(self):
        self.reads = []
        self.begun = asyncio.Semaphore(0)
        self.answer = {"uid": "u1", "labels": {"a": "b"}}
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def get_metadata(self, kind, name, *, namespace, observer):  # noqa: ARG002
        self.reads.append((kind.name, namespace, name))
        answer = self.answer
        self.begun.release()
        await self.may_answer.wait()
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def clock():
    return MovableClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def api():
    return Api()


@pytest.fixture
def tasks():
    return BackgroundTasks()


@pytest.fixture
def build_cache(api, clock, tasks):
    def build_cache():
        calls = ApiCalls(retry=RetryConfig(), breaker=None, clock=clock)
        return ObjectCache(api, calls=calls, max_age=5.0, clock=clock, tasks=tasks, observer=None)

    return build_cache


@pytest.fixture
def cache(build_cache):
    return build_cache()


async def test_object_is_read_once_within_its_age(cache, api, clock):
    found = [await cache.find(POD, "p", "a")]
    clock.advance(4.9)
    found.append(await cache.find(POD, "p", "a"))
    clock.advance(0.1)
    found.append(await cache.find(POD, "p", "a"))

    assert [one.uid for one in found] == ["u1"] * 3
    assert len(api.reads) == 2


async def test_age_counts_from_before_the_read(cache, api, clock):
    api.may_answer.clear()
    slow = asyncio.create_task(cache.find(POD, "p", "a"))
    await api.begun.acquire()
    clock.advance(5)
    api.answer = {"uid": "u2"}
    second = asyncio.create_task(cache.find(POD, "p", "a"))
    await api.begun.acquire()
    api.may_answer.set()

    assert [(await slow).uid, (await second).uid] == ["u1", "u2"]


async def test_concurrent_callers_share_one_read(cache, api):
    found = await asyncio.gather(*(cache.find(POD, "p", "a") for _ in range(50)))

    assert len(api.reads) == 1
    assert {one.uid for one in found} == {"u1"}


async def test_absence_is_kept_too(cache, api):
    api.answer = NotFound("no such pod")

    assert [await cache.find(POD, "p", "a") for _ in range(2)] == [None, None]
    assert len(api.reads) == 1


async def test_failure_is_everybodys_who_waits_and_is_not_kept(cache, api):
    api.answer = ApiUnavailable("down")

    failed = await asyncio.gather(*(cache.find(POD, "p", "a") for _ in range(3)), return_exceptions=True)
    api.answer = {"uid": "u1"}
    found = await cache.find(POD, "p", "a")

    assert [type(failure) for failure in failed] == [ApiUnavailable] * 3
    assert (found.uid, len(api.reads)) == ("u1", 2)


async def test_read_goes_on_for_the_others_when_one_who_waits_leaves(cache, api, tasks):
    api.may_answer.clear()
    leaver, stayer = (asyncio.create_task(cache.find(POD, "p", "a")) for _ in range(2))
    await api.begun.acquire()

    leaver.cancel()
    api.may_answer.set()

    assert (await stayer).uid == "u1"
    assert len(api.reads) == 1
    await tasks.settle()


async def test_failure_that_nobody_waits_for_any_more_is_not_reported_as_lost(cache, api, tasks, caplog):
    api.may_answer.clear()
    api.answer = ApiUnavailable("down")
    leaver = asyncio.create_task(cache.find(POD, "p", "a"))
    await api.begun.acquire()
    leaver.cancel()
    api.may_answer.set()

    await tasks.settle()

    assert caplog.records == []


async def test_cancelled_read_does_not_leave_anybody_waiting(cache, api, tasks):
    api.may_answer.clear()
    waiting = asyncio.create_task(cache.find(POD, "p", "a"))
    await api.begun.acquire()

    await tasks.end(grace=0)

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(cache) == 0


async def test_cluster_scoped_object_is_the_same_in_every_namespace(cache, api):
    await cache.find(NODE, "n", "a")
    await cache.find(NODE, "n", None)

    assert api.reads == [("Node", None, "n")]


async def test_what_is_kept_is_bounded_and_the_oldest_goes_first(build_cache, api, monkeypatch):
    monkeypatch.setattr(cache_module, "_MAX_OBJECTS", 2)
    cache = build_cache()
    for name in ("one", "two", "three"):
        await cache.find(POD, name, "a")

    await cache.find(POD, "three", "a")
    await cache.find(POD, "one", "a")

    assert [name for _, _, name in api.reads] == ["one", "two", "three", "one"]
    assert len(cache) == 2


async def test_controller_is_the_owner_that_controls(cache, api):
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u-r"}
    api.answer = {"uid": "u1", "ownerReferences": [owner | {"name": "other"}, owner | {"controller": True}]}

    found = await cache.find(POD, "p", "a")

    assert found.controller == ("apps/v1", "ReplicaSet", "r", "u-r")
    assert found.labels == {}

"""One store for many loops, asyncio's and trio's, one after the other and at once, and some that end in the midst."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import trio

DEADLINE = 60.0


def test_loops_at_once_flush_what_each_recorded(fault_server, store, make_event):
    together = threading.Barrier(6, timeout=DEADLINE)

    async def record_and_flush(lane):
        together.wait()
        for number in range(20):
            store.record(make_event(number, correlation_id=f"order-{lane}"))
        result = await store.aflush(timeout=DEADLINE)
        return result.ok, sum(
            event["correlation_id"] == f"order-{lane}" for event in list(fault_server.stored.values())
        )

    def serve(lane):
        return trio.run(record_and_flush, lane) if lane % 2 else asyncio.run(record_and_flush(lane))

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(serve, range(6)))

    assert found == [(True, 20)] * 6
    assert set(fault_server.received.values()) == {1}


def test_flushes_at_once_in_one_loop_count_each_event_once(fault_server, store, make_event):
    async def flush_often():
        for number in range(50):
            store.record(make_event(number))
        return await asyncio.gather(*(store.aflush(timeout=DEADLINE) for _ in range(10)))

    results = asyncio.run(flush_often())

    assert all(result.ok for result in results)
    assert sum(result.delivered for result in results) == len(fault_server.stored) == 50


@pytest.mark.parametrize("run", [asyncio.run, lambda coroutine: trio.run(lambda: coroutine)], ids=["asyncio", "trio"])
def test_loop_one_after_the_other_records_flushes_and_another_closes(fault_server, make_store, make_event, run):
    store = make_store()

    async def record_and_flush():
        store.record(make_event())
        return await store.aflush(timeout=DEADLINE)

    async def close():
        return await store.aclose(timeout=DEADLINE)

    results = [run(record_and_flush()) for _ in range(3)]
    store.record(make_event())

    assert all(result.ok for result in results)
    assert run(close()).delivered == 1
    assert store.closed
    assert len(fault_server.stored) == 4


def test_asyncio_loop_that_ends_while_a_flush_waits_harms_no_other(fault_server, make_store, make_event):
    store = make_store()
    fault_server.script(fault_server.hang)
    store.record(make_event())

    async def leave_in_the_midst():
        flush = asyncio.create_task(store.aflush(timeout=DEADLINE))
        await asyncio.to_thread(fault_server.wait_for_batch)
        return flush

    abandoned = asyncio.run(leave_in_the_midst())
    stored_by_then = list(fault_server.stored)
    fault_server.release()

    assert abandoned.cancelled()
    assert not stored_by_then
    assert asyncio.run(store.aflush(timeout=DEADLINE)).ok
    assert len(fault_server.stored) == 1


def test_trio_loop_that_ends_while_a_flush_waits_harms_no_other(fault_server, make_store, make_event):
    store = make_store()
    fault_server.script(fault_server.hang)
    store.record(make_event())

    async def leave_in_the_midst():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.aflush, DEADLINE)
            await trio.to_thread.run_sync(fault_server.wait_for_batch)
            nursery.cancel_scope.cancel()

    trio.run(leave_in_the_midst)
    stored_by_then = list(fault_server.stored)
    fault_server.release()

    assert not stored_by_then
    assert trio.run(store.aflush, DEADLINE).ok
    assert len(fault_server.stored) == 1


def test_loop_goes_on_while_a_flush_waits(fault_server, make_store, make_event):
    store = make_store()
    fault_server.script(fault_server.hang)
    store.record(make_event())

    async def do_something_meanwhile():
        flush = asyncio.create_task(store.aflush(timeout=DEADLINE))
        await asyncio.to_thread(fault_server.wait_for_batch)
        was_waiting = not flush.done()
        fault_server.release()
        return was_waiting, await flush

    was_waiting, result = asyncio.run(do_something_meanwhile())

    assert was_waiting
    assert result.ok


def test_async_with_closes_on_trio(fault_server, make_store, make_event):
    store = make_store(linger=3600)

    async def record():
        async with store:
            store.record(make_event())

    trio.run(record)

    assert store.closed
    assert len(fault_server.stored) == 1

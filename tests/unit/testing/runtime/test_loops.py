import asyncio
import threading

import pytest

from signal_gateway.errors import HarnessError
from signal_gateway.testing.runtime.loops import LoopThread


async def thread_name():
    return threading.current_thread().name


def test_loop_starts_with_its_first_user_and_ends_with_its_last():
    loop = LoopThread("loop-of-two-users")

    first, second = loop.acquire(), loop.acquire()
    first.release()
    assert second.call(thread_name(), timeout=60, doing="asking") == "loop-of-two-users"
    second.release()

    assert "loop-of-two-users" not in {thread.name for thread in threading.enumerate()}


def test_loop_starts_again_for_the_next_user():
    loop = LoopThread("test-loop")
    for _ in range(2):
        lease = loop.acquire()
        assert lease.call(thread_name(), timeout=60, doing="asking") == "test-loop"
        lease.release()


def test_exception_of_a_coroutine_reaches_the_caller():
    loop = LoopThread("test-loop").acquire()

    async def fail():
        raise LookupError("mine")

    try:
        with pytest.raises(LookupError, match="mine"):
            loop.call(fail(), timeout=60, doing="failing")
    finally:
        loop.release()


def test_time_up_is_an_error_that_says_what_was_waited_for():
    loop = LoopThread("test-loop").acquire()
    try:
        with pytest.raises(HarnessError, match=r"the long wait took longer than 0\.01 s"):
            loop.call(asyncio.Event().wait(), timeout=0.01, doing="the long wait")
    finally:
        loop.release()


def test_call_from_the_loop_itself_is_an_error_and_no_deadlock():
    loop = LoopThread("test-loop").acquire()

    async def call_itself():
        loop.call(thread_name(), timeout=60, doing="a call")

    try:
        with pytest.raises(HarnessError, match="would deadlock on the loop 'test-loop'"):
            loop.call(call_itself(), timeout=60, doing="the outer call")
    finally:
        loop.release()


def test_loop_that_ended_refuses_work():
    loop = LoopThread("test-loop").acquire()
    loop.release()

    with pytest.raises(HarnessError, match="'test-loop' does not run any more"):
        loop.call(thread_name(), timeout=60, doing="asking")

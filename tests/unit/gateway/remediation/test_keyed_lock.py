import asyncio

import pytest

from signal_gateway.gateway.remediation.dispatcher import KeyedLock

pytestmark = pytest.mark.asyncio


def in_seconds(seconds):
    return asyncio.get_running_loop().time() + seconds


async def test_lock_is_held_by_one_at_a_time_in_the_order_of_arrival():
    locks, order = KeyedLock(), []

    async def visit(number):
        async with locks.hold("a", deadline=in_seconds(5)):
            order.append(f"{number} in")
            await asyncio.sleep(0)
            order.append(f"{number} out")

    await asyncio.gather(*(visit(number) for number in range(3)))

    assert order == ["0 in", "0 out", "1 in", "1 out", "2 in", "2 out"]


async def test_locks_of_different_keys_do_not_wait_for_each_other():
    locks = KeyedLock()

    async with locks.hold("a", deadline=in_seconds(5)), locks.hold("b", deadline=in_seconds(5)):
        pass


async def test_turn_that_does_not_come_in_time_is_given_up_and_harms_nobody():
    locks = KeyedLock()

    async with locks.hold("a", deadline=in_seconds(5)):
        with pytest.raises(TimeoutError):
            async with locks.hold("a", deadline=in_seconds(-1)):
                pytest.fail("the lock was taken")

    async with locks.hold("a", deadline=in_seconds(5)):
        pass


async def test_unused_lock_is_forgotten():
    locks = KeyedLock()

    async with locks.hold("a", deadline=in_seconds(5)):
        assert len(locks) == 1

    assert not locks

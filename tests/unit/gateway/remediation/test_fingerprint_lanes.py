import asyncio

import pytest

from signal_gateway.gateway.remediation.keyed_lock import Lanes

pytestmark = pytest.mark.asyncio


def in_seconds(seconds):
    return asyncio.get_running_loop().time() + seconds


async def test_lane_is_held_by_one_at_a_time_in_the_order_of_arrival():
    lanes, order = Lanes(), []

    async def visit(number):
        async with lanes.hold("a", deadline=in_seconds(5)):
            order.append(f"{number} in")
            await asyncio.sleep(0)
            order.append(f"{number} out")

    await asyncio.gather(*(visit(number) for number in range(3)))

    assert order == ["0 in", "0 out", "1 in", "1 out", "2 in", "2 out"]


async def test_lanes_of_different_keys_do_not_wait_for_each_other():
    lanes = Lanes()

    async with lanes.hold("a", deadline=in_seconds(5)), lanes.hold("b", deadline=in_seconds(5)):
        pass


async def test_turn_that_does_not_come_in_time_is_given_up_and_harms_nobody():
    lanes = Lanes()

    async with lanes.hold("a", deadline=in_seconds(5)):
        with pytest.raises(TimeoutError):
            async with lanes.hold("a", deadline=in_seconds(-1)):
                pytest.fail("the lane was taken")

    async with lanes.hold("a", deadline=in_seconds(5)):
        pass


async def test_lane_of_nobody_is_forgotten():
    lanes = Lanes()

    async with lanes.hold("a", deadline=in_seconds(5)):
        assert len(lanes._lanes) == 1

    assert not lanes._lanes

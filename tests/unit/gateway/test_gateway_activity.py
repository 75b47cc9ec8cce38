import asyncio

import pytest

from signal_gateway.gateway.http.activity import Activity

pytestmark = pytest.mark.asyncio


async def test_idle_activity_settles_at_once():
    await Activity().settle()


async def test_settling_waits_for_a_task_that_no_request_began():
    activity, release = Activity(), asyncio.Event()
    activity.spawn(release.wait())

    settled = asyncio.create_task(activity.settle())
    await asyncio.sleep(0)
    assert not settled.done()
    release.set()

    await settled


async def test_end_cancels_what_does_not_finish_within_the_grace():
    activity = Activity()
    stuck = activity.spawn(asyncio.Event().wait())

    await activity.end(grace=0.01)

    assert stuck.cancelled()
    await activity.settle()


async def test_failure_of_a_task_is_logged_and_harms_nobody(caplog):
    async def fail():
        raise RuntimeError("broken")

    activity = Activity()
    activity.spawn(fail())

    await activity.settle()

    assert "unexpected error in background work" in caplog.text

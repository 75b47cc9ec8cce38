import asyncio

import pytest

from signal_gateway.concurrency import BackgroundTasks

pytestmark = pytest.mark.asyncio


async def test_idle_tasks_settle_at_once():
    await BackgroundTasks().settle()


async def test_settling_waits_for_a_task_that_no_request_began():
    tasks, release = BackgroundTasks(), asyncio.Event()
    tasks.spawn(release.wait())

    settled = asyncio.create_task(tasks.settle())
    await asyncio.sleep(0)
    assert not settled.done()
    release.set()

    await settled


async def test_end_cancels_what_does_not_finish_within_the_grace():
    tasks = BackgroundTasks()
    stuck = tasks.spawn(asyncio.Event().wait())

    await tasks.end(grace=0.01)

    assert stuck.cancelled()
    await tasks.settle()


async def test_failure_of_a_task_is_logged_and_harms_nobody(caplog):
    async def fail():
        raise RuntimeError("broken")

    tasks = BackgroundTasks()
    tasks.spawn(fail())

    await tasks.settle()

    assert "unexpected error in background work" in caplog.text

"""Many threads, many loops, forks and exits: each event once."""

import asyncio
import json
import subprocess
import sys
import textwrap
import threading

import pytest

DEADLINE = 60.0


def test_50_threads_of_1000_events_each_are_stored_in_the_order_of_each_thread(fault_server, store, make_event):
    together = threading.Barrier(50, timeout=DEADLINE)
    recorded = {lane: [] for lane in range(50)}

    def record_a_thousand(lane):
        together.wait()
        for number in range(1000):
            event = make_event(number, correlation_id=f"order-{lane}")
            store.record(event)
            recorded[lane].append(event.event_id)

    threads = [threading.Thread(target=record_a_thousand, args=(lane,)) for lane in recorded]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)

    result = store.flush(timeout=DEADLINE)

    assert result.ok
    assert result.delivered == 50_000
    assert len(fault_server.stored) == 50_000
    stored = {lane: [] for lane in recorded}
    for event_id, event in fault_server.stored.items():
        stored[int(event["correlation_id"].removeprefix("order-"))].append(event_id)
    assert stored == recorded
    assert set(fault_server.received.values()) == {1}


def test_one_store_serves_many_loops_one_after_the_other(fault_server, store, make_event):
    async def record_and_flush():
        store.record(make_event())
        return await store.aflush()

    results = [asyncio.run(record_and_flush()) for _ in range(3)]

    assert all(result.ok for result in results)
    assert len(fault_server.stored) == 3


@pytest.mark.asyncio
async def test_cancelled_flush_leaves_the_store_working(fault_server, make_store, make_event):
    store = make_store()
    fault_server.script(fault_server.hang)
    store.record(make_event())

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(store.aflush(timeout=1.0), timeout=0.01)

    fault_server.release()
    assert (await store.aflush()).ok


PROLOGUE = """
import json, os, sys, threading, warnings
from signal_gateway.audit import AuditEvent, AuditStoreConfig, BufferedAuditStore, DataStorageClient

warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of a fork beside threads: it is what we do here

def event(number):
    return AuditEvent(event_type="order.placed", event_category="order", event_action="placed",
                      event_outcome="success", correlation_id=f"order-{os.getpid()}",
                      event_data={"event_type": "order.placed", "number": number})

store = BufferedAuditStore(DataStorageClient(sys.argv[1]), service="shop",
                           config=AuditStoreConfig(durability="memory", linger=float(sys.argv[2])))

def record(count):
    ids = []
    for number in range(count):
        one = event(number)
        store.record(one)
        ids.append(one.event_id)
    return ids
"""


def run(server, program: str, *, linger: float = 0.05) -> tuple[list[str], int]:
    """Run a program; return the ids on the lines it prints, and its exit status."""
    script = PROLOGUE + textwrap.dedent(program)
    done = subprocess.run(
        [sys.executable, "-c", script, server.url, str(linger)],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert "Traceback" not in done.stderr or "boom" in done.stderr, done.stderr
    return [event_id for line in done.stdout.splitlines() for event_id in json.loads(line)], done.returncode


@pytest.mark.parametrize(
    ("ending", "status"),
    [("pass", 0), ("sys.exit(3)", 3), ("raise RuntimeError('boom')", 1), ("threading.Thread(target=record).start", 0)],
)
@pytest.mark.slow
def test_store_left_open_is_flushed_at_interpreter_exit(fault_server, ending, status):
    program = f"""
        print(json.dumps(record(20)), flush=True)
        {ending}
    """

    ids, returned = run(fault_server, program, linger=3600)

    assert returned == status
    assert list(fault_server.stored) == ids


@pytest.mark.slow
def test_forked_child_delivers_its_own_events_and_none_of_its_parents(fault_server):
    program = """
        mine = record(200)
        child = os.fork()
        if child == 0:
            assert store.stats.recorded == 0
            mine = record(100)
            result = store.close()
            print(json.dumps(mine), flush=True)
            os._exit(0 if result.ok and result.delivered == 100 else 9)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0, status
        mine += record(50)
        print(json.dumps(mine), flush=True)
        result = store.close()
        assert result.ok and result.delivered == 250, result
    """

    ids, returned = run(fault_server, program, linger=3600)

    assert returned == 0
    assert len(ids) == 350
    assert fault_server.stored.keys() == set(ids)
    assert set(fault_server.received.values()) == {1}


@pytest.mark.slow
def test_fork_in_the_midst_of_load_loses_and_repeats_nothing(fault_server):
    program = """
        ledger = []
        threads = [threading.Thread(target=lambda: ledger.extend(record(500))) for _ in range(4)]
        for thread in threads:
            thread.start()
        children = []
        for _ in range(5):
            child = os.fork()
            if child == 0:
                mine = record(20)
                ok = store.flush().ok
                os.write(1, json.dumps(mine).encode() + b"\\n")
                os._exit(0 if ok else 9)
            children.append(child)
        for thread in threads:
            thread.join()
        for child in children:
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) == 0, status
        assert store.close().ok
        os.write(1, json.dumps(ledger).encode() + b"\\n")
    """

    ids, returned = run(fault_server, program)

    assert returned == 0
    assert len(ids) == 2100
    assert fault_server.stored.keys() == set(ids)
    assert set(fault_server.received.values()) == {1}


@pytest.mark.slow
def test_closed_store_stays_closed_in_a_forked_child(fault_server):
    program = """
        from signal_gateway.audit import AuditStoreClosed
        store.close()
        child = os.fork()
        if child == 0:
            try:
                record(1)
            except AuditStoreClosed:
                os._exit(0)
            os._exit(9)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
    """

    _, returned = run(fault_server, program)

    assert returned == 0

"""However a process ends, what `record` returned for is delivered once, by the process itself or by the next store."""

import json
import signal

import pytest

pytestmark = pytest.mark.slow

DEADLINE = 60.0
ENDINGS = [
    ("pass", 0),
    ("raise RuntimeError('boom')", 1),
    ("sys.exit(3)", 3),
    ("os._exit(4)", 4),
    ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)", -signal.SIGTERM),
    ("os.kill(os.getpid(), signal.SIGKILL); time.sleep(60)", -signal.SIGKILL),
]
NAMES = ["return", "exception", "sys.exit", "os._exit", "SIGTERM", "SIGKILL"]
THREADS = 4


@pytest.fixture
def run(start_program):
    """Run a program to its end; return what it said, and how it ended."""

    def run(program, **settings):
        process = start_program(program, **settings).process
        out, err = process.communicate(timeout=3 * DEADLINE)
        assert "Traceback" not in err or "boom" in err, err
        return [json.loads(line) for line in out.splitlines()], process.returncode

    return run


@pytest.fixture
def recover(open_store):
    def recover():
        with open_store() as store:
            pass
        return store.stats.recovered

    return recover


def arrived_once(server, ids):
    return server.received == dict.fromkeys(ids, 1) and server.stored.keys() == set(ids)


@pytest.mark.parametrize(("ending", "status"), ENDINGS, ids=NAMES)
@pytest.mark.parametrize("storage", ["mapped", "written"])
def test_events_that_wait_when_the_process_ends_are_delivered(
    fault_server, run, recover, spool_directory, ending, status, storage
):
    said, returned = run(
        f"""
        store = open_store()
        say(record(50))
        {ending}
        """,
        storage=storage,
        linger=3600,
    )
    delivered_by_itself = len(fault_server.stored)

    counts = recover()

    (ids,) = said
    assert returned == status
    assert arrived_once(fault_server, ids)
    assert list(fault_server.stored) == ids
    assert delivered_by_itself == (50 if status in (0, 1, 3) else 0)
    assert counts.delivered == 50 - delivered_by_itself
    assert (counts.torn, counts.corrupt) == (0, 0)
    assert not list(spool_directory.iterdir())


@pytest.mark.parametrize(("ending", "status"), ENDINGS, ids=NAMES)
def test_threads_that_record_when_the_process_ends_lose_nothing(
    fault_server, run, recover, spool_directory, ending, status
):
    said, returned = run(
        f"""
        store = open_store()
        enough = threading.Semaphore(0)

        def record_forever():
            while True:
                one = event()
                try:
                    store.record(one)
                except AuditStoreClosed:
                    return
                say(one.event_id)
                enough.release()

        for _ in range({THREADS}):
            threading.Thread(target=record_forever, daemon=True).start()
        for _ in range(400):
            enough.acquire()
        {ending}
        """,
        linger=0.001,
    )

    recover()

    assert returned == status
    assert len(said) >= 400
    assert set(said) <= fault_server.stored.keys()
    assert len(fault_server.stored.keys() - set(said)) <= THREADS
    assert fault_server.stored.keys() == fault_server.received.keys()
    assert not list(spool_directory.glob("*.segment"))


@pytest.mark.parametrize("storage", ["mapped", "written"])
def test_events_delivered_before_the_process_is_killed_do_not_come_again(fault_server, run, recover, storage):
    said, _ = run(
        """
        store = open_store()
        say(record(20))
        assert store.flush(timeout=60).ok
        say(record(5))
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        storage=storage,
        linger=3600,
    )

    counts = recover()

    assert counts.delivered == 5
    assert arrived_once(fault_server, [event_id for ids in said for event_id in ids])


def test_process_killed_from_outside_in_the_midst_of_recording_loses_nothing(fault_server, start_program, recover):
    program = start_program(
        """
        store = open_store()
        while True:
            say(*record())
        """,
        linger=0.001,
    )
    said = [program.hear() for _ in range(200)]
    program.process.kill()
    rest, _ = program.process.communicate(timeout=DEADLINE)
    said += [json.loads(line) for line in rest.splitlines()]

    recover()

    assert set(said) <= fault_server.stored.keys()
    assert len(fault_server.stored) <= len(said) + 1


def test_exit_handler_that_runs_before_the_stores_own_records(fault_server, run, spool_directory):
    said, returned = run(
        """
        store = open_store()
        atexit.register(lambda: say(record(3)))
        say(record(2))
        """,
        linger=3600,
    )

    assert returned == 0
    assert list(fault_server.stored) == [event_id for ids in said for event_id in ids]
    assert len(fault_server.stored) == 5
    assert not list(spool_directory.iterdir())


def test_exit_handler_that_runs_after_the_stores_own_is_told_that_it_is_closed(fault_server, run, spool_directory):
    said, returned = run(
        """
        def record_late():
            try:
                record()
            except AuditStoreClosed:
                say("closed")

        atexit.register(record_late)
        store = open_store()
        say(record(2))
        """,
        linger=3600,
    )

    assert returned == 0
    assert said == [list(fault_server.stored), "closed"]
    assert not list(spool_directory.iterdir())


def test_exit_handler_of_a_store_that_was_never_used_before_records(fault_server, run, spool_directory):
    said, returned = run("""
        store = open_store()
        atexit.register(lambda: say(record(3)))
    """)

    assert returned == 0
    assert said == [list(fault_server.stored)]
    assert not list(spool_directory.iterdir())


def test_exit_while_datastorage_is_down_leaves_the_events_to_the_next_store(fault_server, run, recover):
    fault_server.always(fault_server.status(503))
    said, returned = run("""
        store = open_store()
        say(record(20))
        atexit.register(lambda: store.close(timeout=0.2))
    """)
    fault_server.always(fault_server.store)

    counts = recover()

    assert returned == 0
    assert said == [list(fault_server.stored)]
    assert counts.delivered == 20

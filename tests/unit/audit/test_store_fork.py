"""A fork in every phase of a store: the parent's events come from the parent, the child's from the child, each once."""

import os

import pytest

pytestmark = pytest.mark.slow

DEADLINE = 60.0
STORAGES = ["mapped", "written"]


def arrived_once(server, ids):
    return server.received == dict.fromkeys(ids, 1) and server.stored.keys() == set(ids)


@pytest.mark.parametrize("storage", STORAGES)
def test_fork_before_the_first_record(fault_server, start_program, spool_directory, storage):
    program = start_program(
        """
        store = open_store()
        child = os.fork()
        ids = record(30)
        assert store.close(timeout=60).delivered == 30
        say(ids)
        if child == 0:
            os._exit(0)
        assert status_of(child) == 0
        """,
        storage=storage,
    )

    ids = [event_id for said in program.end() for event_id in said]

    assert len(ids) == 60
    assert arrived_once(fault_server, ids)
    assert not list(spool_directory.iterdir())


@pytest.mark.parametrize("storage", STORAGES)
def test_fork_with_events_pending(fault_server, start_program, spool_directory, storage):
    program = start_program(
        """
        store = open_store()
        say(record(100))
        child = os.fork()
        if child == 0:
            assert (store.stats.recorded, store.stats.pending) == (0, 0)
            say(record(40))
            result = store.close(timeout=60)
            os._exit(0 if result.ok and result.delivered == 40 else 9)
        assert status_of(child) == 0
        assert store.stats.pending == 100
        say(record(10))
        assert store.close(timeout=60).delivered == 110
        """,
        storage=storage,
        linger=3600,
    )

    ids = [event_id for said in program.end() for event_id in said]

    assert len(ids) == 150
    assert arrived_once(fault_server, ids)
    assert not list(spool_directory.iterdir())


@pytest.mark.parametrize("storage", STORAGES)
def test_fork_in_the_midst_of_a_delivery_that_hangs(fault_server, start_program, storage):
    fault_server.script(fault_server.hang)
    program = start_program(
        """
        store = open_store()
        mine = record(5)
        sys.stdin.readline()
        child = os.fork()
        if child == 0:
            mine = record(5)
            result = store.close(timeout=60)
            say(mine)
            os._exit(0 if result.ok else 9)
        assert status_of(child) == 0
        say(mine)
        sys.stdin.readline()
        assert store.close(timeout=60).ok
        """,
        storage=storage,
        linger=0,
    )
    fault_server.wait_for_batch()
    program.tell()
    of_child = program.hear()
    assert list(fault_server.stored) == of_child
    fault_server.release()
    of_parent = program.hear()
    program.tell()
    program.end()

    assert fault_server.stored.keys() == {*of_parent, *of_child}
    assert {fault_server.received[event_id] for event_id in of_child} == {1}
    assert all(set(batch) <= set(of_parent) or set(batch) <= set(of_child) for batch in fault_server.batches)


def test_fork_of_a_closed_store(start_program):
    program = start_program("""
        store = open_store()
        store.close()
        child = os.fork()
        try:
            record()
        except AuditStoreClosed:
            if child == 0:
                os._exit(0)
        assert status_of(child) == 0
        say("refused")
    """)

    assert program.end() == ["refused"]


@pytest.mark.parametrize("storage", STORAGES)
def test_fork_in_a_signal_handler_in_the_midst_of_record(fault_server, start_program, storage, spool_directory):
    program = start_program(
        """
        store = open_store()
        children, ids = [], []
        def fork(*_):
            child = os.fork()
            if child == 0:
                signal.setitimer(signal.ITIMER_REAL, 0)
                mine = record(3)
                result = store.close(timeout=60)
                say(mine)
                os._exit(0 if result.ok and result.delivered == 3 else 9)
            children.append(child)
        signal.signal(signal.SIGALRM, fork)
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.01)
        while len(children) < 8:
            try:
                ids += record(1)
            except AuditStoreFull:
                pass
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert [status_of(child) for child in children] == [0] * len(children)
        assert store.close(timeout=60).ok
        say(ids)
        """,
        storage=storage,
        max_spool_bytes=256 * 1024,
    )

    ids = [event_id for said in program.end() for event_id in said]

    assert fault_server.stored.keys() == set(ids)
    assert set(fault_server.received.values()) == {1}
    assert not list(spool_directory.iterdir())


def test_handler_that_forks_may_return_in_both_processes(fault_server, start_program):
    program = start_program("""
        store = open_store()
        forked = []
        def fork(*_):
            if not forked:
                forked.append(os.fork())
        signal.signal(signal.SIGALRM, fork)
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        ids = []
        while len(ids) < 200 or not forked:
            ids += record(1)
        result = store.close(timeout=60)
        assert result.ok, result
        say(ids)
        if forked == [0]:
            os._exit(0)
        assert status_of(forked[0]) == 0
    """)

    ids = [event_id for said in program.end() for event_id in said]

    assert fault_server.stored.keys() == set(ids)


@pytest.mark.parametrize("storage", STORAGES)
def test_fork_between_the_encoding_and_the_writing_of_an_event_records_it_in_both_processes(
    fault_server, start_program, storage
):
    program = start_program(
        """
        from signal_gateway.audit.wal.log import WriteAheadLog
        append, forked = WriteAheadLog.append, []
        def fork_and_append(wal, payload):
            if not forked:
                forked.append(os.fork())
            return append(wal, payload)
        WriteAheadLog.append = fork_and_append
        store = open_store()
        ids = record(1)
        assert store.close(timeout=60).delivered == 1
        say(ids)
        if forked == [0]:
            os._exit(0)
        assert status_of(forked[0]) == 0
        """,
        storage=storage,
    )

    of_child, of_parent = program.end()

    assert of_child == of_parent
    assert fault_server.received == {of_child[0]: 2}


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(fault_server, start_program, tmp_path, method):
    script = tmp_path / "workers.py"
    script.write_text(WORKERS)
    program = start_program(f"""
        import runpy
        sys.path.insert(0, {str(tmp_path)!r})
        sys.argv = ["workers.py", {method!r}, url, json.dumps(settings)]
        runpy.run_module("workers", run_name="__main__", alter_sys=True)
    """)

    ids = [event_id for said in program.end() for event_id in said]

    assert len(ids) == 4 * 25 + 10
    assert fault_server.stored.keys() == set(ids)  # a worker that ends in the midst of a delivery has it made again


WORKERS = """
import json, multiprocessing, os, sys, warnings
from signal_gateway.audit import AuditEvent, AuditStoreConfig, BufferedAuditStore, DataStorageClient

warnings.simplefilter("ignore", DeprecationWarning)
store = None

def open_store(url, settings):
    return BufferedAuditStore(DataStorageClient(url), service="shop", config=AuditStoreConfig(**settings))

def record(count):
    ids = []
    for number in range(count):
        event = AuditEvent(event_type="order.placed", event_category="order", event_action="placed",
                           event_outcome="success", correlation_id="order-1",
                           event_data={"event_type": "order.placed", "number": number})
        store.record(event)
        ids.append(event.event_id)
    return ids

def work(url, settings):
    global store
    store = store or open_store(url, settings)
    ids = record(25)
    os.write(1, json.dumps(ids).encode() + b"\\n")
    # it ends without a close, as multiprocessing has it: its parent recovers what is left

if __name__ == "__main__":
    method, url, settings = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    if method == "fork":
        settings["linger"] = 3600
    store = open_store(url, settings)
    ids = record(10)
    context = multiprocessing.get_context(method)
    workers = [context.Process(target=work, args=(url, settings)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert store.close(timeout=60).ok
    os.write(1, json.dumps(ids).encode() + b"\\n")
"""


@pytest.mark.parametrize("storage", STORAGES)
def test_child_that_ends_at_once_leaves_its_events_to_its_parents_close(
    fault_server, start_program, spool_directory, storage
):
    program = start_program(
        """
        store = open_store()
        child = os.fork()
        if child == 0:
            say(record(30))
            os._exit(0)
        assert status_of(child) == 0
        result = store.close(timeout=60)
        assert (result.ok, result.delivered, store.stats.recovered.delivered) == (True, 0, 30), store.stats
        """,
        storage=storage,
        linger=3600,
    )

    (ids,) = program.end()

    assert arrived_once(fault_server, ids)
    assert not list(spool_directory.iterdir())


def test_child_of_a_child(fault_server, start_program, spool_directory):
    program = start_program("""
        store = open_store()
        ids = record(3)
        for _ in range(3):
            child = os.fork()
            if child:
                assert status_of(child) == 0
                break
            ids = record(3)
        assert store.close(timeout=60).delivered == 3
        say(ids)
        os._exit(0)
    """)

    ids = [event_id for said in program.end() for event_id in said]

    assert len(ids) == 12
    assert arrived_once(fault_server, ids)
    assert not list(spool_directory.iterdir())


def test_child_of_a_process_that_recovers_leaves_the_recovered_events_to_it(fault_server, start_program, leave_behind):
    ids = leave_behind(20)
    fault_server.script(fault_server.hang)
    program = start_program("""
        store = open_store()
        sys.stdin.readline()
        child = os.fork()
        if child == 0:
            mine = record(2)
            result = store.close(timeout=60)
            assert store.stats.recovered.delivered == store.stats.recovered.pending == 0
            say(mine)
            os._exit(0)
        assert status_of(child) == 0
        sys.stdin.readline()
        store.close(timeout=60)
        assert store.stats.recovered.delivered == 20
    """)
    fault_server.wait_for_batch()
    program.tell()
    of_child = program.hear()
    fault_server.release()
    program.tell()
    program.end()

    assert fault_server.stored.keys() == {*ids, *of_child}


def test_every_store_of_a_process_begins_anew_in_its_child(fault_server, start_program):
    program = start_program(
        """
        stores = [open_store() for _ in range(5)]
        ids = []
        for store in stores:
            ids += record(10)
        child = os.fork()
        for store in stores:
            ids += record(10)
        assert all(store.close(timeout=60).ok for store in stores)
        say(ids[50:] if child == 0 else ids)
        if child == 0:
            os._exit(0)
        assert status_of(child) == 0
    """,
        linger=3600,
    )

    ids = [event_id for said in program.end() for event_id in said]

    assert len(ids) == 150
    assert arrived_once(fault_server, ids)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give it up")
def test_child_that_may_not_use_the_directory_any_more_says_so_and_leaves_its_parents_events_alone(
    fault_server, start_program
):
    program = start_program(
        """
        from signal_gateway.errors import AuditError
        stores = [open_store() for _ in range(3)]
        ids = []
        for store in stores:
            ids += record(5)
        os.setgid(65534)
        os.setuid(65534)
        child = os.fork()
        if child == 0:
            refused = 0
            for store in stores:
                try:
                    record(1)
                except AuditError:
                    refused += 1
            os._exit(refused)
        assert status_of(child) == 3
        for store in stores:
            ids += record(5)
            assert store.flush(timeout=60).ok
        say(ids)
        os._exit(0)
        """,
        linger=3600,
    )

    (ids,) = program.end()

    assert len(ids) == 30
    assert arrived_once(fault_server, ids)


LOG_THAT_IS_BEING_WRITTEN = """
import io, logging

class Terminal(io.RawIOBase):
    def writable(self):
        return True

    def write(self, data):
        is_written.set()
        released.wait(60)
        return len(data)

is_written, released = threading.Event(), threading.Event()
# the buffered writer has a lock of its own, which no child frees
log = logging.StreamHandler(io.TextIOWrapper(io.BufferedWriter(Terminal()), write_through=True))
"""


def test_child_that_is_forked_while_the_flusher_logs_can_log(fault_server, start_program):
    fault_server.always(fault_server.status(503))
    program = start_program(
        LOG_THAT_IS_BEING_WRITTEN
        + """
logging.getLogger().addHandler(log)
store = open_store()
os.register_at_fork(before=released.set)  # runs before the hooks that are registered already
store.record(event())
is_written.wait(60)
child = os.fork()
if child == 0:
    signal.alarm(30)  # ends a child that waits for a lock without a holder
    logging.getLogger("shop").error("a line of the child")
    os._exit(0)
say(status_of(child))
os._exit(0)
"""
    )

    assert program.hear() == 0


def test_fork_does_not_wait_for_ever_for_a_log_that_blocks(start_program, fault_server):
    fault_server.always(fault_server.status(503))
    program = start_program(
        LOG_THAT_IS_BEING_WRITTEN
        + """
from signal_gateway.audit import guarded_log

guarded_log._FORK_TIMEOUT = 0.01
logging.getLogger().addHandler(log)
store = open_store()
store.record(event())
is_written.wait(60)
child = os.fork()
if child == 0:
    os._exit(0)
say(status_of(child))
os._exit(0)
"""
    )

    assert program.hear() == 0

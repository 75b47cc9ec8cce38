"""Whose segments are whose: a live store's are nobody else's, a dead one's are delivered by one recoverer."""

import os
import signal
import threading
import time
from contextlib import suppress

import pytest

from signal_gateway.audit.wal.directory import SegmentDirectory
from signal_gateway.audit.wal.ownership import StoreLock

DEADLINE = 60.0
STORE_ID = "01932c3e-8a00-7000-8000-000000000000"


@pytest.fixture
def locked(spool_directory):
    spool_directory.mkdir()
    lock = StoreLock.create(spool_directory, STORE_ID)
    yield lock
    lock.release(remove=True)


@pytest.mark.usefixtures("locked")
def test_lock_of_a_live_store_is_not_taken_in_its_own_process(spool_directory):
    assert StoreLock.take_over(spool_directory, STORE_ID) is None
    assert not StoreLock.is_free(spool_directory, STORE_ID)


@pytest.mark.usefixtures("locked")
def test_lock_of_a_live_store_is_not_taken_by_another_name_of_the_directory(spool_directory, tmp_path):
    (tmp_path / "alias").symlink_to(spool_directory)

    assert StoreLock.take_over(tmp_path / "alias", STORE_ID) is None
    assert not StoreLock.is_free(tmp_path / "alias", STORE_ID)


@pytest.mark.usefixtures("locked")
def test_asking_for_a_lock_does_not_free_it(spool_directory, start_program):
    StoreLock.take_over(spool_directory, STORE_ID)
    StoreLock.is_free(spool_directory, STORE_ID)

    other = start_program(f"""
        from pathlib import Path
        from signal_gateway.audit.wal.ownership import StoreLock
        directory = Path(settings["spool_directory"])
        say([StoreLock.is_free(directory, "{STORE_ID}"), StoreLock.take_over(directory, "{STORE_ID}") is None])
    """)

    assert other.end() == [[False, True]]


def test_released_lock_is_free_and_taken_by_one(spool_directory, locked):
    locked.release(remove=False)

    assert StoreLock.is_free(spool_directory, STORE_ID)
    taken = StoreLock.take_over(spool_directory, STORE_ID)
    assert taken is not None
    assert StoreLock.take_over(spool_directory, STORE_ID) is None
    taken.release(remove=True)
    assert not list(spool_directory.iterdir())


def test_lock_of_a_store_without_one_is_free(spool_directory):
    spool_directory.mkdir()

    assert StoreLock.is_free(spool_directory, STORE_ID)
    taken = StoreLock.take_over(spool_directory, STORE_ID)
    assert taken is not None
    taken.release(remove=True)


def test_lock_file_that_was_replaced_is_not_removed_by_its_old_owner(spool_directory, locked):
    path = spool_directory / f"{STORE_ID}.lock"
    path.unlink()
    path.write_text("of somebody else")

    locked.release(remove=True)

    assert path.read_text() == "of somebody else"


def test_two_stores_on_one_directory_deliver_their_own_events(fault_server, open_store, make_event, spool_directory):
    stores = [open_store(), open_store()]
    ids = [[], []]
    for number in range(200):
        event = make_event(number)
        stores[number % 2].record(event)
        ids[number % 2].append(event.event_id)

    results = [store.close(timeout=DEADLINE) for store in stores]

    assert [(result.ok, result.delivered) for result in results] == [(True, 100), (True, 100)]
    assert [store.stats.recovered.delivered for store in stores] == [0, 0]
    assert fault_server.received == dict.fromkeys(ids[0] + ids[1], 1)
    assert not list(spool_directory.iterdir())


def test_store_that_closes_takes_nothing_of_a_live_one(fault_server, open_store, make_event):
    living = open_store(linger=3600)
    living.record(make_event())

    with open_store() as other:
        pass

    assert other.stats.recovered.delivered == 0
    assert not fault_server.received
    assert living.close().delivered == 1


def test_events_that_a_closed_store_left_are_the_next_ones(
    fault_server, open_store, make_event, spool_directory, storage
):
    fault_server.always(fault_server.status(503))
    first = open_store()
    events = [make_event(number) for number in range(5)]
    for event in events:
        first.record(event)
    assert first.close(timeout=0.1).pending == 5
    fault_server.always(fault_server.store)

    second = open_store()

    assert second.stats.storage == storage
    assert second.close().ok
    assert second.stats.recovered.delivered == 5
    assert (second.stats.recorded, second.stats.delivered) == (0, 0)
    assert list(fault_server.stored) == [event.event_id for event in events]
    assert not list(spool_directory.iterdir())


def test_orphaned_events_come_oldest_first_and_in_their_order(fault_server, leave_behind, open_store):
    ids = [event_id for _ in range(4) for event_id in leave_behind(7)]
    left = []

    def count_and_store(handler, events):
        recovered = stores[0].stats.recovered if stores else None
        left.append(
            recovered is None
            or (recovered.delivered, recovered.pending) == (len(fault_server.stored), 28 - len(fault_server.stored))
        )
        fault_server.store(handler, events)

    stores = []
    fault_server.always(count_and_store)
    stores.append(store := open_store(max_batch_events=3))
    store.close(timeout=DEADLINE)

    assert len(left) == 12
    assert all(left)
    assert list(fault_server.stored) == ids
    assert set(fault_server.received.values()) == {1}
    assert store.stats.recovered.delivered == 28


def test_two_recoveries_in_one_process_deliver_each_event_once(fault_server, leave_behind, open_store, spool_directory):
    ids = [event_id for _ in range(20) for event_id in leave_behind(5)]
    together = threading.Barrier(4, timeout=DEADLINE)
    stores = []

    def recover():
        together.wait()
        store = open_store()
        stores.append(store)
        store.close(timeout=DEADLINE)

    threads = [threading.Thread(target=recover) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)

    # whoever was refused a lock left the events to its holder, which may have been closed in the midst
    open_store().close(timeout=DEADLINE)
    assert fault_server.received == dict.fromkeys(ids, 1)
    assert not list(spool_directory.iterdir())


def test_two_recoveries_in_two_processes_deliver_each_event_once(
    fault_server, leave_behind, start_program, spool_directory
):
    ids = [event_id for _ in range(20) for event_id in leave_behind(5)]
    program = """
        say("ready")
        sys.stdin.readline()
        store = open_store()
        result = store.close(timeout=60)
        say([result.ok, store.stats.recovered.delivered])
    """
    recoverers = [start_program(program), start_program(program)]
    for recoverer in recoverers:
        assert recoverer.hear() == "ready"

    for recoverer in recoverers:
        recoverer.tell()

    said = [recoverer.end()[0] for recoverer in recoverers]
    assert [ok for ok, _ in said] == [True, True]
    assert sum(delivered for _, delivered in said) == 100
    assert fault_server.received == dict.fromkeys(ids, 1)
    assert not list(spool_directory.iterdir())


def test_live_store_of_another_process_keeps_its_events_and_a_killed_one_does_not(
    fault_server, start_program, open_store, storage
):
    fault_server.always(fault_server.status(503))
    program = start_program(
        """
        store = open_store()
        say(record(50))
        sys.stdin.readline()
        """,
        storage=storage,
        linger=3600,
    )
    ids = program.hear()
    while_alive = open_store()
    while_alive.close()
    assert while_alive.stats.recovered.pending == while_alive.stats.recovered.delivered == 0

    program.kill()
    fault_server.always(fault_server.store)
    store = open_store()
    store.close(timeout=DEADLINE)

    assert store.stats.recovered.delivered == 50
    assert list(fault_server.stored) == ids


def test_forked_child_does_not_keep_its_dead_parents_lock(fault_server, start_program, open_store):
    fault_server.always(fault_server.status(503))
    program = start_program(
        """
        store = open_store()
        ids = record(20)
        if os.fork() == 0:
            say(ids)
            sys.stdin.readline()
            os._exit(0)
        signal.pause()
        """,
        linger=3600,
    )
    ids = program.hear()  # from the child, which goes on living
    program.process.kill()
    program.process.wait(DEADLINE)
    fault_server.always(fault_server.store)

    store = open_store()
    store.close(timeout=DEADLINE)

    assert store.stats.recovered.delivered == 20
    assert list(fault_server.stored) == ids


def test_forked_child_does_not_keep_the_locks_that_its_dead_parent_took_over(
    fault_server, start_program, open_store, leave_behind
):
    ids = leave_behind(20)
    fault_server.script(fault_server.hang)
    program = start_program("""
        store = open_store()
        sys.stdin.readline()
        if os.fork() == 0:
            say("alive")
            sys.stdin.readline()
            os._exit(0)
        signal.pause()
    """)
    fault_server.wait_for_batch()
    program.tell()
    assert program.hear() == "alive"
    program.kill()

    store = open_store()
    store.close(timeout=DEADLINE)

    assert store.stats.recovered.delivered == 20
    assert list(fault_server.stored) == ids


def test_program_started_by_a_store_does_not_keep_its_lock(open_store, fault_server, start_program):
    fault_server.always(fault_server.status(503))
    program = start_program(
        """
        import subprocess
        store = open_store()
        ids = record(3)
        other = subprocess.Popen(["sleep", "60"], close_fds=False, stdout=subprocess.DEVNULL)
        say([ids, other.pid])
        signal.pause()
        """,
        linger=3600,
    )
    ids, other = program.hear()
    program.kill()
    fault_server.always(fault_server.store)
    try:
        store = open_store()
        store.close(timeout=DEADLINE)
    finally:
        os.kill(other, signal.SIGKILL)

    assert list(fault_server.stored) == ids


def test_missing_lock_file_keeps_nobodys_events_back(fault_server, leave_behind, open_store, spool_directory):
    ids = leave_behind(5)
    (lock,) = spool_directory.glob("*.lock")
    lock.unlink()

    with open_store():
        pass

    assert list(fault_server.stored) == ids
    assert not list(spool_directory.iterdir())


def test_live_store_of_another_process_that_lost_its_lock_file_keeps_its_events(
    fault_server, start_program, open_store, spool_directory
):
    program = start_program("store = open_store(); say(record(5)); sys.stdin.readline()", linger=3600)
    ids = program.hear()
    (lock,) = spool_directory.glob("*.lock")
    lock.unlink()

    with open_store() as while_alive:
        pass
    before = list(fault_server.stored)
    program.kill()
    with open_store() as afterwards:
        pass

    assert (while_alive.stats.recovered.delivered, before) == (0, [])
    assert afterwards.stats.recovered.delivered == 5
    assert list(fault_server.stored) == ids
    assert not list(spool_directory.iterdir())


@pytest.mark.parametrize(("same_boot", "delivered"), [(True, 0), (False, 5)])
def test_process_of_an_earlier_run_of_the_machine_is_not_taken_for_its_namesake(
    leave_behind, open_store, spool_directory, monkeypatch, tmp_path, same_boot, delivered
):
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(os, "getpid", os.getppid)  # that of a process which is alive and not this one
        leave_behind(5)
    (lock,) = spool_directory.glob("*.lock")
    lock.unlink()
    if not same_boot:
        (tmp_path / "boot_id").write_text(f"{STORE_ID}\n")
        monkeypatch.setattr("signal_gateway.audit.wal.directory._BOOT_ID", tmp_path / "boot_id")

    with open_store() as store:
        pass

    assert store.stats.recovered.delivered == delivered


@pytest.mark.parametrize(("age", "stays"), [(50, True), (70, False)])
def test_lock_file_that_was_never_locked_is_removed_after_a_minute(open_store, spool_directory, age, stays):
    spool_directory.mkdir()
    incomplete = spool_directory / f"{STORE_ID}.lock.tmp"
    incomplete.write_bytes(b"")
    then = time.time() - age
    os.utime(incomplete, (then, then))

    with open_store():
        pass

    assert [path.name for path in spool_directory.iterdir()] == ([incomplete.name] if stays else [])


def test_left_over_temporary_files_of_a_dead_store_are_removed(leave_behind, open_store, spool_directory, fault_server):
    ids = leave_behind(2)
    (segment,) = spool_directory.glob("*.segment")
    (spool_directory / segment.name.replace("-000001.segment", "-000002.tmp")).write_bytes(bytes(10_000))
    (spool_directory / f"{STORE_ID}-000001.tmp").write_bytes(b"of one that died without a lock")
    (spool_directory / f"{STORE_ID[:-1]}1.lock").write_bytes(b"")

    with open_store():
        pass

    assert list(fault_server.stored) == ids
    assert not list(spool_directory.iterdir())


@pytest.mark.usefixtures("locked")
def test_temporary_file_of_a_live_store_stays(open_store, spool_directory):
    (spool_directory / f"{STORE_ID}-000002.tmp").write_bytes(b"being made")

    with open_store():
        pass

    assert (spool_directory / f"{STORE_ID}-000002.tmp").exists()


def open_files():
    names = []
    for fd in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the one that listed them is gone
            names.append(os.readlink(f"/proc/self/fd/{fd}"))
    return names


def test_one_segment_is_mapped_at_a_time(fault_server, leave_behind, open_store, spool_directory):
    ids = [event_id for _ in range(5) for event_id in leave_behind(500, max_spool_bytes=256 * 1024)]
    segments = len(list(spool_directory.glob("*.segment")))
    mapped, opened = [], []

    def is_segment(name):  # one of this test's: another one's garbage may be in this process, too
        return str(spool_directory) in name and ".segment" in name

    def look_and_store(handler, events):
        with open("/proc/self/maps") as maps:
            mapped.append({line.split()[-1] for line in maps if is_segment(line) and not line.endswith("(deleted)\n")})
        opened.append(sum(is_segment(name) for name in open_files()))
        fault_server.store(handler, events)

    fault_server.always(look_and_store)

    store = open_store(max_batch_events=50)
    store.close(timeout=DEADLINE)

    own = store._wal._segments.store_id
    assert segments >= 10
    assert list(fault_server.stored) == ids
    assert len(mapped) > segments
    assert {len([path for path in paths if own not in path]) for paths in mapped} == {1}
    assert set(opened) == {4}  # its own and the one that it delivers from, each with the mapping's copy


def test_lock_is_given_back_when_the_directory_can_not_be_used(spool_directory, monkeypatch):
    spool_directory.mkdir()
    segments = SegmentDirectory(spool_directory, service="shop")
    monkeypatch.setattr("pathlib.Path.rename", lambda *_: (_ for _ in ()).throw(PermissionError(13, "no")))

    with pytest.raises(Exception, match="can't be used"):
        segments.open()

    assert not list(spool_directory.iterdir())
    assert StoreLock.is_free(spool_directory, segments.store_id)

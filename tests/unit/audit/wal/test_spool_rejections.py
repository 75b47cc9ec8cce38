"""Rejected events are kept before they are let go, whatever stands in the way of `rejected.jsonl`."""

import resource
import shutil
import subprocess
import threading
from contextlib import suppress

import orjson
import pytest
from tests.support.waiting import wait_until

from signal_gateway.audit.wal.rejected import FILE_NAME, FileRejections, RejectedEvent, read_rejected
from signal_gateway.errors import AuditError

DEADLINE = 60.0


@pytest.fixture
def rejected_file(spool_directory):
    return spool_directory / FILE_NAME


@pytest.fixture
def rejections(spool_directory):
    spool_directory.mkdir()
    return FileRejections(spool_directory, "a-store")


def rejected(number=0, reason="no"):
    event_id = f"event-{number}"
    return RejectedEvent(event_id, orjson.dumps({"event_id": event_id, "note": 'a,"event":{"b"'}), reason)


def record_a_bad_one(store, make_event):
    event = make_event(severity="bad")
    store.record(event)
    return event


def fill_up(path):
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def refuse_bad_ones(server):
    server.always(server.refusing(lambda event: event.get("severity") == "bad", named=True))


def test_rejected_events_come_back_as_they_were(rejections, rejected_file):
    events = [rejected(0, reason='a "reason",\n{"event":1} ,"event":'), rejected(1)]
    rejections.keep(events[:1])
    rejections.keep(events[1:])

    assert read_rejected(rejected_file) == tuple(events)
    assert rejections.events() == tuple(events)
    assert rejections.held_bytes == rejected_file.stat().st_size


def test_repeated_event_is_read_once(rejections, rejected_file):
    rejections.keep([rejected(0), rejected(1)])
    FileRejections(rejected_file.parent, "its recoverer").keep([rejected(0), rejected(2)])

    assert [event.event_id for event in read_rejected(rejected_file)] == ["event-0", "event-1", "event-2"]


def test_torn_last_line_hides_neither_what_is_before_nor_what_comes_after(rejections, rejected_file):
    rejections.keep([rejected(0), rejected(1)])
    content = rejected_file.read_bytes()
    whole = len(content)
    for length in range(content.index(b"\n") + 2, whole):
        rejected_file.write_bytes(content[:length])
        # all but the line's end may be there: then it says all
        expected = ["event-0"] if length < whole - 1 else ["event-0", "event-1"]
        assert [event.event_id for event in read_rejected(rejected_file)] == expected

        FileRejections(rejected_file.parent, "another").keep([rejected(2)])

        assert [event.event_id for event in read_rejected(rejected_file)] == [*expected, "event-2"]


def test_lines_that_are_not_ours_are_passed_over(rejections, rejected_file):
    rejected_file.write_bytes(b'\n1\n[]\nnull\n{"event_id": 1}\n\xff\xfe\n' + b"x" * 100_000 + b"\n")
    rejections.keep([rejected(0)])

    assert read_rejected(rejected_file) == (rejected(0),)


def test_there_is_nothing_to_read_where_nothing_was_rejected(spool_directory):
    assert read_rejected(spool_directory / FILE_NAME) == ()


def test_file_that_can_not_be_read_is_said_so(spool_directory):
    (spool_directory / FILE_NAME).mkdir(parents=True)

    with pytest.raises(AuditError, match="cannot read"):
        read_rejected(spool_directory / FILE_NAME)


@pytest.mark.usefixtures("storage")
def test_rejected_event_is_kept_beside_the_spool(fault_server, open_store, make_event, rejected_file):
    refuse_bad_ones(fault_server)
    store = open_store()
    event = record_a_bad_one(store, make_event)

    assert store.flush().rejected == 1
    (kept,) = read_rejected(rejected_file)
    assert (kept.event_id, kept.payload) == (event.event_id, event.to_wire())
    assert "is bad" in kept.reason
    assert store.rejected_events() == (kept,)


def test_store_reads_its_own_rejections_and_not_its_neighbours(fault_server, open_store, make_event, rejected_file):
    refuse_bad_ones(fault_server)
    stores = [open_store(), open_store(), open_store()]
    events = [record_a_bad_one(store, make_event) for store in stores[:2]]
    for store in stores:
        store.flush()

    assert [[one.event_id for one in store.rejected_events()] for store in stores] == [
        [events[0].event_id],
        [events[1].event_id],
        [],
    ]
    assert {one.event_id for one in read_rejected(rejected_file)} == {event.event_id for event in events}


def test_process_that_dies_between_the_line_and_the_cursor_rejects_the_event_once(
    fault_server, start_program, open_store, rejected_file
):
    refuse_bad_ones(fault_server)
    program = start_program("""
        from signal_gateway.audit.wal.segment import PendingRecords
        def die(*_):
            os.kill(os.getpid(), signal.SIGKILL)
        PendingRecords.settle = die
        store = open_store()
        bad = event().model_copy(update={"severity": "bad"})
        say(bad.event_id)
        store.record(bad)
        store.flush()
    """)
    event_id = program.hear()
    program.process.wait(DEADLINE)
    assert len(rejected_file.read_bytes().splitlines()) == 1

    store = open_store()
    store.close(timeout=DEADLINE)

    assert store.stats.recovered.rejected == 1
    assert len(rejected_file.read_bytes().splitlines()) == 2
    assert [one.event_id for one in read_rejected(rejected_file)] == [event_id]
    assert not list(rejected_file.parent.glob("*.segment"))


@pytest.mark.usefixtures("storage")
def test_directory_in_its_place_keeps_the_event_pending_until_it_is_gone(
    fault_server, open_store, make_event, rejected_file
):
    refuse_bad_ones(fault_server)
    rejected_file.mkdir(parents=True)
    store = open_store(max_batch_events=1)
    before, bad, behind = make_event(), make_event(severity="bad"), make_event()
    for event in (before, bad, behind):
        store.record(event)
    wait_until(lambda: FILE_NAME in (store.stats.last_error or ""))

    result = store.flush(timeout=0.2)

    assert (result.delivered, result.rejected, result.pending) == (1, 0, 2)
    assert "rejected" in result.error
    assert FILE_NAME in store.stats.last_error
    assert "directory" in store.stats.last_error
    rejected_file.rmdir()
    result = store.flush(timeout=DEADLINE)
    assert (result.delivered, result.rejected, result.pending) == (1, 1, 0)
    assert [one.event_id for one in read_rejected(rejected_file)] == [bad.event_id]
    assert list(fault_server.stored) == [before.event_id, behind.event_id]


@pytest.mark.usefixtures("fault_server")
def test_code_that_knows_the_former_name_reads_the_recovered_events(open_store, leave_behind):
    leave_behind(1)
    store = open_store()
    store.close(timeout=DEADLINE)

    assert store.stats.adopted == store.stats.recovered
    assert store.stats.adopted.delivered == 1


def test_recovered_event_that_can_not_be_kept_waits_too(fault_server, open_store, leave_behind, rejected_file):
    (event_id,) = leave_behind(1)
    fault_server.always(fault_server.problem(400, detail="no such thing"))
    rejected_file.mkdir()
    store = open_store()
    fault_server.wait_for_batch()
    fault_server.wait_for_batch()
    assert store.stats.recovered.pending == 1

    rejected_file.rmdir()
    store.close(timeout=DEADLINE)

    assert store.stats.recovered.rejected == 1
    assert [one.event_id for one in read_rejected(rejected_file)] == [event_id]


def test_file_that_may_not_grow_keeps_the_event_pending_and_has_no_half_lines(
    fault_server, open_store, make_event, rejected_file
):
    refuse_bad_ones(fault_server)
    store = open_store()
    first = record_a_bad_one(store, make_event)
    assert store.flush().rejected == 1
    content = rejected_file.read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(content) + 100, before[1]))
    try:
        second = record_a_bad_one(store, make_event)
        wait_until(lambda: "too large" in (store.stats.last_error or ""))
        result = store.flush(timeout=0.2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert (result.rejected, result.pending) == (0, 1)
    assert "too large" in result.error
    assert rejected_file.read_bytes()[: len(content)] == content
    assert store.flush(timeout=DEADLINE).rejected == 1
    assert rejected_file.read_bytes().count(b"\n") == 2
    assert [one.event_id for one in read_rejected(rejected_file)] == [first.event_id, second.event_id]


def test_full_disk_keeps_the_event_pending_until_there_is_room(fault_server, open_store, make_event, tmp_path):
    refuse_bad_ones(fault_server)
    directory = tmp_path / "small"
    directory.mkdir()
    if (
        not shutil.which("mount")
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", directory], check=False).returncode
    ):
        pytest.skip("needs the right to mount")
    try:
        store = open_store(spool_directory=directory, max_spool_bytes=64 * 1024)
        filler = directory / "filler"
        fill_up(filler)
        bad = record_a_bad_one(store, make_event)
        wait_until(lambda: "No space left" in (store.stats.last_error or ""))

        result = store.flush(timeout=0.2)

        assert (result.rejected, result.pending) == (0, 1)
        assert "No space left" in result.error
        filler.unlink()
        assert store.flush(timeout=DEADLINE).rejected == 1
        assert [one.event_id for one in store.rejected_events()] == [bad.event_id]
        store.close()
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


def test_stores_that_reject_at_once_write_whole_lines(fault_server, open_store, make_event, rejected_file):
    refuse_bad_ones(fault_server)
    stores = [open_store(max_batch_events=2) for _ in range(4)]
    ids = [record_a_bad_one(store, make_event).event_id for store in stores for _ in range(10)]
    threads = [threading.Thread(target=store.flush, args=(DEADLINE,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)

    assert sorted(one.event_id for one in read_rejected(rejected_file)) == sorted(ids)
    assert rejected_file.read_bytes().count(b"\n") == 40


def test_child_forked_while_a_line_is_written_stands_in_nobodys_way(start_program, spool_directory, rejected_file):
    spool_directory.mkdir()
    program = start_program("""
        from pathlib import Path
        from signal_gateway.audit.wal.rejected import FileRejections, RejectedEvent
        directory = Path(settings["spool_directory"])
        sync = os.fsync

        def fork_and_sync(fd):
            os.fsync = sync
            if os.fork() == 0:
                sys.stdin.readline()
                os._exit(0)
            sync(fd)

        os.fsync = fork_and_sync
        for number in range(2):
            FileRejections(directory, "one").keep([RejectedEvent(str(number), b"{}", "no")])
            say("kept")
    """)

    assert [program.hear(), program.hear()] == ["kept", "kept"]
    assert [event.event_id for event in read_rejected(rejected_file)] == ["0", "1"]

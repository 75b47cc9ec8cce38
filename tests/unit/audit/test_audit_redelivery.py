import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from signal_gateway.audit import AuditEvent, AuditStoreConfig, BufferedAuditStore, DataStorageClient
from signal_gateway.audit.redeliver import redeliver
from signal_gateway.audit.wal.inspect import inspect_spool
from signal_gateway.audit.wal.rejected import FileRejections, RejectedEvent
from signal_gateway.audit.wal.rejected_file import rejected_entries, set_rejected_aside
from signal_gateway.errors import AuditError

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def spool(tmp_path):
    directory = tmp_path / "spool"
    directory.mkdir()
    return directory


@pytest.fixture
def open_store(spool, fault_server):
    stores = []

    def open_store(url=NOBODY, service="shop"):
        config = AuditStoreConfig(spool_directory=spool, initial_backoff=0.002, max_backoff=0.01)
        stores.append(BufferedAuditStore(DataStorageClient(url), service=service, config=config))
        return stores[-1]

    yield open_store
    fault_server.release()
    for store in stores:
        store.close(timeout=0)


@pytest.fixture
def leave_behind(open_store, make_event):
    """Let a store die with so many events undelivered; its thread has ended and holds no lock any more."""

    def leave_behind(count, **fields):
        store = open_store()
        events = [make_event(number, **fields) for number in range(count)]
        for event in events:
            store.record(event)
        close_with_events_pending(store)
        return events

    return leave_behind


@pytest.fixture
def reject(spool, make_event):
    def reject(count, reason="severity is bad"):
        events = [make_event(number) for number in range(count)]
        FileRejections(spool, "a-store").keep([RejectedEvent(one.event_id, one.to_wire(), reason) for one in events])
        return events

    return reject


@pytest.fixture
def deliver(spool, fault_server):
    def deliver(timeout=60.0, **options):
        return redeliver(spool, DataStorageClient(fault_server.url), timeout=timeout, **options)

    return deliver


def close_with_events_pending(store):
    """Close a store at once, then wait for the end of its last delivery, after which its events are orphaned."""
    store.close(timeout=0)
    store.close(timeout=60)


def ids(events):
    return [event.event_id for event in events]


def contents(directory):
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_orphaned_store_is_told_with_what_it_left(spool, leave_behind):
    happened = datetime(2026, 1, 31, 12, tzinfo=UTC)
    begin = datetime.now(UTC).replace(microsecond=0)
    leave_behind(3, event_timestamp=happened)

    (store,) = inspect_spool(spool).stores

    assert (store.service, store.alive, store.pid) == ("shop", False, os.getpid())
    assert (store.segments, store.pending, store.oldest_pending) == (1, 3, happened)
    assert store.held_bytes == sum(path.stat().st_size for path in spool.glob("*.segment"))
    assert begin <= store.since <= datetime.now(UTC)


def test_looking_changes_nothing(spool, leave_behind, reject):
    leave_behind(3)
    reject(2)
    before = contents(spool)

    inspect_spool(spool)

    assert contents(spool) == before


def test_live_store_is_told_and_goes_on(spool, open_store, fault_server, make_event):
    fault_server.always(fault_server.status(503))
    store = open_store(fault_server.url)
    store.record(make_event())

    report = inspect_spool(spool)
    fault_server.always(fault_server.store)

    assert (report.stores[0].alive, report.pending(alive=True), report.pending(alive=False)) == (True, 1, 0)
    assert store.flush().ok
    assert inspect_spool(spool).pending(alive=True) == 0


def test_delivered_events_are_not_pending(spool, open_store, fault_server, make_event):
    store = open_store(fault_server.url)
    store.record(make_event(1))
    assert store.flush().ok
    fault_server.always(fault_server.status(503))
    store.record(make_event(2))
    close_with_events_pending(store)

    assert inspect_spool(spool).pending(alive=False) == 1


def test_segment_that_cannot_be_read_is_told_with_the_reason(spool, leave_behind):
    leave_behind(1)
    (path,) = spool.glob("*.segment")
    path.write_bytes(b"garbage!" * 1000)

    (store,) = inspect_spool(spool).stores

    assert store.unreadable == (f"{path.name}: it is no spool segment",)
    assert (store.pending, store.service, store.pid) == (0, None, None)


def test_rejected_events_and_damaged_files_are_counted_each_once(spool, reject):
    (spool / "corrupt").mkdir()
    (spool / "corrupt" / "some.segment").touch()
    event = reject(1)[0]
    FileRejections(spool, "b-store").keep([RejectedEvent(event.event_id, event.to_wire(), "again")])
    reject(1)

    report = inspect_spool(spool)

    assert report.rejected == 2
    assert [path.name for path in report.damaged] == ["some.segment"]
    assert not report.is_empty


def test_directory_without_any_of_it_is_empty(spool):
    (spool / "notes.txt").touch()

    assert inspect_spool(spool).is_empty


def test_place_that_is_no_directory_is_an_error(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(AuditError, match=r"there is no spool directory '.*nowhere'"):
        inspect_spool(tmp_path / "nowhere")
    with pytest.raises(AuditError, match=r"cannot read the spool directory '.*file': Not a directory"):
        inspect_spool(tmp_path / "file")


def test_events_of_orphaned_stores_are_delivered_once(spool, fault_server, leave_behind, deliver):
    events = leave_behind(3) + leave_behind(2)

    done = deliver()

    assert (done.ok, done.delivered, done.rejected, done.left) == (True, 5, 0, 0)
    assert fault_server.received == dict.fromkeys(ids(events), 1)
    assert inspect_spool(spool).is_empty


def test_events_of_live_stores_are_left_to_them(fault_server, open_store, make_event, leave_behind, deliver):
    live = open_store()
    live.record(make_event())
    left_behind = leave_behind(2)

    done = deliver()

    assert (done.ok, done.delivered, done.left_to_live_stores) == (True, 2, 1)
    assert set(fault_server.stored) == set(ids(left_behind))


def test_nothing_is_made_where_there_is_nothing_to_deliver(spool, deliver):
    assert deliver().ok
    assert list(spool.iterdir()) == []


def test_what_can_not_be_delivered_in_time_is_left_and_told(spool, fault_server, leave_behind, deliver):
    leave_behind(3)
    fault_server.always(fault_server.status(503))

    done = deliver(timeout=0.1)

    assert (done.ok, done.delivered, done.left) == (False, 0, 3)
    assert "503" in done.error
    assert inspect_spool(spool).pending(alive=False) == 3


def test_delivery_that_hangs_is_waited_for_and_its_events_are_left(fault_server, leave_behind, spool):
    leave_behind(3)
    fault_server.always(fault_server.hang)

    done = redeliver(spool, DataStorageClient(fault_server.url, timeout=0.5), timeout=0.1)

    assert (done.ok, done.left, done.left_to_live_stores) == (False, 3, 0)


def test_event_that_is_refused_is_told(fault_server, leave_behind, deliver, spool):
    events = leave_behind(3)
    fault_server.always(fault_server.refusing(lambda event: event["event_data"]["number"] == 1, named=True))

    done = deliver()

    assert (done.ok, done.delivered, done.rejected, done.left) == (False, 2, 1, 0)
    assert [entry.event_id for entry in rejected_entries(spool)] == [events[1].event_id]


def test_damage_is_told(spool, leave_behind, deliver):
    leave_behind(1)
    (path,) = spool.glob("*.segment")
    path.write_bytes(b"garbage!" * 1000)

    done = deliver()

    assert (done.ok, done.damaged) == (False, 1)
    assert deliver().ok


def test_rejected_events_are_sent_again_as_they_were(spool, fault_server, reject, deliver):
    events = reject(3)

    done = deliver(retry_rejected=True)

    assert (done.ok, done.delivered) == (True, 3)
    assert fault_server.bodies == [b"[" + b",".join(event.to_wire() for event in events) + b"]"]
    assert inspect_spool(spool).is_empty


def test_rejected_events_are_left_alone_unless_asked_for(spool, reject, leave_behind, deliver):
    reject(3)
    leave_behind(1)

    assert deliver().delivered == 1
    assert inspect_spool(spool).rejected == 3


def test_event_that_is_refused_again_is_rejected_again(spool, fault_server, reject, deliver):
    events = reject(3, reason="the first reason")
    fault_server.always(fault_server.refusing(lambda event: event["event_data"]["number"] == 1, named=True))

    done = deliver(retry_rejected=True)

    assert (done.ok, done.delivered, done.rejected) == (False, 2, 1)
    (entry,) = rejected_entries(spool)
    assert entry.event_id == events[1].event_id
    assert "the first reason" not in entry.reason
    assert list(spool.glob("*.retry")) == []


def test_retried_events_that_can_not_be_delivered_are_pending(spool, fault_server, reject, deliver):
    reject(3)
    fault_server.always(fault_server.status(503))

    done = deliver(timeout=0.1, retry_rejected=True)

    assert (done.ok, done.left, done.rejected) == (False, 3, 0)
    assert (inspect_spool(spool).pending(alive=False), inspect_spool(spool).rejected) == (3, 0)


def test_event_that_this_version_can_not_make_stays_rejected(spool, deliver, make_event):
    document = json.loads(make_event().to_wire()) | {"mood": "good"}
    payload = json.dumps(document).encode()
    FileRejections(spool, "a-store").keep([RejectedEvent(document["event_id"], payload, "no such member")])

    done = deliver(retry_rejected=True)

    assert (done.ok, done.rejected) == (False, 1)
    (entry,) = rejected_entries(spool)
    assert entry.event == document
    assert "mood: Extra inputs are not permitted" in entry.reason


def test_line_that_can_not_be_read_is_set_aside_and_the_others_go_through(spool, reject, deliver):
    reject(1)
    with (spool / "rejected.jsonl").open("ab") as file:
        file.write(b'{"event_id": "cut o\n')
    reject(1)

    done = deliver(retry_rejected=True)

    assert (done.ok, done.delivered, done.damaged) == (False, 2, 1)
    (kept,) = (spool / "corrupt").iterdir()
    assert b'"cut o\n' in kept.read_bytes()
    assert deliver(retry_rejected=True).ok


def test_rejections_that_come_meanwhile_are_kept(spool, make_event):
    events = [make_event(number) for number in range(200)]
    rejections = FileRejections(spool, "a-store")

    def keep_them():
        for event in events:
            rejections.keep([RejectedEvent(event.event_id, event.to_wire(), "bad")])

    appender = threading.Thread(target=keep_them)
    appender.start()
    while appender.is_alive():
        set_rejected_aside(spool)
    appender.join()

    assert sorted(entry.event_id for entry in rejected_entries(spool)) == sorted(ids(events))


def test_nobody_can_append_while_the_file_is_copied_nor_retry_half_a_copy(spool, reject, monkeypatch):
    reject(1)
    copy = shutil.copyfileobj

    def copy_and_look(source, target):
        copy(source, target)
        with (spool / "rejected.jsonl").open("ab") as appender, pytest.raises(BlockingIOError):
            fcntl.flock(appender, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert list(spool.glob("*.retry")) == []

    monkeypatch.setattr(shutil, "copyfileobj", copy_and_look)

    assert len(set_rejected_aside(spool)) == 1


RETRIES = """
import os, signal, sys
from pathlib import Path
from signal_gateway.audit import DataStorageClient
from signal_gateway.audit.redeliver import redeliver

def retry(directory, url, steps):
    def die_at_the_last_step(name, arguments):
        nonlocal steps
        if name in ("mmap.__new__", "fcntl.flock") or any(str(one).startswith(directory) for one in arguments):
            steps -= 1
            if steps < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(die_at_the_last_step)
    redeliver(Path(directory), DataStorageClient(url), timeout=60.0, retry_rejected=True)

for line in sys.stdin:
    directory, url, steps = line.split()
    child = os.fork()
    if not child:
        retry(directory, url, int(steps))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture
def retry_in_a_process(fault_server):
    """Retry in a process that dies by SIGKILL after so many calls about files; give its exit code."""
    command = [sys.executable, "-c", RETRIES]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def retry(spool, steps):
            process.stdin.write(f"{spool} {fault_server.url} {steps}\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield retry


@pytest.mark.slow
def test_retry_that_is_killed_at_any_step_loses_nothing(tmp_path, fault_server, make_event, retry_in_a_process):
    fault_server.always(fault_server.refusing(lambda event: event["event_data"]["number"] == 3, named=True))
    steps, exit_code = 0, -signal.SIGKILL
    while exit_code == -signal.SIGKILL:
        spool = tmp_path / f"spool-{steps}"
        spool.mkdir()
        events = [make_event(number) for number in range(4)]
        FileRejections(spool, "a-store").keep([RejectedEvent(one.event_id, one.to_wire(), "bad") for one in events])

        exit_code = retry_in_a_process(spool, steps)
        redeliver(spool, DataStorageClient(fault_server.url), timeout=60.0, retry_rejected=True)

        assert [entry.event_id for entry in rejected_entries(spool)] == [events[3].event_id]
        assert set(ids(events[:3])) <= fault_server.stored.keys()
        assert {path.suffix for path in spool.iterdir() if path.stat().st_size} == {".jsonl"}
        steps += 1

    assert exit_code == 0
    assert steps > 30


def test_entry_reads_what_a_store_wrote(spool, fault_server, open_store, make_event):
    fault_server.always(fault_server.refusing(lambda _: True, named=True))
    store = open_store(fault_server.url)
    store.record(event := make_event(7))
    store.flush()
    (known,) = store.rejected_events()

    (entry,) = rejected_entries(spool)

    assert (entry.event_id, entry.reason) == (known.event_id, known.reason)
    assert AuditEvent.model_validate(entry.event) == event
    assert datetime.fromisoformat(entry.rejected_at).tzinfo is not None


def test_file_that_can_not_be_read_is_an_error(spool):
    (spool / "rejected.jsonl").mkdir()

    with pytest.raises(AuditError, match=r"cannot read .*rejected.jsonl: Is a directory"):
        list(rejected_entries(spool))
    with pytest.raises(AuditError, match=r"cannot set the rejected events in .* aside: Is a directory"):
        set_rejected_aside(Path(spool))

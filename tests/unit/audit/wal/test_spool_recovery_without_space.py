"""A disk without a free byte, without a free inode, or read-only: the events on it are delivered all the same."""

import json
import subprocess
import sys

import pytest
from tests.support.small_disk import fill_up, run
from tests.support.waiting import wait_until

from signal_gateway.audit import AuditStoreFull
from signal_gateway.audit.client.client import DataStorageClient
from signal_gateway.audit.redeliver import redeliver
from signal_gateway.audit.wal.buffer import HEADER_BYTES
from signal_gateway.audit.wal.inspect import inspect_spool

pytestmark = pytest.mark.slow

DEADLINE = 30.0
MIB = 1024 * 1024


@pytest.fixture
def filled(mount, start_program, fault_server, tmp_path):
    """A spool directory on a disk that a killed process filled, and the ids of its events."""

    def fill(options=""):
        spool = mount("tmpfs", 8 * MIB, options) / "spool"
        fault_server.always(fault_server.status(503))
        program = start_program(
            """
            store, ids = open_store(), []
            try:
                while True:
                    ids += record(1)
            except AuditStoreFull:
                pass
            with open(IDS, "w") as file:
                json.dump(ids, file)
            say("full")
            sys.stdin.readline()
            """.replace("IDS", repr(str(tmp_path / "ids"))),
            spool_directory=str(spool),
        )
        assert program.hear() == "full"
        program.kill()
        fault_server.always(fault_server.store)
        fill_up(spool.parent)
        return spool, json.loads((tmp_path / "ids").read_text())

    return fill


@pytest.fixture
def without_inodes(mount, leave_behind):
    """A spool directory with the events of a dead store on a disk without a free inode."""
    spool = mount("tmpfs", 8 * MIB, ",nr_inodes=16") / "spool"
    ids = leave_behind(300, directory=spool)
    try:
        for number in range(100):
            (spool.parent / f"file-{number}").touch()
    except OSError:
        return spool, ids
    pytest.skip("this kernel does not limit the inodes of a tmpfs")


def test_store_opens_on_the_disk_that_its_predecessor_filled_and_delivers(filled, open_store, make_event, fault_server):
    spool, ids = filled()
    fault_server.always(fault_server.status(503))
    store = open_store(spool_directory=spool)

    assert not store.accepting
    assert store.free_bytes == 0
    with pytest.raises(AuditStoreFull, match="No space left"):
        store.record(make_event())
    fault_server.always(fault_server.store)
    assert store.close(timeout=DEADLINE).ok

    assert len(ids) > 5000
    assert list(fault_server.stored) == ids
    assert store.stats.recovered.pending == 0
    assert not list(spool.iterdir())


def test_store_on_a_full_disk_takes_events_once_the_old_ones_are_delivered(
    filled, open_store, make_event, fault_server
):
    spool, ids = filled()
    (spool.parent / "filler").unlink(missing_ok=True)
    store = open_store(spool_directory=spool)

    wait_until(lambda: store.stats.recovered.delivered == len(ids) and store.accepting)
    event = make_event()
    store.record(event)

    assert store.close(timeout=DEADLINE).ok
    assert list(fault_server.stored) == [*ids, event.event_id]


def test_command_delivers_from_a_full_disk(filled, fault_server):
    spool, ids = filled()

    done = redeliver(spool, DataStorageClient(fault_server.url), timeout=DEADLINE)

    assert (done.delivered, done.left, done.ok) == (len(ids), 0, True)
    assert list(fault_server.stored) == ids


def test_store_opens_without_a_free_inode_and_delivers(without_inodes, open_store, make_event, fault_server):
    spool, ids = without_inodes
    fault_server.always(fault_server.status(503))
    store = open_store(spool_directory=spool)

    assert not store.accepting
    with pytest.raises(AuditStoreFull, match="No space left"):
        store.record(make_event())
    fault_server.always(fault_server.store)

    assert store.close(timeout=DEADLINE).ok
    assert list(fault_server.stored) == ids
    assert not list(spool.glob("*.segment"))


def test_rejected_event_on_a_full_disk_holds_up_no_other_and_is_kept(filled, fault_server):
    spool, ids = filled()
    bad = {ids[0], ids[1000]}
    fault_server.always(fault_server.refusing(lambda event: event["event_id"] in bad, named=True))

    done = redeliver(spool, DataStorageClient(fault_server.url), timeout=DEADLINE)

    assert list(fault_server.stored) == [event_id for event_id in ids if event_id not in bad]
    kept = b"".join(path.read_bytes() for path in spool.rglob("*") if path.is_file())
    assert all(event_id.encode() in kept for event_id in bad)
    assert not done.ok
    (spool.parent / "filler").unlink(missing_ok=True)
    again = redeliver(spool, DataStorageClient(fault_server.url), timeout=DEADLINE)
    assert again.left == 0
    assert inspect_spool(spool).rejected == 2
    assert not list(spool.glob("*.segment"))


def test_damage_on_a_full_disk_holds_up_no_other_event_and_stays(filled, fault_server):
    spool, ids = filled()
    first = min(spool.glob("*.segment"))
    with first.open("r+b") as file:
        file.seek(HEADER_BYTES + 100)
        file.write(b"\xff")

    done = redeliver(spool, DataStorageClient(fault_server.url), timeout=DEADLINE)

    assert list(fault_server.stored) == ids[1:]
    assert not done.ok
    assert first.exists() or done.damaged == 1


@pytest.mark.parametrize("by", ["store", "command"])
def test_events_on_a_read_only_disk_are_delivered(mount, leave_behind, open_store, make_event, fault_server, by):
    spool = mount("tmpfs", 8 * MIB) / "spool"
    ids = leave_behind(300, directory=spool)
    before = {path.name: path.read_bytes() for path in spool.iterdir()}
    assert run("mount", "-o", "remount,ro", spool.parent)

    if by == "command":
        done = redeliver(spool, DataStorageClient(fault_server.url), timeout=DEADLINE)
        assert (done.delivered, done.left, done.repeatable) == (300, 0, 300)
    else:
        store = open_store(spool_directory=spool)
        assert not store.accepting
        with pytest.raises(AuditStoreFull, match="Read-only"):
            store.record(make_event())
        store.close(timeout=DEADLINE)
        assert store.stats.recovered.delivered == store.stats.recovered.repeatable == 300
        assert store.stats.recovered.pending == 0

    assert list(fault_server.stored) == ids
    assert set(fault_server.received.values()) == {1}
    assert {path.name: path.read_bytes() for path in spool.iterdir()} == before


def test_events_that_stayed_on_a_read_only_disk_are_stored_once_when_it_is_writable(mount, leave_behind, fault_server):
    spool = mount("tmpfs", 8 * MIB) / "spool"
    ids = leave_behind(300, directory=spool)
    assert run("mount", "-o", "remount,ro", spool.parent)
    redeliver(spool, DataStorageClient(fault_server.url), timeout=DEADLINE)
    assert run("mount", "-o", "remount,rw", spool.parent)

    done = redeliver(spool, DataStorageClient(fault_server.url), timeout=DEADLINE)

    assert (done.delivered, done.left, done.ok) == (300, 0, True)
    assert list(fault_server.stored) == ids
    assert not list(spool.iterdir())


def test_command_line_empties_a_full_disk(filled, fault_server):
    spool, ids = filled()

    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "signal_gateway",
            "audit",
            "spool",
            "deliver",
            str(spool),
            "--datastorage",
            fault_server.url,
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert f"{len(ids)} events delivered" in done.stdout

"""Files that older releases set aside: their intact events come back, what is damaged stays."""

import shutil
import subprocess
import sys

import pytest

from signal_gateway.audit.client.client import DataStorageClient
from signal_gateway.audit.redeliver import redeliver
from signal_gateway.audit.wal.buffer import HEADER_BYTES
from signal_gateway.audit.wal.directory import open_buffer
from signal_gateway.audit.wal.inspect import inspect_spool
from signal_gateway.audit.wal.repair import SpoolRepair, repair_spool
from signal_gateway.audit.wal.segment import FRAME_BYTES, Segment

EVENTS = 20


@pytest.fixture
def set_aside(spool_directory, leave_behind):
    """What an older release set aside: a segment from its damaged third event on, and the ids behind that event."""
    ids = leave_behind(EVENTS)
    (path,) = spool_directory.glob("*.segment")
    buffer = open_buffer(path)
    begin, end = list(Segment.open(buffer).frames(HEADER_BYTES))[2]
    buffer.close()
    content = bytearray(path.read_bytes())
    content[begin + 30] ^= 1
    shutil.rmtree(spool_directory)
    aside = spool_directory / "corrupt" / f"{path.name}-{begin - FRAME_BYTES}"
    aside.parent.mkdir(parents=True)
    aside.write_bytes(content[begin - FRAME_BYTES :])
    return aside, ids[3:], bytes(content[begin - FRAME_BYTES : end])


def deliver(directory, fault_server):
    return redeliver(directory, DataStorageClient(fault_server.url), timeout=10)


def test_repair_makes_the_intact_events_pending_and_keeps_the_damaged_bytes(set_aside, spool_directory, fault_server):
    aside, ids, damage = set_aside

    repaired = repair_spool(spool_directory)

    assert repaired == SpoolRepair(events=len(ids), files=1, left=1)
    assert aside.read_bytes() == damage.rstrip(b"\0")
    assert inspect_spool(spool_directory).pending(alive=False) == len(ids)
    assert deliver(spool_directory, fault_server).delivered == len(ids)
    assert list(fault_server.stored) == ids


@pytest.mark.usefixtures("set_aside")
def test_second_repair_finds_nothing(spool_directory):
    repair_spool(spool_directory)

    assert repair_spool(spool_directory) == SpoolRepair(events=0, files=0, left=1)


def test_repair_that_was_killed_before_the_damaged_file_shrank_stores_each_event_once(
    set_aside, spool_directory, fault_server
):
    aside, ids, _ = set_aside
    before = aside.read_bytes()
    repair_spool(spool_directory)
    aside.write_bytes(before)

    assert repair_spool(spool_directory).events == len(ids)
    deliver(spool_directory, fault_server)

    assert set(fault_server.received.values()) == {2}
    assert list(fault_server.stored) == ids


def test_file_with_a_damaged_header_gives_all_its_events(spool_directory, leave_behind, fault_server):
    ids = leave_behind(EVENTS)
    (path,) = spool_directory.glob("*.segment")
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    path.write_bytes(content)
    (spool_directory / "corrupt").mkdir()
    path.rename(spool_directory / "corrupt" / path.name)

    assert repair_spool(spool_directory).events == EVENTS
    deliver(spool_directory, fault_server)

    assert list(fault_server.stored) == ids


@pytest.mark.parametrize("content", [b"", b"\0" * 100_000, b"{" * 100_000, b"not ours" * 1000])
def test_file_without_an_intact_event_stays_as_it_is(spool_directory, content):
    aside = spool_directory / "corrupt" / "01932c3e-8a00-7000-8000-000000000000-000001.segment"
    aside.parent.mkdir(parents=True)
    aside.write_bytes(content)

    assert repair_spool(spool_directory) == SpoolRepair(events=0, files=0, left=1)
    assert aside.read_bytes() == content


@pytest.mark.slow
def test_command_repairs_and_delivers(set_aside, spool_directory, fault_server):
    _, ids, _ = set_aside
    command = [sys.executable, "-m", "signal_gateway", "audit", "spool"]
    deliver = ["deliver", str(spool_directory), "--datastorage", fault_server.url]

    done = subprocess.run([*command, "repair", str(spool_directory)], capture_output=True, text=True, check=False)
    delivered = subprocess.run([*command, *deliver], capture_output=True, text=True, check=False)

    assert delivered.returncode == 0, delivered.stderr
    assert done.returncode == 0, done.stderr
    assert f"{len(ids)} events of 1 damaged file pending again, 1 damaged file left" in done.stdout
    assert list(fault_server.stored) == ids

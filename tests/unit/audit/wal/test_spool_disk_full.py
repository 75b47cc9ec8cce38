"""A disk that fills up, a directory that can't be written: an error that says so, no signal and no lost event."""

import os
import tempfile

import pytest
from tests.support.small_disk import fill_up, record_until_full, run
from tests.support.waiting import wait_until

from signal_gateway.errors import ConfigurationError

pytestmark = pytest.mark.slow

DEADLINE = 60.0
MIB = 1024 * 1024
FILE_SYSTEMS = ["tmpfs", "ext4"]


def test_room_is_no_more_than_the_disk_has(mount, open_store):
    directory = mount("tmpfs", 8 * MIB)
    store = open_store(spool_directory=directory / "spool")
    before = store.free_bytes

    fill_up(directory)

    assert MIB < before < 8 * MIB
    assert store.free_bytes <= MIB  # what is left of the first segment


@pytest.mark.parametrize("kind", FILE_SYSTEMS)
@pytest.mark.usefixtures("storage")
def test_disk_that_fills_up_refuses_events_and_loses_none(mount, fault_server, open_store, make_event, kind):
    directory = mount(kind, 8 * MIB)
    fault_server.always(fault_server.status(503))
    store = open_store(spool_directory=directory / "spool")
    ids, error = record_until_full(store, make_event)

    again, _ = record_until_full(store, make_event)

    assert len(ids) > 5000
    assert "No space left" in str(error)
    assert str(directory) in str(error)
    assert not store.accepting
    assert store.stats.recorded == store.stats.pending == len(ids) + len(again)
    fault_server.always(fault_server.store)
    assert store.flush(timeout=DEADLINE).ok
    assert list(fault_server.stored) == ids + again
    assert store.close().ok


def test_room_that_is_made_is_used(mount, fault_server, open_store, make_event):
    directory = mount("tmpfs", 8 * MIB)
    fault_server.always(fault_server.status(503))
    store = open_store(spool_directory=directory / "spool")
    fill_up(directory)
    ids, _ = record_until_full(store, make_event)
    assert not store.accepting

    (directory / "filler").unlink()
    event = make_event()
    store.record(event)

    assert store.accepting
    fault_server.always(fault_server.store)
    assert store.close(timeout=DEADLINE).ok
    assert list(fault_server.stored) == [*ids, event.event_id]


@pytest.mark.parametrize("kind", FILE_SYSTEMS)
def test_process_on_a_disk_that_fills_up_is_not_killed(mount, fault_server, start_program, kind):
    directory = mount(kind, 6 * MIB)
    fault_server.always(fault_server.status(503))
    program = start_program(
        """
        store = open_store()
        count = 0
        with open(settings["spool_directory"] + "/../filler", "wb", buffering=0) as filler:
            try:
                while True:
                    count += len(record(50))
                    try:
                        filler.write(bytes(65536))
                    except OSError:
                        pass
            except AuditStoreFull:
                pass
        say(store.stats.recorded >= count > 0)
        store.close(timeout=0.1)
        """,
        spool_directory=str(directory / "spool"),
    )

    assert program.end() == [True]


def test_events_of_orphaned_stores_are_delivered_from_a_full_disk(mount, fault_server, open_store, leave_behind):
    directory = mount("ext4", 6 * MIB)
    ids = leave_behind(50, directory=directory / "spool")
    store = open_store(spool_directory=directory / "spool", linger=3600)
    fill_up(directory)

    assert store.close(timeout=DEADLINE).ok
    assert list(fault_server.stored) == ids


def test_accepting_comes_back_by_itself_when_the_disk_may_be_asked_again(mount, fault_server, open_store, make_event):
    directory = mount("tmpfs", 4 * MIB)
    fault_server.always(fault_server.status(503))
    store = open_store(spool_directory=directory / "spool")
    fill_up(directory)
    record_until_full(store, make_event)
    assert not store.accepting

    (directory / "filler").unlink()

    wait_until(lambda: store.accepting)


OTHER_USER = """
os.setgid(65534)
os.setuid(65534)
from signal_gateway.errors import ConfigurationError
try:
    store = open_store()
except ConfigurationError as exc:
    say(str(exc))
    store = None
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_directory_of_somebody_else_is_an_error_that_says_so(start_program):
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)  # below pytest's own, nobody else would even find it

        (said,) = start_program(OTHER_USER, spool_directory=directory).end()

    assert directory in said
    assert "Permission denied" in said
    assert "this user may write to" in said


def test_full_disk_at_construction_is_an_error_that_names_the_directory(mount, open_store):
    directory = mount("tmpfs", MIB)
    spool = directory / "spool"
    spool.mkdir()
    fill_up(directory)

    error = None
    try:
        open_store(spool_directory=spool)
    except ConfigurationError as exc:
        error = str(exc)

    assert error is not None
    assert str(spool) in error
    assert "No space left" in error
    assert not list(spool.iterdir())


def test_read_only_file_system_is_an_error_that_says_so(mount, open_store):
    directory = mount("tmpfs", MIB)
    assert run("mount", "-o", "remount,ro", directory)
    error = None

    try:
        open_store(spool_directory=directory)
    except ConfigurationError as exc:
        error = str(exc)

    assert "Read-only file system" in (error or "")


@pytest.mark.parametrize("parents", [0, 1])
def test_file_in_place_of_the_directory_is_an_error_that_says_so(open_store, tmp_path, parents):
    (tmp_path / "file").write_text("mine")
    error = None

    try:
        open_store(spool_directory=(tmp_path / "file").joinpath(*["more"] * parents))
    except ConfigurationError as exc:
        error = str(exc)

    assert str(tmp_path / "file") in (error or "")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.usefixtures("storage")
def test_small_disk_takes_events_again_once_all_are_delivered(mount, fault_server, open_store, make_event):
    directory = mount("tmpfs", 8 * MIB)
    fault_server.always(fault_server.status(503))
    store = open_store(spool_directory=directory / "spool")
    ids, _ = record_until_full(store, make_event)
    fault_server.always(fault_server.store)
    assert store.flush(timeout=DEADLINE).ok

    event = make_event()
    store.record(event)

    assert store.flush(timeout=DEADLINE).ok
    assert list(fault_server.stored) == [*ids, event.event_id]
    store.close()

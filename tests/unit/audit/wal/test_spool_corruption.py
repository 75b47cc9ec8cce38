"""Files that are damaged, cut off or not ours: what can be read is delivered, the rest is set aside and counted."""

import logging
import os
import shutil

import pytest

from signal_gateway.audit.wal.buffer import HEADER_BYTES
from signal_gateway.audit.wal.directory import open_buffer
from signal_gateway.audit.wal.segment import FRAME_BYTES, Segment

EVENTS = 5


@pytest.fixture
def orphaned_segment(spool_directory, leave_behind):
    """A dead store's one segment, the ids of its events, and where each payload is."""
    ids = leave_behind(EVENTS, max_spool_bytes=64 * 1024)
    (path,) = spool_directory.glob("*.segment")
    return path, ids, frames_in(path)


@pytest.fixture
def recover(open_store, caplog):
    """Open a store that finds what is in the directory, and say what it made of that."""
    caplog.set_level(logging.WARNING, logger="signal_gateway.audit")

    def recover():
        store = open_store()
        assert store.close(timeout=60).ok
        return store.stats.recovered

    return recover


@pytest.fixture
def new_directory(spool_directory):
    """Put the same files there anew, again and again."""
    kept = spool_directory.with_name("kept")
    shutil.copytree(spool_directory, kept)

    def renew():
        shutil.rmtree(spool_directory)
        shutil.copytree(kept, spool_directory)

    return renew


def frames_in(path):
    buffer = open_buffer(path)
    places = list(Segment.open(buffer).frames(HEADER_BYTES))
    buffer.close()
    return places


def flip(path, offset):
    with path.open("r+b") as file:
        file.seek(offset)
        (byte,) = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ 0xFF]))


def levels(caplog):
    return [record.levelno for record in caplog.records]


def test_each_byte_of_the_last_frame_may_be_wrong(
    orphaned_segment, new_directory, recover, fault_server, spool_directory, caplog
):
    path, ids, places = orphaned_segment
    begin, end = places[-1]
    for offset in range(begin - FRAME_BYTES, end, 3 if end - begin > 500 else 1):
        fault_server.stored.clear()
        caplog.clear()
        flip(path, offset)

        counts = recover()

        assert list(fault_server.stored)[: EVENTS - 1] == ids[:-1], offset
        if counts.torn + counts.corrupt:
            assert (len(fault_server.stored), counts.delivered, counts.torn + counts.corrupt) == (
                EVENTS - 1,
                EVENTS - 1,
                1,
            )
            assert len(caplog.records) == 1
        else:
            assert begin - FRAME_BYTES + 8 <= offset < begin  # the time of the recording, which no delivery uses
            assert (list(fault_server.stored), counts.delivered) == (ids, EVENTS)
        assert counts.pending == 0
        assert not list(spool_directory.glob("*.segment"))
        new_directory()


@pytest.mark.usefixtures("storage")
def test_last_frame_that_was_not_written_out_is_torn(orphaned_segment, recover, fault_server, caplog):
    path, ids, places = orphaned_segment
    begin, end = places[-1]
    with path.open("r+b") as file:
        file.seek(begin + 20)
        file.write(bytes(end - begin - 20))

    counts = recover()

    assert (counts.delivered, counts.torn, counts.corrupt) == (EVENTS - 1, 1, 0)
    assert list(fault_server.stored) == ids[:-1]
    assert levels(caplog) == [logging.WARNING]
    assert path.name in caplog.text


@pytest.mark.parametrize("damaged", range(EVENTS - 1))
@pytest.mark.parametrize("part", ["length", "checksum", "payload"])
@pytest.mark.usefixtures("storage")
def test_damage_in_the_middle_costs_one_event_and_is_set_aside(
    orphaned_segment, leave_behind, recover, fault_server, spool_directory, caplog, damaged, part
):
    path, ids, places = orphaned_segment
    begin, end = places[damaged]
    flip(path, begin - FRAME_BYTES + {"length": 0, "checksum": 4, "payload": FRAME_BYTES + 50}[part])
    damage = path.read_bytes()[begin - FRAME_BYTES : end]
    of_a_younger_store = leave_behind(2)

    counts = recover()

    assert (counts.delivered, counts.torn, counts.corrupt, counts.pending) == (EVENTS + 1, 0, 1, 0)
    assert list(fault_server.stored) == ids[:damaged] + ids[damaged + 1 :] + of_a_younger_store
    (aside,) = (spool_directory / "corrupt").iterdir()
    assert aside.read_bytes() == damage
    assert levels(caplog) == [logging.ERROR]
    assert str(aside) in caplog.text
    assert not list(spool_directory.glob("*.segment"))


@pytest.mark.usefixtures("storage")
def test_other_segments_of_a_damaged_store_are_delivered(leave_behind, recover, fault_server, spool_directory):
    ids = leave_behind(700, max_spool_bytes=256 * 1024)
    first, damaged, *later = sorted(spool_directory.glob("*.segment"))
    whole = len(frames_in(first))
    flip(damaged, HEADER_BYTES)

    counts = recover()

    assert later
    assert counts.corrupt == 1
    assert counts.delivered == 699
    assert list(fault_server.stored) == ids[:whole] + ids[whole + 1 :]


@pytest.mark.usefixtures("storage")
def test_damaged_last_frame_of_a_segment_that_was_full_is_set_aside(
    leave_behind, recover, fault_server, spool_directory
):
    ids = leave_behind(700, max_spool_bytes=256 * 1024)
    full, *later = sorted(spool_directory.glob("*.segment"))
    places = frames_in(full)
    begin, end = places[-1]
    flip(full, end - 1)
    remainder = full.read_bytes()[begin - FRAME_BYTES :]

    counts = recover()

    assert later
    assert (counts.delivered, counts.torn, counts.corrupt) == (699, 0, 1)
    assert list(fault_server.stored) == ids[: len(places) - 1] + ids[len(places) :]
    (aside,) = (spool_directory / "corrupt").iterdir()
    assert aside.read_bytes() == remainder


@pytest.mark.parametrize(("of", "torn", "corrupt"), [(EVENTS - 1, 1, 0), (EVENTS - 2, 0, 1), (0, 0, 1)])
@pytest.mark.usefixtures("storage")
def test_frame_whose_length_was_not_written_is_torn_unless_an_event_follows(
    orphaned_segment, recover, fault_server, spool_directory, of, torn, corrupt
):
    path, ids, places = orphaned_segment
    begin, _ = places[of]
    with path.open("r+b") as file:
        file.seek(begin - FRAME_BYTES)
        file.write(bytes(4))

    counts = recover()

    assert (counts.delivered, counts.torn, counts.corrupt) == (EVENTS - 1, torn, corrupt)
    assert list(fault_server.stored) == ids[:of] + ids[of + 1 :]
    assert (spool_directory / "corrupt").exists() == bool(corrupt)


@pytest.mark.usefixtures("storage")
def test_each_intact_event_is_delivered_whatever_is_damaged_between_them(
    orphaned_segment, new_directory, recover, fault_server
):
    path, ids, places = orphaned_segment
    first, last = places[1][0] - FRAME_BYTES, places[-2][1]
    for begin, end, content in [
        (first, last, b"\0"),
        (first, last, b"\xff"),
        (first, last, b"{"),
        (first, last, places[0][1].to_bytes(4, "little")),
        (first + 7, places[2][0] + 30, b"\0"),
    ]:
        fault_server.stored.clear()
        with path.open("r+b") as file:
            file.seek(begin)
            file.write((content * (end - begin))[: end - begin])
        intact = [one for one, (at, to) in zip(ids, places, strict=True) if to <= begin or at - FRAME_BYTES >= end]

        counts = recover()

        assert list(fault_server.stored) == intact
        assert (counts.delivered, counts.torn, counts.corrupt, counts.pending) == (len(intact), 0, 1, 0)
        new_directory()


def test_several_damaged_places_cost_one_event_each(orphaned_segment, recover, fault_server, spool_directory):
    path, ids, places = orphaned_segment
    for number in (0, 2, EVENTS - 1):
        flip(path, places[number][0] + 20)

    counts = recover()

    assert list(fault_server.stored) == [ids[1], ids[3]]
    assert (counts.delivered, counts.torn, counts.corrupt, counts.pending) == (2, 0, 3, 0)
    assert len(list((spool_directory / "corrupt").iterdir())) == 3


def test_damaged_last_event_that_was_recorded_whole_is_set_aside_and_not_dropped(
    orphaned_segment, recover, fault_server, spool_directory
):
    path, ids, places = orphaned_segment
    flip(path, places[-1][0] + 20)

    counts = recover()

    assert list(fault_server.stored) == ids[:-1]
    assert (counts.torn, counts.corrupt) == (0, 1)
    assert list((spool_directory / "corrupt").iterdir())


@pytest.mark.parametrize("slot", [1024, 1536])
@pytest.mark.usefixtures("storage")
def test_one_damaged_cursor_of_a_store_that_delivered_nothing_costs_nothing(
    orphaned_segment, recover, fault_server, slot
):
    path, ids, _ = orphaned_segment
    flip(path, slot + 8)

    counts = recover()

    assert (counts.delivered, counts.corrupt) == (EVENTS, 0)
    assert list(fault_server.stored) == ids


@pytest.mark.parametrize("places", [[3], [20], [1024, 1536], [20, 1030, 1540]])
@pytest.mark.usefixtures("storage")
def test_damaged_header_costs_no_event(orphaned_segment, leave_behind, recover, fault_server, caplog, places):
    path, ids, _ = orphaned_segment
    for place in places:
        flip(path, place)
    others = leave_behind(3)

    counts = recover()

    assert (counts.delivered, counts.corrupt, counts.pending) == (EVENTS + 3, 0, 0)
    assert list(fault_server.stored) == ids + others
    assert levels(caplog) == [logging.ERROR]
    assert not path.exists()


@pytest.mark.usefixtures("storage")
def test_file_may_be_cut_off_anywhere(orphaned_segment, new_directory, recover, fault_server):
    path, ids, places = orphaned_segment
    boundaries = [HEADER_BYTES, *(end for _, end in places)]
    lengths = sorted({length for at in boundaries for length in (at - 1, at, at + 1, at + FRAME_BYTES, at + 100)})
    for length in lengths:
        fault_server.stored.clear()
        os.truncate(path, length)
        whole = sum(end <= length for _, end in places)

        counts = recover()

        assert list(fault_server.stored) == ids[:whole], length
        assert counts.delivered == whole
        if length < HEADER_BYTES:
            assert (counts.torn, counts.corrupt) == (0, 1)
        elif length in boundaries or length > boundaries[-1]:
            assert (counts.torn, counts.corrupt) == (0, 0)
        else:
            assert (counts.torn, counts.corrupt) == (1, 0)
        new_directory()


def test_segment_of_a_newer_release_stays_where_it_is(
    leave_behind, recover, fault_server, spool_directory, monkeypatch, caplog
):
    with monkeypatch.context() as newer:
        newer.setattr("signal_gateway.audit.wal.origin._VERSION", 2)
        leave_behind(2)
    (path,) = spool_directory.glob("*.segment")
    content = path.read_bytes()
    ids = leave_behind(3)

    counts = recover()

    assert list(fault_server.stored) == ids
    assert (counts.delivered, counts.corrupt, counts.pending) == (3, 0, 0)
    assert path.read_bytes() == content
    assert "version 2" in caplog.text
    monkeypatch.setattr("signal_gateway.audit.wal.origin._VERSION", 2)
    assert recover().delivered == 2


STORE_ID = "01932c3e-8a00-7000-8000-000000000000"


@pytest.mark.parametrize("content", [b"", b"\0", b"SGSPOOL\0", b"\0" * 100_000, b"not ours" * 1000])
@pytest.mark.usefixtures("storage")
def test_file_with_a_segments_name_and_other_content_is_set_aside(spool_directory, recover, fault_server, content):
    spool_directory.mkdir()
    (spool_directory / f"{STORE_ID}-000001.segment").write_bytes(content)

    counts = recover()

    assert counts.corrupt == 1
    assert not fault_server.stored
    assert (spool_directory / "corrupt" / f"{STORE_ID}-000001.segment").read_bytes() == content


def test_unrelated_files_are_left_alone(spool_directory, leave_behind, recover, fault_server):
    ids = leave_behind(3)
    names = [
        "README",
        ".hidden",
        "x.segment",
        f"{STORE_ID}.txt",
        f"{STORE_ID}-1.segment.bak",
        "other.tmp",
        "other.lock",
    ]
    for name in names:
        (spool_directory / name).write_text(name)
    (spool_directory / "folder").mkdir()
    (spool_directory / "dangling").symlink_to("nowhere")

    counts = recover()

    assert list(fault_server.stored) == ids
    assert counts.corrupt == 0
    assert sorted(path.name for path in spool_directory.iterdir()) == sorted([*names, "folder", "dangling"])
    assert all((spool_directory / name).read_text() == name for name in names)


@pytest.mark.parametrize("what", ["folder", "dangling", "lock"])
def test_what_can_not_be_opened_stays_and_hurts_nobody(
    spool_directory, leave_behind, recover, fault_server, what, caplog
):
    ids = leave_behind(3)
    odd = spool_directory / f"{STORE_ID}-000001.segment"
    if what == "dangling":
        odd.symlink_to("nowhere")
    elif what == "folder":
        odd.mkdir()
    else:
        (spool_directory / f"{STORE_ID}.lock").mkdir()

    counts = recover()

    assert list(fault_server.stored) == ids
    assert (counts.delivered, counts.corrupt, counts.pending) == (3, 0, 0)
    assert STORE_ID in caplog.text


def test_segment_that_died_before_its_first_event_is_nothing(leave_behind, recover, spool_directory, caplog):
    leave_behind(0)

    counts = recover()

    assert counts == type(counts)()
    assert not caplog.records
    assert not list(spool_directory.iterdir())


@pytest.mark.usefixtures("storage")
@pytest.mark.slow
def test_written_segment_that_died_before_its_first_event_is_nothing(start_program, recover, spool_directory, caplog):
    program = start_program("store = open_store(); say(store.stats.storage); sys.stdin.readline()", storage="written")
    assert program.hear() == "written"
    program.kill()

    counts = recover()

    assert counts == type(counts)()
    assert not caplog.records
    assert not list(spool_directory.iterdir())

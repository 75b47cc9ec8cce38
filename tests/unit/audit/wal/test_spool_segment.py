"""A segment's header, cursor and frames, and what becomes of them when a byte is wrong."""

import uuid
from dataclasses import replace
from zlib import crc32

import pytest

from signal_gateway.audit.wal.buffer import HEADER_BYTES, MappedBuffer
from signal_gateway.audit.wal.directory import open_buffer
from signal_gateway.audit.wal.origin import BadSegment, NewerSegment, Origin
from signal_gateway.audit.wal.segment import FRAME_BYTES, Segment, TailState, pack_frame_header

SIZE = 16 * 1024
VERSION_AT = 8
CURSORS = (1024, 1536)
CURSOR_BYTES = 36


def frame_of(payload, recorded_at):
    return pack_frame_header(len(payload), crc32(payload), recorded_at) + payload


@pytest.fixture
def origin():
    return Origin.of(
        store_id=uuid.uuid4(), sequence=7, service="shop-Œuvre", pid=4242, boot_id=uuid.UUID(int=2**128 - 1)
    )


@pytest.fixture
def segment(origin):
    segment = Segment.create(MappedBuffer.anonymous(SIZE), origin)
    yield segment
    segment.buffer.close()


@pytest.fixture
def image(segment):
    """The bytes of a segment of five events whose cursor was moved twice, to the third event."""
    for number in range(5):
        segment.write(frame_of(b"payload %d" % number, 1.5))
    ends = [end for _, end in segment.frames(HEADER_BYTES)]
    segment.settle(ends[0], delivered=1, rejected=0)
    segment.settle(ends[1], delivered=0, rejected=1)
    return segment.buffer.read(0, SIZE)


@pytest.fixture
def reopen(tmp_path, storage):  # noqa: ARG001 - it changes how files are opened
    buffers = []

    def reopen(image) -> Segment:
        path = tmp_path / "image"
        path.write_bytes(image)
        buffers.append(open_buffer(path))
        return Segment.open(buffers[-1])

    yield reopen
    for buffer in buffers:
        buffer.close()


def flipped(image, offset):
    return image[:offset] + bytes([image[offset] ^ 0xFF]) + image[offset + 1 :]


def what_it_says(segment):
    return segment.origin, segment.cursor.acknowledged, segment.cursor.delivered, segment.cursor.rejected


def payloads(segment):
    return [segment.buffer.read(begin, end) for begin, end in segment.frames(HEADER_BYTES)]


def test_header_cursor_and_frames_come_back(segment, image, reopen):
    again = reopen(image)

    assert what_it_says(again) == what_it_says(segment)
    assert (again.cursor.delivered, again.cursor.rejected) == (1, 1)
    assert payloads(again) == [b"payload %d" % number for number in range(5)]
    assert again.recorded() == 5
    assert again.oldest_recorded_at() == 1.5
    assert all(again.is_intact(begin, end) for begin, end in again.frames(HEADER_BYTES))
    assert again.tail_state([end for _, end in again.frames(HEADER_BYTES)][-1]) is TailState.CLEAN


def test_newest_cursor_counts_in_whichever_slot_it_is(segment, reopen):
    for number in range(1, 6):
        segment.write(frame_of(b"payload", 1.5))
        (_, end), *_ = segment.frames(segment.cursor.acknowledged)
        segment.settle(end, delivered=1, rejected=0)

        assert what_it_says(reopen(segment.buffer.read(0, SIZE))) == (segment.origin, end, number, 0)


def test_service_of_any_length_comes_back_as_its_beginning(origin):
    long = replace(origin, service="ä" * 100)

    assert Origin.read(long.encoded(SIZE)).service == "ä" * 32


def test_header_with_any_byte_flipped_is_refused_or_says_the_same(segment, image):
    buffer = MappedBuffer.anonymous(SIZE)
    older = segment.cursor.acknowledged - FRAME_BYTES - len(b"payload 1"), 1, 0
    newest = segment.cursor.acknowledged, 1, 1
    refused = 0
    for offset in range(HEADER_BYTES):
        buffer.put(0, flipped(image[:HEADER_BYTES], offset))
        try:
            again = Segment.open(buffer)
        except BadSegment:
            refused += 1
            continue
        expected = older if CURSORS[1] <= offset < CURSORS[1] + CURSOR_BYTES else newest
        assert what_it_says(again) == (segment.origin, *expected), offset

    assert refused > 100  # every byte of the constant part


@pytest.mark.parametrize("slot", CURSORS)
def test_cursor_with_one_slot_damaged_is_read_from_the_other(segment, image, reopen, slot):
    damaged = image[:slot] + b"\xa5" * CURSOR_BYTES + image[slot + CURSOR_BYTES :]

    again = reopen(damaged)

    assert again.cursor.delivered == 1
    assert again.cursor.rejected == (1 if slot == CURSORS[0] else 0)
    again.settle(segment.cursor.acknowledged, delivered=0, rejected=1 - again.cursor.rejected)
    assert what_it_says(again) == what_it_says(segment)


def test_cursor_that_is_half_written_is_not_believed(image, reopen):
    newest, older = CURSORS[1], CURSORS[0]
    for written in range(1, CURSOR_BYTES):
        next_cursor = b"\x04" + bytes(CURSOR_BYTES - 1)
        torn = image[:older] + next_cursor[:written] + image[older + written :]

        assert reopen(torn).cursor.rejected == 1
    assert image[newest] == 3


def test_cursor_with_both_slots_damaged_is_refused(image, reopen):
    for slot in CURSORS:
        image = flipped(image, slot)

    with pytest.raises(BadSegment, match="cursor"):
        reopen(image)


def test_newer_version_is_told_from_damage(origin, monkeypatch):
    monkeypatch.setattr("signal_gateway.audit.wal.origin._VERSION", 2)
    constant_part = origin.encoded(SIZE)
    monkeypatch.undo()

    with pytest.raises(NewerSegment, match="version 2"):
        Origin.read(constant_part)


@pytest.mark.parametrize("length", [0, 1, 100, HEADER_BYTES - 1])
def test_header_that_is_cut_off_is_refused(image, reopen, length):
    with pytest.raises(BadSegment, match="cut off"):
        reopen(image[:length])


def test_unexpected_file_is_refused(reopen):
    with pytest.raises(BadSegment, match="no spool segment"):
        reopen(b"GIF89a" + bytes(SIZE))


@pytest.mark.parametrize(
    ("tail", "state"),
    [
        (b"", TailState.CLEAN),
        (b"\0" * 100, TailState.CLEAN),
        (b"\x10", TailState.TORN),
        (b"\x10\0\0\0" + b"\xff" * 16, TailState.TORN),
        (b"\x10\0\0\0" + b"\xff" * 16 + b"half", TailState.TORN),
        (bytes(FRAME_BYTES) + b"{payload before its header}", TailState.TORN),
        (bytes(FRAME_BYTES) + b"{payload before its header}" + frame_of(b"{an event}", 1.5), TailState.CORRUPT),
        (b"\x10\0\0\0" + b"\xff" * 16 + b"x" * 16 + b"another", TailState.CORRUPT),
        (b"\xff\xff\xff\xff" + b"\xff" * 500, TailState.TORN),
    ],
)
def test_tail_is_told_apart(image, reopen, tail, state):
    last = HEADER_BYTES + 5 * (FRAME_BYTES + len(b"payload 0"))
    again = reopen(image[:last] + tail + bytes(SIZE - last - len(tail)))

    assert again.tail_state(last) is state

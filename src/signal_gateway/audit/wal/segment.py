"""Segment: one part of the write-ahead log, with frames and a cursor; PendingRecords: the oldest unsettled frames."""

import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import orjson

from signal_gateway.audit.checksum import crc32
from signal_gateway.audit.wal.buffer import HEADER_BYTES, SegmentBuffer
from signal_gateway.audit.wal.origin import BadSegment, NewerSegment, Origin
from signal_gateway.audit.wal.rejected import RejectedEvent

__all__ = ["FRAME_BYTES", "Cursor", "PendingRecords", "Segment", "TailState", "pack_frame_header"]

_FRAME = struct.Struct("<IId")
_LENGTH = struct.Struct("<I")

FRAME_BYTES = _FRAME.size
"""Size of a frame's header; the payload follows."""

pack_frame_header = _FRAME.pack
"""Encode a frame's header: length of the payload, CRC-32 of the payload, time of the recording.

The time is that of the monotonic clock, in seconds.
"""

_CHECKSUM = struct.Struct("<I")
_CURSOR = struct.Struct("<QQQQ")  # generation, offset of the first unsettled frame, delivered, rejected
_CURSOR_SLOTS = (1024, 1536)

_ZEROS_TO_LOOK_AT = 64 * 1024


class TailState(Enum):
    """State of a segment behind its last intact frame, in a segment whose process died."""

    CLEAN = "nothing"
    TORN = "a frame that was being written when the process died"
    CORRUPT = "a damaged frame with others behind it"


class Cursor(NamedTuple):
    """The cursor of a segment.

    Attributes:
        generation: Number of earlier cursors of the segment.
        acknowledged: Offset of the first unsettled frame.
        delivered: Number of delivered events.
        rejected: Number of rejected events.
    """

    generation: int = 0
    acknowledged: int = HEADER_BYTES
    delivered: int = 0
    rejected: int = 0


class Segment:
    """Frames in a segment buffer, and the cursor: the offset up to which the events are settled.

    Any thread may append. The lock of the write-ahead log orders counting, reading and settling. The cursor has two
    slots, each with a checksum, which are written in turn: one slot is intact whenever the process dies.

    Args:
        buffer: The bytes of the segment.
        origin: Store, process and time of the creation.

    Attributes:
        write: `write` of the buffer.
        size: Size in bytes, used or not.
        cursor: Replaced in one step.
        keeps_cursor: Whether `settle` writes the cursor to the buffer. Without it the settled events are sent again by
            a later store: for a file that cannot be changed, or that is the only place of an event.
        header_damage: Damage of the header; None if it is intact. With a damaged cursor, all events are pending.
    """

    def __init__(self, buffer: SegmentBuffer, origin: Origin) -> None:
        self.buffer = buffer
        self.origin = origin
        self.write: Callable[[bytes], object] = buffer.write
        self.size = buffer.size
        self.cursor = Cursor()
        self.keeps_cursor = True
        self.header_damage: str | None = None
        self._synced = 0
        self._walked = (HEADER_BYTES, 0)  # an offset and the number of frames before it; replaced in one step

    @classmethod
    def create(cls, buffer: SegmentBuffer, origin: Origin) -> "Segment":
        """Return a new segment with a complete header."""
        segment = cls(buffer, origin)
        buffer.put(0, origin.encoded(buffer.size))
        segment.settle(HEADER_BYTES, delivered=0, rejected=0)
        other, written = _CURSOR_SLOTS
        buffer.put(other, buffer.read(written, written + _CURSOR.size + _CHECKSUM.size))
        return segment

    @classmethod
    def open(cls, buffer: SegmentBuffer) -> "Segment":
        """Return the segment of another store, by its header; with a damaged header, by its intact frames.

        Raises:
            BadSegment: The header is damaged or of another kind of file, and no frame is intact.
        """
        header = buffer.read(0, min(HEADER_BYTES, buffer.size))
        if len(header) < HEADER_BYTES:
            raise BadSegment("the header is cut off")
        damage: str | None = None
        try:
            origin = Origin.read(header)
        except NewerSegment:
            raise
        except BadSegment as exc:
            origin, damage = Origin.unknown(), str(exc)
        segment = cls(buffer, origin)
        for slot in _CURSOR_SLOTS:
            data = header[slot : slot + _CURSOR.size]
            generation, acknowledged, delivered, rejected = _CURSOR.unpack(data)
            (checksum,) = _CHECKSUM.unpack_from(header, slot + _CURSOR.size)
            is_intact = checksum == crc32(data) and HEADER_BYTES <= acknowledged <= buffer.size
            if is_intact and generation > segment.cursor.generation:
                segment.cursor = Cursor(generation, acknowledged, delivered, rejected)
        if not segment.cursor.generation:
            damage = damage or "the cursor is damaged"
        if damage is not None and segment.next_intact(HEADER_BYTES) is None:
            raise BadSegment(damage)
        segment.header_damage = damage
        segment._walked = (segment.cursor.acknowledged, segment.cursor.delivered + segment.cursor.rejected)
        return segment

    def frames(self, offset: int) -> Iterator[tuple[int, int]]:
        """Yield begin and end of the payload of each frame from `offset` on."""
        limit = self.buffer.limit()
        view, base = self.buffer.window(offset, limit)
        length_at = _LENGTH.unpack_from
        last_header = limit - FRAME_BYTES
        while offset <= last_header:
            (length,) = length_at(view, offset - base)
            begin = offset + FRAME_BYTES
            offset = begin + length
            if not length or offset > limit:
                return
            yield begin, offset

    def intact_frames(self, offset: int) -> Iterator[tuple[int, int]]:
        """Yield begin and end of the payload of each intact frame from `offset` on, also behind damaged bytes."""
        found: int | None = offset
        while found is not None:
            for begin, end in self.frames(found):
                if not self.is_intact(begin, end):
                    break
                yield begin, end
                offset = end
            found = self.next_intact(offset)

    def next_intact(self, offset: int) -> int | None:
        """Return the offset of the first intact frame that begins at `offset` or later; None without one.

        A payload is a JSON object, so a frame is found by its opening brace. No text in an event looks like a frame's
        header: JSON has no NUL byte, and each length has one.
        """
        limit = self.buffer.limit()
        view, base = self.buffer.window(offset, limit)
        brace = view.find(b"{", offset - base + FRAME_BYTES)
        while brace >= 0:
            length, checksum, _ = _FRAME.unpack_from(view, brace - FRAME_BYTES)
            if 0 < length <= limit - base - brace and crc32(view[brace : brace + length]) == checksum:
                return base + brace - FRAME_BYTES
            brace = view.find(b"{", brace + 1)
        return None

    def count_pending(self) -> int:
        """Return the number of pending frames, those behind a damaged length included. Reads no payload."""
        count = 0
        offset = self.cursor.acknowledged
        found: int | None = offset
        while found is not None:
            for _, end in self.frames(found):
                offset = end
                count += 1
            found = self.next_intact(offset)
        return count

    def recorded(self) -> int:
        """Return the number of frames. Counts only the frames since the previous call."""
        offset, count = self._walked
        if offset < self.buffer.limit():
            for _, end in self.frames(offset):
                offset = end
                count += 1
            self._walked = offset, count
        return count

    def end(self) -> int:
        """Return the offset behind the last frame."""
        self.recorded()
        return self._walked[0]

    def unsynced(self) -> tuple[int, int] | None:
        """Return begin and end of the bytes that are not on the disk and are needed there; None without such bytes.

        The header is written with the first frames. Settled frames need no sync.
        """
        self.recorded()
        end = self._walked[0]
        if self._synced >= end:
            return None
        return (max(self._synced, self.cursor.acknowledged) if self._synced else 0), end

    def sync(self, begin: int, end: int) -> None:
        """Write bytes that `unsynced` returned through to the disk."""
        self.buffer.sync(begin, end)
        self._synced = end

    def oldest_recorded_at(self) -> float | None:
        """Return the recording time of the oldest pending event, by its process's monotonic clock; None without one."""
        begin = self.cursor.acknowledged
        end = begin + FRAME_BYTES
        if end > self.buffer.limit():
            return None
        view, base = self.buffer.window(begin, end)
        length, _, recorded_at = _FRAME.unpack_from(view, begin - base)
        return float(recorded_at) if length else None

    def is_intact(self, begin: int, end: int) -> bool:
        """Return whether a payload matches its checksum."""
        _, checksum, _ = _FRAME.unpack(self.buffer.read(begin - FRAME_BYTES, begin))
        return bool(crc32(self.buffer.read(begin, end)) == checksum)

    def tail_state(self, offset: int) -> TailState:
        """Return the state behind the last intact frame, in a segment whose process died.

        A torn frame has zeros in place of the bytes that were not written; a payload of JSON has none.

        Args:
            offset: Offset behind the last intact frame.
        """
        limit = self.buffer.limit()
        header = self.buffer.read(offset, min(offset + FRAME_BYTES, limit))
        if len(header) < FRAME_BYTES:
            return TailState.CLEAN if not any(header) else TailState.TORN
        (length,) = _LENGTH.unpack_from(header)
        if not length:  # glibc copies the first bytes last: a torn frame may have its payload and no length
            if not self._has_data(offset, limit):
                return TailState.CLEAN
            return TailState.TORN if self.next_intact(offset) is None else TailState.CORRUPT
        end = offset + FRAME_BYTES + length
        if self._has_data(min(end, limit), limit):
            return TailState.CORRUPT
        is_complete = end <= limit and b"\0" not in self.buffer.read(offset + FRAME_BYTES, end)
        return TailState.CORRUPT if is_complete else TailState.TORN

    def settle(self, acknowledged: int, *, delivered: int, rejected: int) -> None:
        """Move the cursor.

        Args:
            acknowledged: Offset of the first unsettled frame.
            delivered: Number of newly delivered events.
            rejected: Number of newly rejected events.
        """
        old = self.cursor
        new = Cursor(old.generation + 1, acknowledged, old.delivered + delivered, old.rejected + rejected)
        self.cursor = new
        if self.keeps_cursor:
            encoded = _CURSOR.pack(*new)
            self.buffer.put(_CURSOR_SLOTS[new.generation % 2], encoded + _CHECKSUM.pack(crc32(encoded)))

    def _has_data(self, begin: int, end: int) -> bool:
        for offset in range(begin, end, _ZEROS_TO_LOOK_AT):
            if self.buffer.read(offset, min(offset + _ZEROS_TO_LOOK_AT, end)).strip(b"\0"):
                return True
        return False


@dataclass(frozen=True, slots=True)
class PendingRecords:
    """The oldest unsettled events of a queue, as places in segments without a copy of the payloads.

    Attributes:
        places: Segment, begin and end of the payload of each event, in order.
    """

    places: Sequence[tuple[Segment, int, int]]

    def __len__(self) -> int:
        return len(self.places)

    def sizes(self) -> list[int]:
        """Return the size of each payload in bytes."""
        return [end - begin for _, begin, end in self.places]

    def split(self, count: int) -> "tuple[PendingRecords, PendingRecords]":
        """Return the first `count` events, and the rest."""
        return PendingRecords(self.places[:count]), PendingRecords(self.places[count:])

    def json_array(self, indices: Iterable[int]) -> bytes:
        """Return the payloads of these events, at least one, as one JSON array."""
        payloads: list[bytes] = []
        append = payloads.append
        # by segment, which saves a call per event
        for segment, group in groupby(map(self.places.__getitem__, indices), key=itemgetter(0)):
            places = list(group)
            view, base = segment.buffer.window(places[0][1], places[-1][2])
            for _, begin, end in places:
                append(view[begin - base : end - base])
        payloads[0] = b"[" + payloads[0]  # brackets around the whole array would copy it once more
        payloads[-1] += b"]"
        return b",".join(payloads)

    def rejected_events(self, reasons: Mapping[int, str]) -> tuple[RejectedEvent, ...]:
        """Return copies of the rejected events.

        Args:
            reasons: Reason for each rejected event, by its index.
        """
        events = []
        for index, reason in sorted(reasons.items()):
            segment, begin, end = self.places[index]
            payload = segment.buffer.read(begin, end)
            events.append(RejectedEvent(orjson.loads(payload)["event_id"], payload, reason))
        return tuple(events)

    def settle(self, rejected: Collection[int]) -> None:
        """Move the cursors of the segments behind these events.

        Args:
            rejected: Indices of the rejected events; all others are delivered.
        """
        if self.places and self.places[0][0] is self.places[-1][0]:
            segment, _, end = self.places[-1]
            segment.settle(end, delivered=len(self.places) - len(rejected), rejected=len(rejected))
            return
        tally: dict[Segment, tuple[int, int, int]] = {}
        for index, (segment, _, end) in enumerate(self.places):
            _, delivered, declined = tally.get(segment, (0, 0, 0))
            if index in rejected:
                declined += 1
            else:
                delivered += 1
            tally[segment] = end, delivered, declined
        for segment, (end, delivered, declined) in tally.items():
            segment.settle(end, delivered=delivered, rejected=declined)

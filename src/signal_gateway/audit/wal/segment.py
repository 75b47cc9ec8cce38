"""Segment: a stretch of the spool; its events in frames, and the cursor that says how far they are settled."""

import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from signal_gateway.audit.checksum import crc32
from signal_gateway.audit.wal.buffer import HEADER_BYTES, SegmentBuffer

__all__ = ["FRAME_BYTES", "BadSegment", "NewerSegment", "Origin", "Segment", "TailState", "pack_frame_header"]

_FRAME = struct.Struct("<IIId")
_LENGTH = struct.Struct("<I")

FRAME_BYTES = _FRAME.size
"""What a frame has in front of its payload."""

pack_frame_header = _FRAME.pack
"""Write it: the payload's length, its CRC-32 begun with the lane, the lane, when it was recorded.

The lane is the CRC-32 of the event's correlation id; the time is that of the monotonic clock, in seconds.
"""

_MAGIC = b"SGSPOOL\0"
_VERSION = 1
_ORIGIN = struct.Struct("<8sIIQ16sI16sd64s")
_CHECKSUM = struct.Struct("<I")
_CURSOR = struct.Struct("<QQQQ")  # generation, acknowledged offset, delivered, rejected
_CURSOR_SLOTS = (1024, 1536)

_ZEROS_TO_LOOK_AT = 64 * 1024


@dataclass(frozen=True, slots=True)
class Origin:
    """Who made a segment, and when: the constant part of its header.

    Attributes:
        store_id: The audit store.
        sequence: Which of that store's segments, counted from 1.
        service: Whose events, the first 64 bytes of it.
        pid: The process.
        boot_id: The run of the machine that it lived in; zero where the system does not tell.
        created: Seconds since the epoch.
    """

    store_id: UUID
    sequence: int
    service: str
    pid: int
    boot_id: UUID
    created: float

    @classmethod
    def of(cls, *, store_id: UUID, sequence: int, service: str, pid: int, boot_id: UUID) -> "Origin":
        """Describe a segment that is being made now."""
        return cls(store_id, sequence, service, pid, boot_id, time.time())

    def encoded(self, size: int) -> bytes:
        """Write it down, with its checksum."""
        name = self.service.encode()[:64]
        data = _ORIGIN.pack(
            _MAGIC,
            _VERSION,
            self.sequence,
            size,
            self.store_id.bytes,
            self.pid,
            self.boot_id.bytes,
            self.created,
            name,
        )
        return data + _CHECKSUM.pack(crc32(data))

    @classmethod
    def read(cls, data: bytes) -> "Origin":
        """Read what `encoded` wrote.

        Raises:
            BadSegment: It is something else, damaged, or of a newer version.
        """
        magic, version, sequence, _, store_id, pid, boot_id, created, name = _ORIGIN.unpack_from(data)
        (checksum,) = _CHECKSUM.unpack_from(data, _ORIGIN.size)
        if magic != _MAGIC:
            raise BadSegment("it is no spool segment")
        if checksum != crc32(data[: _ORIGIN.size]):
            raise BadSegment("the header is damaged")
        if version != _VERSION:
            raise NewerSegment(f"it has version {version}, and this release knows {_VERSION}")
        service = name.rstrip(b"\0").decode(errors="replace")
        return cls(UUID(bytes=store_id), sequence, service, pid, UUID(bytes=boot_id), created)


class BadSegment(Exception):  # noqa: N818 - never leaves the room
    """A file that can't be read as a segment; the message says why."""


class NewerSegment(BadSegment):
    """A segment that another release made, in a format that this one does not know."""


class TailState(Enum):
    """What is behind the last intact frame of a segment whose writer is dead."""

    CLEAN = "nothing"
    TORN = "a frame that was being written when the process died"
    CORRUPT = "a damaged frame with others behind it"


class Segment:
    """Frames in a medium. Any thread may append; counting, reading and settling are ordered by the spool's lock.

    The cursor has two slots, written in turn and each with its checksum: whenever the process dies, one is whole.

    Args:
        medium: Where the bytes are.
        origin: Who made it.
    """

    def __init__(self, medium: SegmentBuffer, origin: Origin) -> None:
        self.buffer = medium
        self.origin = origin
        self.write: Callable[[bytes], object] = medium.write
        self.acknowledged = HEADER_BYTES
        self.delivered = 0
        self.rejected = 0
        self.synced = 0
        self._generation = 0
        self._walked = (HEADER_BYTES, 0)  # an offset and how many frames there are before it; replaced as one

    @classmethod
    def create(cls, medium: SegmentBuffer, origin: Origin) -> "Segment":
        """Write the header of a new segment."""
        segment = cls(medium, origin)
        medium.put(0, origin.encoded(medium.size))
        segment.settle(HEADER_BYTES, delivered=0, rejected=0)
        for slot in _CURSOR_SLOTS:
            medium.put(slot, segment._cursor())
        return segment

    @classmethod
    def open(cls, medium: SegmentBuffer) -> "Segment":
        """Read the header of a segment that somebody else made.

        Raises:
            BadSegment: It is none, or its header is damaged.
        """
        header = medium.read(0, min(HEADER_BYTES, medium.size))
        if len(header) < HEADER_BYTES:
            raise BadSegment("the header is cut off")
        segment = cls(medium, Origin.read(header))
        for slot in _CURSOR_SLOTS:
            data = header[slot : slot + _CURSOR.size]
            generation, acknowledged, delivered, rejected = _CURSOR.unpack(data)
            (checksum,) = _CHECKSUM.unpack_from(header, slot + _CURSOR.size)
            is_whole = checksum == crc32(data) and HEADER_BYTES <= acknowledged <= medium.size
            if is_whole and generation > segment._generation:
                segment._generation = generation
                segment.acknowledged, segment.delivered, segment.rejected = acknowledged, delivered, rejected
        if not segment._generation:
            raise BadSegment("the cursor is damaged")
        segment._walked = (segment.acknowledged, segment.delivered + segment.rejected)
        return segment

    @property
    def size(self) -> int:
        """Bytes that it takes, full or not."""
        return self.buffer.size

    def frames(self, offset: int) -> Iterator[tuple[int, int]]:
        """Yield where the payload of each frame from `offset` on begins and ends."""
        limit = self.buffer.limit()
        buffer, base = self.buffer.window(offset, limit)
        length_at = _LENGTH.unpack_from
        last_header = limit - FRAME_BYTES
        while offset <= last_header:
            (length,) = length_at(buffer, offset - base)
            begin = offset + FRAME_BYTES
            offset = begin + length
            if not length or offset > limit:
                return
            yield begin, offset

    def payloads(self, bounds: Sequence[tuple[int, int]]) -> list[bytes]:
        """Copy payloads out.

        Args:
            bounds: Where each begins and ends, in the order of the segment; at least one.
        """
        buffer, base = self.buffer.window(bounds[0][0], bounds[-1][1])
        return [buffer[begin - base : end - base] for begin, end in bounds]

    def recorded(self) -> int:
        """Count the frames that came since the last look, and return how many there are."""
        offset, count = self._walked
        if offset < self.buffer.limit():
            for _, end in self.frames(offset):
                offset = end
                count += 1
            self._walked = offset, count
        return count

    def end(self) -> int:
        """Return where the next frame goes, or would go."""
        self.recorded()
        return self._walked[0]

    def oldest_recorded_at(self) -> float | None:
        """Return when the oldest pending event was recorded, by its process's monotonic clock; None without one."""
        header = self.buffer.read(self.acknowledged, min(self.acknowledged + FRAME_BYTES, self.buffer.limit()))
        if len(header) < FRAME_BYTES:
            return None
        length, _, _, recorded_at = _FRAME.unpack(header)
        return float(recorded_at) if length else None

    def is_intact(self, begin: int, end: int) -> bool:
        """Compare a payload with its checksum."""
        _, checksum, lane, _ = _FRAME.unpack(self.buffer.read(begin - FRAME_BYTES, begin))
        return bool(crc32(self.buffer.read(begin, end), lane) == checksum)

    def tail_state(self, offset: int) -> TailState:
        """Say what there is where the frames end that can be read, in a segment whose writer is dead.

        Args:
            offset: Behind the last intact frame.
        """
        limit = self.buffer.limit()
        header = self.buffer.read(offset, min(offset + FRAME_BYTES, limit))
        if len(header) < FRAME_BYTES:
            return TailState.CLEAN if not any(header) else TailState.TORN
        (length,) = _LENGTH.unpack_from(header)
        end = min(offset + FRAME_BYTES + length, limit)
        if not self._has_data(end, limit):
            return TailState.TORN if self._has_data(offset, end) else TailState.CLEAN
        # glibc copies the first bytes last, so that a torn frame may have its payload and not its length
        if not length and not self._has_intact_frame(end, limit):
            return TailState.TORN
        return TailState.CORRUPT

    def settle(self, acknowledged: int, *, delivered: int, rejected: int) -> None:
        """Move the cursor.

        Args:
            acknowledged: Where the first unsettled frame begins.
            delivered: How many more events were delivered.
            rejected: How many more were rejected.
        """
        self._generation += 1
        self.acknowledged = acknowledged
        self.delivered += delivered
        self.rejected += rejected
        self.buffer.put(_CURSOR_SLOTS[self._generation % 2], self._cursor())

    def _cursor(self) -> bytes:
        data = _CURSOR.pack(self._generation, self.acknowledged, self.delivered, self.rejected)
        return data + _CHECKSUM.pack(crc32(data))

    def _has_intact_frame(self, begin: int, end: int) -> bool:
        """Tell whether an event can be read anywhere there, which nobody can have recorded behind a torn one."""
        data = self.buffer.read(begin, end).rstrip(b"\0")
        payload = data.find(b"{", FRAME_BYTES)
        while payload >= 0:
            length, checksum, lane, _ = _FRAME.unpack_from(data, payload - FRAME_BYTES)
            if 0 < length <= len(data) - payload and crc32(data[payload : payload + length], lane) == checksum:
                return True
            payload = data.find(b"{", payload + 1)
        return False

    def _has_data(self, begin: int, end: int) -> bool:
        for offset in range(begin, end, _ZEROS_TO_LOOK_AT):
            if self.buffer.read(offset, min(offset + _ZEROS_TO_LOOK_AT, end)).strip(b"\0"):
                return True
        return False

"""Spool: where recorded events wait for their delivery, in the very bytes that will be sent."""

import itertools
import struct
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import orjson

from signal_gateway.audit.errors import AuditStoreClosed, AuditStoreFull
from signal_gateway.clock import Clock

__all__ = ["MemorySpool", "RejectedEvent", "Spool", "SpoolCounts"]


@dataclass(frozen=True, slots=True)
class SpoolCounts:
    """What a spool took and what became of it, at one moment.

    Attributes:
        recorded: Events appended so far; the ordinal of the newest one.
        delivered: Events acknowledged as stored.
        rejected: Events acknowledged as refused.
        first_rejected: Ordinal of the oldest refused event, counted from 1; None while there is none.
    """

    recorded: int
    delivered: int
    rejected: int
    first_rejected: int | None

    @property
    def acknowledged(self) -> int:
        """The ordinal up to which every event has left the queue."""
        return self.delivered + self.rejected

    @property
    def pending(self) -> int:
        """Events that still wait."""
        return self.recorded - self.acknowledged


@dataclass(frozen=True, slots=True)
class RejectedEvent:
    """An event that the server refused for good.

    Attributes:
        event_id: Which one.
        payload: The event as it was sent, one JSON object.
        reason: What the server said.
    """

    event_id: str
    payload: bytes
    reason: str


class Spool(Protocol):
    """A queue of encoded events: many threads append, one (the flusher) takes and acknowledges in order."""

    def append(self, payload: bytes) -> None:
        """Take one event; it counts as recorded when this returns. Atomic against `seal`.

        Raises:
            AuditStoreClosed: The spool is sealed.
            AuditStoreFull: The limit in bytes is reached.
        """
        ...

    def counts(self) -> SpoolCounts:
        """Return one consistent snapshot, from any thread. `recorded` in it is what a barrier waits for."""
        ...

    def head(self, max_events: int, max_bytes: int) -> list[bytes]:
        """Return the oldest unacknowledged events, whose JSON array has at most `max_bytes`; they stay."""
        ...

    def acknowledge(self, count: int, *, rejected: Mapping[int, str]) -> tuple[RejectedEvent, ...]:
        """Let the oldest `count` events go; the rejected ones among them are kept aside first.

        Args:
            count: How many, delivered and rejected ones together.
            rejected: The reason for each rejected one, by its index among them.

        Returns:
            The rejected ones among them.
        """
        ...

    def rejected_events(self) -> tuple[RejectedEvent, ...]:
        """Return the rejected events that are kept, oldest first."""
        ...

    def oldest_recorded_at(self) -> float | None:
        """Return when the oldest pending event was appended, by the clock's `monotonic()`; None when empty."""
        ...

    @property
    def full(self) -> bool:
        """Whether the limit in bytes is reached."""
        ...

    @property
    def sealed(self) -> bool:
        """Whether `seal` was called."""
        ...

    def seal(self) -> None:
        """Refuse every later append. What was appended before stays to be taken. Idempotent."""
        ...


_FRAME = struct.Struct("<Id")  # length of the payload, when it was appended


class MemorySpool:
    """A spool that lives and dies with the store.

    Frames follow each other in one bytearray. `append` is one call of its `extend`: atomic under the GIL, without
    a lock, so that a signal handler may interrupt it and append, too. Sealing exports the buffer: from then on the
    same `extend` raises BufferError, and there is no moment between the two. The lock orders the readers and the
    flusher; it is never held during I/O, and re-entrant for the same signal handler.

    Args:
        max_bytes: The limit, soft by one event for each thread that is appending; kept rejected events count.
        clock: Stamps each event.
    """

    def __init__(self, *, max_bytes: int, clock: Clock) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self._buffer = bytearray()
        self._seal: memoryview | None = None
        self._lock = threading.RLock()
        self._start = 0  # of the oldest unacknowledged frame
        self._walked = (0, 0)  # an offset, and how many events were ever appended before it; replaced as one
        self._delivered = 0
        self._first_rejected: int | None = None
        self._rejected: list[RejectedEvent] = []
        self._rejected_bytes = 0

    def append(self, payload: bytes) -> None:
        """Take one event; see `Spool.append`."""
        frame = _FRAME.pack(len(payload), self._clock.monotonic()) + payload
        if self._held_bytes + len(frame) > self._max_bytes and not self.sealed:
            raise AuditStoreFull(
                f"the audit spool holds {self._held_bytes} of at most {self._max_bytes} bytes and has no room for an"
                f" event of {len(payload)}: is DataStorage down? Raise max_spool_bytes to buffer more"
            )
        try:
            self._buffer.extend(frame)
        except BufferError:
            raise AuditStoreClosed(
                "the audit store is closed: record before close(), or make a store that lives longer"
            ) from None

    def counts(self) -> SpoolCounts:
        """Count the frames that came since the last look; see `Spool.counts`."""
        with self._lock:
            offset, recorded = self._walked
            for _, end in self._frames(offset):
                offset, recorded = end, recorded + 1
            self._walked = offset, recorded
            return SpoolCounts(recorded, self._delivered, len(self._rejected), self._first_rejected)

    def head(self, max_events: int, max_bytes: int) -> list[bytes]:
        """Copy the oldest frames out; see `Spool.head`."""
        payloads: list[bytes] = []
        body_bytes = 1  # each event brings a comma or the closing bracket
        with self._lock:
            for begin, end in self._frames(self._start):
                body_bytes += end - begin - _FRAME.size + 1
                if payloads and (len(payloads) == max_events or body_bytes > max_bytes):
                    break
                payloads.append(bytes(self._buffer[begin + _FRAME.size : end]))
        return payloads

    def acknowledge(self, count: int, *, rejected: Mapping[int, str]) -> tuple[RejectedEvent, ...]:
        """Let the oldest frames go; see `Spool.acknowledge`."""
        with self._lock:
            before = self.counts().acknowledged
            newly_rejected: list[RejectedEvent] = []
            end = self._start
            for index, (begin, end) in enumerate(itertools.islice(self._frames(self._start), count)):
                if index in rejected:
                    payload = bytes(self._buffer[begin + _FRAME.size : end])
                    newly_rejected.append(RejectedEvent(orjson.loads(payload)["event_id"], payload, rejected[index]))
            if rejected and self._first_rejected is None:
                self._first_rejected = before + min(rejected) + 1
            self._rejected.extend(newly_rejected)
            self._rejected_bytes += sum(len(event.payload) for event in newly_rejected)
            self._delivered += count - len(rejected)
            self._let_go(end)
            return tuple(newly_rejected)

    def rejected_events(self) -> tuple[RejectedEvent, ...]:
        """Return every rejected event; memory keeps them all."""
        with self._lock:
            return tuple(self._rejected)

    def oldest_recorded_at(self) -> float | None:
        """Return the stamp of the first frame; see `Spool.oldest_recorded_at`."""
        with self._lock:
            header = self._buffer[self._start : self._start + _FRAME.size]
        return float(_FRAME.unpack(header)[1]) if header else None

    @property
    def full(self) -> bool:
        """Whether the limit in bytes is reached."""
        return self._held_bytes >= self._max_bytes

    @property
    def sealed(self) -> bool:
        """Whether `seal` was called."""
        return self._seal is not None

    def seal(self) -> None:
        """Export the buffer, so that it can't be extended; see `Spool.seal`."""
        with self._lock:
            if self._seal is None:
                self._seal = memoryview(self._buffer)

    @property
    def _held_bytes(self) -> int:
        return len(self._buffer) - self._start + self._rejected_bytes

    def _frames(self, offset: int) -> Iterator[tuple[int, int]]:
        """Yield where each frame from `offset` on begins and ends. Slices, as a view would look like a seal."""
        end = len(self._buffer)
        while offset < end:
            length, _ = _FRAME.unpack(self._buffer[offset : offset + _FRAME.size])
            yield offset, offset + _FRAME.size + length
            offset += _FRAME.size + length

    def _let_go(self, end: int) -> None:
        if self._seal is None:
            del self._buffer[:end]
            offset, recorded = self._walked
            self._walked = offset - end, recorded
            self._start = 0
        else:
            self._start = end

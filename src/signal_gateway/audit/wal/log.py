"""WriteAheadLog: where recorded events wait for their delivery, in the very bytes that will be sent."""

import errno
import logging
import math
import mmap
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from signal_gateway.audit.checksum import crc32
from signal_gateway.audit.errors import AuditStoreClosed, AuditStoreFull
from signal_gateway.audit.wal.buffer import HEADER_BYTES
from signal_gateway.audit.wal.directory import SegmentDirectory, Segments, Storage, remedy_for
from signal_gateway.audit.wal.pending import PendingRecords
from signal_gateway.audit.wal.rejected import RejectedEvent
from signal_gateway.audit.wal.segment import FRAME_BYTES, Segment, pack_frame_header
from signal_gateway.clock import Clock, SystemClock
from signal_gateway.errors import AuditError, ConfigurationError

__all__ = ["LogAbandoned", "LogCounts", "WriteAheadLog"]

_MIB = 1024 * 1024
_FIRST_SEGMENT_BYTES = _MIB
_SEGMENT_BYTES = 16 * _MIB
_NESTED_SEGMENT_BYTES = 64 * 1024
_SYNC_SECONDS = 0.2
_NEARLY_FULL = 0.8
_WARNING_SECONDS = 60.0
_DISK_SECONDS = 1.0  # for which a full disk is taken to be full still


class LogAbandoned(Exception):  # noqa: N818 - never leaves the room
    """The spool is a forked child's parent's."""


@dataclass(frozen=True, slots=True)
class LogCounts:
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


class WriteAheadLog:
    """A queue of encoded events in segments: many threads append; one, the flusher, takes and settles in order.

    `append` is one call of the current segment's `write`. Only when that one is full does it take the lock, which
    orders appending to the next segment, sealing, counting and settling. The flusher never holds it during I/O; an
    appending thread does while the next segment is made, by itself or, if that has begun, by the flusher. It is
    re-entrant, as a signal handler may append in the midst of any of these.

    Segments begin small and double, up to 16 MiB, so that a store for a handful of events costs little.

    Args:
        home: Makes the segments; opened with the first.
        max_bytes: What segments and kept rejected events may take together.
        clock: Stamps each event.
        log: Where a warning goes when it is nearly full.
    """

    def __init__(self, home: Segments, *, max_bytes: int, clock: Clock, log: logging.Logger) -> None:
        self._home = home
        self._max_bytes = max_bytes
        self._now = time.monotonic if isinstance(clock, SystemClock) else clock.monotonic
        self._log = log
        self._lock = threading.RLock()
        self._write: Callable[[bytes], object] = _no_segment
        self._segments: deque[Segment] = deque()  # the last one is being written
        self._spare: list[Segment] = []  # at most one; made by the flusher ahead of need
        self._making = threading.RLock()  # held by the flusher while it makes that one; then it takes no other lock
        self._next_size = _pages(min(_FIRST_SEGMENT_BYTES, max_bytes // 4))
        self._head = PendingRecords([])  # the last one that was given out, less what is settled of it; the flusher's
        self._rolls = 0  # how many are under way, each in a signal handler that interrupted the other
        self._is_open = False
        self._abandoned = False
        self._frozen: LogCounts | None = None
        self._removed_recorded = 0  # events of segments that are gone
        self._delivered = 0
        self._rejected = 0
        self._first_rejected: int | None = None
        self._refusing = False
        self._disk_refused_at = -math.inf
        self._next_sync = -math.inf
        self._warned_at = -math.inf
        self.on_new_segment: Callable[[], object] = _nothing  # called after the first event that went there
        self.foreign_bytes = 0  # of dead owners' segments, which this store took over
        self.sealed = False

    def open(self) -> None:
        """Make the first segment; otherwise the first `append` does.

        Raises:
            ConfigurationError: Its home can't be used.
            AuditStoreFull: There is no room in it.
        """
        with self._lock:
            if not self._is_open:
                self._home.open()
                try:
                    self._roll(0)
                except AuditStoreFull:
                    self._home.close(is_empty=True)
                    raise
                self._is_open = True
                self._write = self._segments[-1].write

    def append(self, payload: bytes, lane: int) -> None:
        """Take one event; it counts as recorded when this returns. Atomic against `seal`.

        Args:
            payload: The event as it will be sent.
            lane: CRC-32 of its correlation id.

        Raises:
            AuditStoreClosed: The spool is sealed.
            AuditStoreFull: The limit in bytes is reached, or the disk is full.
            LogAbandoned: This is a forked child, which has a spool of its own by now.
        """
        frame = pack_frame_header(len(payload), crc32(payload, lane), lane, self._now()) + payload
        try:
            self._write(frame)
        except ValueError:
            self._append_behind(frame)
        except OSError as exc:
            raise self._refuse(self._disk_full(exc)) from exc

    def counts(self) -> LogCounts:
        """Return one consistent snapshot, from any thread. `recorded` in it is what a barrier waits for."""
        with self._lock:
            if self._frozen is not None:
                return self._frozen
            recorded = self._removed_recorded + sum([segment.recorded() for segment in list(self._segments)])
            return LogCounts(recorded, self._delivered, self._rejected, self._first_rejected)

    def head(self, max_events: int, max_bytes: int) -> PendingRecords:
        """Find the oldest unsettled events; see `DeliveryQueue.head`."""
        places: list[tuple[Segment, int, int]] = []
        body_bytes = 1  # each event brings a comma or the closing bracket
        self._head = PendingRecords(places)
        with self._lock:
            for segment in list(self._segments):
                for begin, end in segment.frames(segment.acknowledged):
                    body_bytes += end - begin + 1
                    if places and (len(places) == max_events or body_bytes > max_bytes):
                        return self._head
                    places.append((segment, begin, end))
        return self._head

    def acknowledge(self, count: int, *, rejected: Mapping[int, str]) -> tuple[RejectedEvent, ...]:
        """Move the cursors, behind the rejected events' own file; see `DeliveryQueue.acknowledge`."""
        known = self._head if len(self._head) >= count else self.head(count, self._max_bytes)
        head, rest = known.split(count)
        rejected_events = head.rejected_events(rejected)
        if rejected_events:
            self._home.rejections.keep(rejected_events)
        with self._lock:
            if rejected and self._first_rejected is None:
                self._first_rejected = self._delivered + self._rejected + min(rejected) + 1
            head.settle(rejected)
            self._head = rest
            self._delivered += count - len(rejected)
            self._rejected += len(rejected)
            done = self._pop_settled()
        for segment in done:
            self._home.remove(segment)
        return rejected_events

    def rejected_events(self) -> tuple[RejectedEvent, ...]:
        """Return the rejected events that are kept, oldest first."""
        return self._home.rejections.events() if self._is_open else ()

    def oldest_recorded_at(self) -> float | None:
        """Return when the oldest pending event was appended, by the clock's `monotonic()`; None when empty."""
        with self._lock:
            if self._frozen is not None:
                return None
            for segment in list(self._segments):
                recorded_at = segment.oldest_recorded_at()
                if recorded_at is not None:
                    return recorded_at
        return None

    @property
    def storage(self) -> Storage:
        """How events are kept."""
        return self._home.storage

    @property
    def sync_interval(self) -> float:
        """How often `sync` wants to be called while events wait, in seconds; infinity in memory."""
        return _SYNC_SECONDS if isinstance(self._home, SegmentDirectory) else math.inf

    @property
    def full(self) -> bool:
        """Whether the last event found no room, and there is still none."""
        if not self._refusing:
            return False
        is_at_limit = self.held_bytes + HEADER_BYTES + mmap.PAGESIZE > self._max_bytes
        return is_at_limit or time.monotonic() - self._disk_refused_at < _DISK_SECONDS

    @property
    def held_bytes(self) -> int:
        """What counts towards the limit."""
        with self._lock:
            kept = self._home.rejections.held_bytes if self._is_open else 0
            segments = sum([segment.size for segment in [*self._segments, *self._spare]])
            return segments + kept + self.foreign_bytes

    @property
    def room_bytes(self) -> float:
        """How much more can be appended, as far as can be told; 0 once it is sealed or its home is gone."""
        with self._lock:
            if self.sealed or self._frozen is not None:
                return 0
            media = [segment.buffer for segment in [*list(self._segments)[-1:], *self._spare]]
            begun = sum([medium.size - medium.limit() for medium in media if not medium.sealed])
            unused = max(self._max_bytes - self.held_bytes, 0)
        try:
            return begun + min(unused, self._home.free_bytes() if self._is_open else unused)
        except OSError:
            return 0

    def seal(self) -> None:
        """Refuse every later append. What was appended before stays to be taken. Idempotent."""
        with self._lock:
            self.sealed = True
            if self._segments and not self._segments[-1].buffer.sealed:
                self._segments[-1].buffer.seal()

    def prepare(self) -> None:
        """Do what appending threads should not have to: make the next segment in time, warn when it gets full.

        The second segment is made when the first is half full, each later one when the one before it is begun.

        Called by the flusher whenever it looks after events.
        """
        with self._lock:
            size = self._spare_size()
            if size:
                self._making.acquire()  # whoever needs it meanwhile waits for it: two at once would take longer
        if size:
            try:
                self._spare.append(self._create(size))
            except AuditStoreFull as exc:
                self._warn(str(exc))
            finally:
                self._making.release()
        if self.held_bytes >= _NEARLY_FULL * self._max_bytes:
            self._warn(
                f"the audit spool holds {self.held_bytes} of at most {self._max_bytes} bytes; when it is full, events"
                " are refused: is DataStorage down?"
            )

    def sync(self, *, now: float | None = None) -> bool:
        """Write events that have waited for 200 ms to the disk, at most every 200 ms; in memory do nothing.

        Args:
            now: The clock's `monotonic()`; None to write whatever is not there yet.

        Returns:
            Whether there are pending events that are not on the disk, so that it should be called again.
        """
        if not isinstance(self._home, SegmentDirectory):
            return False
        with self._lock:
            ends = [(segment, segment.end()) for segment in self._segments]
        unsynced = [(segment, end) for segment, end in ends if segment.synced < end]
        oldest = self.oldest_recorded_at()
        if not unsynced or oldest is None:
            return False
        if now is not None and now - max(oldest, self._next_sync - _SYNC_SECONDS) < _SYNC_SECONDS:
            return True
        for segment, end in unsynced:
            # what is settled needs no sync any more; the header is written with the first
            segment.buffer.sync(max(segment.synced, segment.acknowledged) if segment.synced else 0, end)
            segment.synced = end
        self._home.sync_names()
        self._next_sync = self._now() + _SYNC_SECONDS
        return False

    def release(self) -> None:
        """Give files and memory back; what is pending stays in the directory for its next owner.

        Called by the flusher as its last act, with the spool sealed.
        """
        if self._abandoned or not self._is_open:
            return
        try:
            self.sync()
        finally:
            self._give_back()

    def abandon(self) -> None:
        """Let go of everything in a forked child, where it is the parent's; a stale `append` finds no room."""
        self._abandoned = True
        self._lock = threading.RLock()  # whoever held them does not exist here
        self._making = threading.RLock()
        for segment in [*self._segments, *self._spare]:
            segment.buffer.forget()
        self._home.forget()

    def _give_back(self) -> None:
        with self._lock:
            if self._frozen is not None:
                return
            self._frozen = self.counts()
            self._write = _no_segment
            segments = [*self._segments, *self._spare]
            kept = [segment for segment in self._segments if not _is_settled(segment)]
        for segment in segments:
            if segment in kept:
                segment.buffer.close()
            else:
                self._home.remove(segment)
        self._home.close(is_empty=not kept)

    def _append_behind(self, frame: bytes) -> None:
        """Append where there is room, once the current segment has none."""
        with self._lock:
            while True:
                if self._abandoned:
                    raise LogAbandoned
                if self.sealed:
                    raise AuditStoreClosed(
                        "the audit store is closed: record before close(), or make a store that lives longer"
                    )
                try:
                    self.open()
                    segment = self._segments[-1]
                    segment.write(frame)
                except ValueError:
                    self._refuse_or_roll(len(frame))
                except AuditStoreFull as exc:
                    raise self._refuse(exc) from exc.__cause__
                except ConfigurationError as exc:
                    raise AuditError(str(exc)) from exc
                except OSError as exc:
                    raise self._refuse(self._disk_full(exc)) from exc
                else:
                    self._write = segment.write
                    self._refusing = False
                    break
        self.on_new_segment()

    def _refuse_or_roll(self, frame_bytes: int) -> None:
        self._rolls += 1
        try:
            self._roll(frame_bytes)
        except AuditStoreFull as exc:
            raise self._refuse(exc) from exc.__cause__
        finally:
            self._rolls -= 1

    def _refuse(self, exc: AuditStoreFull) -> AuditStoreFull:
        self._refusing = True
        return exc

    def _roll(self, frame_bytes: int) -> None:
        """Put a fresh segment behind the others and seal those.

        The others last: a signal handler in the midst of this appends to whichever comes last and is not sealed.
        """
        segment = self._take_spare(frame_bytes) or self._make(frame_bytes)
        self._segments.append(segment)
        for earlier in list(self._segments):
            if earlier is not self._segments[-1] and not earlier.buffer.sealed:
                earlier.buffer.seal()
        if self.sealed:
            self._segments[-1].buffer.seal()

    def _take_spare(self, frame_bytes: int) -> Segment | None:
        with self._making:
            if not self._spare:
                return None
            spare = self._spare.pop()
        if spare.size >= frame_bytes + HEADER_BYTES:
            return spare
        self._home.remove(spare)
        return None

    def _spare_size(self) -> int:
        """Return how large a spare segment to make now; 0 for none."""
        if self._spare or self.sealed or not self._segments:
            return 0
        last = self._segments[-1]
        is_time = last.origin.sequence > 1 or last.buffer.limit() > last.size // 2
        return self._next_size if is_time and self._next_size <= self._max_bytes - self.held_bytes else 0

    def _make(self, frame_bytes: int) -> Segment:
        """Make a segment that has room for a frame of this length."""
        room = (self._max_bytes - self.held_bytes) // mmap.PAGESIZE * mmap.PAGESIZE
        needed = max(_pages(frame_bytes + HEADER_BYTES), HEADER_BYTES + mmap.PAGESIZE)
        if room < needed:
            raise AuditStoreFull(
                f"the audit spool holds {self.held_bytes} of at most {self._max_bytes} bytes and has no room for an"
                f" event of {max(frame_bytes - FRAME_BYTES, 0)}: is DataStorage down? Raise max_spool_bytes to buffer"
                " more"
            )
        # a signal handler in the midst of making a segment must be done before the next signal comes
        wanted = self._next_size if self._rolls <= 1 else _NESTED_SEGMENT_BYTES
        return self._create(min(max(wanted, needed), room), at_least=needed)

    def _create(self, size: int, *, at_least: int = 0) -> Segment:
        """Have a segment made, a smaller one where the disk has no room for it; the next is to be twice as large."""
        while True:
            try:
                segment = self._home.make_segment(size)
            except OSError as exc:
                smaller = max(_pages(size // 2), at_least)
                if not at_least or smaller == size or exc.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise self._disk_full(exc) from exc
                size = smaller
            else:
                largest = min(max(_pages(self._max_bytes // 4), _MIB), _SEGMENT_BYTES)
                self._next_size = min(self._next_size * 2, largest)
                return segment

    def _disk_full(self, exc: OSError) -> AuditStoreFull:
        self._disk_refused_at = time.monotonic()
        where = f"in {self._home.directory}" if isinstance(self._home, SegmentDirectory) else "in memory"
        return AuditStoreFull(f"the audit spool {where} can't take more: {exc.strerror}; {remedy_for(exc)}")

    def _pop_settled(self) -> list[Segment]:
        done = []
        while len(self._segments) > 1 and _is_settled(self._segments[0]):
            segment = self._segments.popleft()
            self._removed_recorded += segment.recorded()
            done.append(segment)
        return done

    def _warn(self, message: str) -> None:
        now = time.monotonic()
        if now - self._warned_at >= _WARNING_SECONDS:
            self._warned_at = now
            self._log.warning(message)


def _is_settled(segment: Segment) -> bool:
    return segment.buffer.sealed and segment.oldest_recorded_at() is None


def _no_segment(_: bytes) -> None:
    raise ValueError("there is no segment yet")


def _nothing() -> None:
    pass


def _pages(size: int) -> int:
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE

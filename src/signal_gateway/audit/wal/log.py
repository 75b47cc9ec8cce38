"""WriteAheadLog: the recorded events of a store in segments, encoded as they are sent, until they are settled."""

import errno
import logging
import math
import mmap
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

import orjson

from signal_gateway._machine import machine, primitives
from signal_gateway.audit.checksum import crc32
from signal_gateway.audit.errors import AuditStoreClosed, AuditStoreFull
from signal_gateway.audit.stats import EventRejection, Storage
from signal_gateway.audit.wal.buffer import HEADER_BYTES
from signal_gateway.audit.wal.directory import Segments, is_refusal_of_disk, remedy_for
from signal_gateway.audit.wal.recovery import Recovery
from signal_gateway.audit.wal.rejected import RejectedEvent
from signal_gateway.audit.wal.segment import FRAME_BYTES, PendingRecords, Segment, pack_frame_header
from signal_gateway.clock import Clock, SystemClock
from signal_gateway.errors import AuditError, ConfigurationError

__all__ = ["LogAbandoned", "LogCounts", "WriteAheadLog"]

_MIB = 1024 * 1024
_FIRST_SEGMENT_BYTES = _MIB
_SEGMENT_BYTES = 16 * _MIB
_NESTED_SEGMENT_BYTES = 64 * 1024
_NEARLY_FULL = 0.8
_WARNING_SECONDS = 60.0
_MAX_REJECTIONS = 10_000  # of which the log remembers the ordinals
_DISK_SECONDS = 1.0  # that a full disk is assumed to stay full

_SIZE = attrgetter("size")
_PENDING_BYTES = attrgetter("pending_bytes")


class LogAbandoned(Exception):  # noqa: N818 - internal to the audit package
    """The log belongs to the parent of this forked child."""


@dataclass(frozen=True, slots=True)
class LogCounts:
    """Counters of a log, at one moment.

    Attributes:
        recorded: Appended events; the ordinal of the newest one.
        delivered: Events that DataStorage acknowledged.
        rejected: Events that DataStorage rejected.
        settled: Delivered and rejected events; the ordinal up to which all events are settled.
        pending: Recorded events that are not settled.
    """

    recorded: int = 0
    delivered: int = 0
    rejected: int = 0
    settled: int = 0
    pending: int = 0


class WriteAheadLog:
    """A queue of encoded events in segments. Many threads append; one thread, the flusher, reads and settles in order.

    `append` is one call of the current segment's `write`. If the segment is full, `append` takes the lock, which
    orders the change of segments, sealing, counting and settling. The flusher never holds the lock during I/O. An
    appending thread holds it while it makes the next segment, or waits for the flusher to make one. The lock is
    re-entrant, because a signal handler may append during any of these steps.

    The first segments are small: sizes double up to 16 MiB, so a store for a few events costs little.

    Args:
        segments: Creates and removes the segments. Opened with the first segment.
        max_bytes: Maximum size of all segments, rejected events and recovered events.
        clock: Source of the time in each frame.
        log: Logger for warnings about a nearly full spool.
        recovery: Recovered events, whose size counts towards `max_bytes`; None in memory.

    Attributes:
        sealed: Whether the log accepts no more events.
        refusing: Whether the log refused the last event for lack of space; `full` tells whether space is still missing.
        sync_interval: Seconds between two calls of `sync` while events are pending; infinity in memory.
    """

    def __init__(
        self,
        segments: Segments,
        *,
        max_bytes: int,
        clock: Clock,
        log: logging.Logger | logging.LoggerAdapter[logging.Logger],
        recovery: Recovery | None = None,
    ) -> None:
        self._segments = segments
        self._max_bytes = max_bytes
        self._now = machine.monotonic if isinstance(clock, SystemClock) else clock.monotonic
        self._log = log
        self._recovery = recovery
        self._lock = primitives().rlock()
        self._write: Callable[[bytes], object] = _no_segment
        self._queue: deque[Segment] = deque()  # events are appended to the last one
        self._spare: list[Segment] = []  # at most one; made by the flusher ahead of need
        self._making = primitives().rlock()  # held by the flusher, without any other lock, while it makes the spare
        self._next_size = _pages(min(_FIRST_SEGMENT_BYTES, max_bytes // 4))
        self._peeked = PendingRecords([])  # the last result of `peek`, without the settled ones; for the flusher only
        self._rolls = 0  # changes of segment in progress; each but the first in a signal handler
        self._is_open = False
        self._abandoned = False
        self._frozen: LogCounts | None = None
        self._retired = _Retired()
        self._retired_segments: deque[Segment] = deque()  # settled and out of the queue, not removed yet
        self._rejections: deque[EventRejection] = deque(maxlen=_MAX_REJECTIONS)
        self._kept: frozenset[Segment] = frozenset()  # at the release, those with pending events
        self._disk_refused_at = -math.inf
        self._next_sync = -math.inf
        self._warned_at = -math.inf
        self.sync_interval = segments.sync_interval
        self.refusing = False
        self.sealed = False

    def open(self) -> None:
        """Make the first segment, which the first `append` does otherwise.

        Raises:
            ConfigurationError: The spool directory is unusable.
            AuditStoreFull: There is no space for a file, or the disk is read-only.
        """
        with self._lock:
            if not self._is_open:
                try:
                    self._segments.open()
                except ConfigurationError as exc:
                    if not is_refusal_of_disk(exc.__cause__):
                        raise
                    self._disk_refused_at = machine.monotonic()
                    raise AuditStoreFull(str(exc)) from exc.__cause__
                try:
                    self._roll(0)
                except AuditStoreFull:
                    self._segments.close(is_empty=True)
                    raise
                self._is_open = True
                self.refusing = False
                self._write = self._queue[-1].write

    def append(self, payload: bytes) -> bool:
        """Append one event, atomically with respect to `seal`. The event is recorded when the call returns.

        Args:
            payload: The encoded event.

        Returns:
            Whether the event is the first in its segment, so that the flusher should call `prepare`.

        Raises:
            AuditStoreClosed: The log is sealed.
            AuditStoreFull: The log reached its maximum size, or the disk is full.
            LogAbandoned: The process is a forked child, whose store has a new log.
        """
        frame = pack_frame_header(len(payload), crc32(payload), self._now()) + payload
        try:
            self._write(frame)
        except ValueError:
            self._append_to_next(frame)
            return True
        except OSError as exc:
            raise self._refuse(self._disk_full(exc)) from exc
        return False

    def counts(self) -> LogCounts:
        """Return a consistent snapshot of the counters. Any thread may call it."""
        with self._lock:
            if self._frozen is not None:
                return self._frozen
            retired = self._retired
            recorded, delivered, rejected = retired.recorded, retired.delivered, retired.rejected
            for segment in list(self._queue):
                if segment is not retired.last:
                    recorded += segment.recorded()
                    delivered += segment.cursor.delivered
                    rejected += segment.cursor.rejected
            settled = delivered + rejected
            return LogCounts(recorded, delivered, rejected, settled, recorded - settled)

    def peek(self, max_events: int, max_bytes: int) -> PendingRecords:
        """Return the oldest unsettled events; see `DeliveryQueue.peek`."""
        places: list[tuple[Segment, int, int]] = []
        body_bytes = 1  # plus a comma or the closing bracket per event
        self._peeked = PendingRecords(places)
        with self._lock:
            for segment in list(self._queue):
                for begin, end in segment.frames(segment.cursor.acknowledged):
                    body_bytes += end - begin + 1
                    if places and (len(places) == max_events or body_bytes > max_bytes):
                        return self._peeked
                    places.append((segment, begin, end))
        return self._peeked

    def ack(self, count: int, *, rejected: Mapping[int, str]) -> tuple[RejectedEvent, ...]:
        """Settle the oldest events; see `DeliveryQueue.ack`.

        An asynchronous exception may interrupt the flusher's thread anywhere here. So each segment is settled in one
        step, and the counters are those of the segments.
        """
        records, rest = self._peeked, PendingRecords([])
        if len(records.places) != count:
            known = records if len(records) > count else self.peek(count, self._max_bytes)
            records, rest = known.split(count)
        rejected_events = records.rejected_events(rejected) if rejected else ()
        if rejected_events:
            self._segments.rejections.keep(rejected_events)
            self._remember(sorted(rejected), rejected_events)
        with self._lock:
            self._peeked = PendingRecords([])  # until all segments are settled
            records.settle(rejected)
            self._peeked = rest
            while len(self._queue) > 1 and self._retires(self._queue[0]):
                self._retired_segments.append(self._queue[0])
                self._queue.popleft()
        while self._retired_segments:
            self._segments.remove(self._retired_segments[0])
            self._retired_segments.popleft()
        return rejected_events

    def _remember(self, indices: Sequence[int], events: Sequence[RejectedEvent]) -> None:
        settled = self.counts().settled
        for index, event in zip(indices, events, strict=True):
            ordinal = settled + index + 1
            # an acknowledgement that was interrupted is repeated
            if not self._rejections or ordinal > self._rejections[-1].ordinal:
                self._rejections.append(EventRejection(ordinal, event.reason, _envelope(event)))

    def _retires(self, segment: Segment) -> bool:
        """Count a settled segment among the retired ones; return whether it is settled."""
        if segment is self._retired.last:
            return True
        if _is_settled(segment):
            self._retired = self._retired.with_segment(segment)
            return True
        return False

    def rejections(self, through: int) -> tuple[EventRejection, ...]:
        """Return the newest rejections up to an ordinal, oldest first.

        Args:
            through: Ordinal of the last event to look at.
        """
        return tuple(rejection for rejection in list(self._rejections) if rejection.ordinal <= through)

    def rejected_through(self, through: int) -> int:
        """Return the number of rejected events up to an ordinal."""
        later = sum(1 for rejection in list(self._rejections) if rejection.ordinal > through)
        return self.counts().rejected - later

    def rejected_events(self) -> tuple[RejectedEvent, ...]:
        """Return the rejected events of this store, oldest first."""
        return self._segments.rejections.events() if self._is_open else ()

    def oldest_recorded_at(self) -> float | None:
        """Return the recording time of the oldest pending event, by the clock's `monotonic()`; None without one."""
        with self._lock:
            if self._frozen is not None:
                return None
            for segment in list(self._queue):
                recorded_at = segment.oldest_recorded_at()
                if recorded_at is not None:
                    return recorded_at
        return None

    @property
    def storage(self) -> Storage:
        """How the segments are kept."""
        return self._segments.storage

    @property
    def full(self) -> bool:
        """Whether the log refused the last event for lack of space, and space is still missing."""
        if not self.refusing:
            return False
        if not self._is_open:
            return not self.reopen()
        is_at_limit = self.held_bytes + HEADER_BYTES + mmap.PAGESIZE > self._max_bytes
        return is_at_limit or machine.monotonic() - self._disk_refused_at < _DISK_SECONDS

    def reopen(self) -> bool:
        """Open a log that could not be opened for lack of space, at most once a second; return whether it is open."""
        with self._lock:
            if not self._is_open and machine.monotonic() - self._disk_refused_at >= _DISK_SECONDS:
                try:
                    self.open()
                except (AuditStoreFull, ConfigurationError) as exc:
                    self._log.debug("the audit spool takes no events yet: %s", exc)
            return self._is_open

    @property
    def held_bytes(self) -> int:
        """Size of the segments, of the rejected and of the recovered events, which counts towards the maximum."""
        with self._lock:
            held: int = sum(map(_SIZE, [*self._queue, *self._spare]))
            if self._is_open:
                held += self._segments.rejections.held_bytes
            if self._recovery is not None:
                held += sum(map(_PENDING_BYTES, list(self._recovery.orphans)))
            return held

    @property
    def free_bytes(self) -> float:
        """Free space for more events, as far as known; 0 if the log is sealed or its directory was removed."""
        with self._lock:
            if self.sealed or self._frozen is not None or (self.refusing and not self.reopen()):
                return 0
            buffers = [segment.buffer for segment in [*list(self._queue)[-1:], *self._spare]]
            begun = sum([buffer.size - buffer.limit() for buffer in buffers if not buffer.sealed])
            unused = max(self._max_bytes - self.held_bytes, 0)
        try:
            return begun + min(unused, self._segments.free_bytes() if self._is_open else unused)
        except OSError:
            return 0

    def seal(self) -> None:
        """Refuse all later events. Recorded events stay pending. Idempotent."""
        with self._lock:
            self.sealed = True
            if self._queue and not self._queue[-1].buffer.sealed:
                self._queue[-1].buffer.seal()

    def prepare(self) -> None:
        """Make the next segment ahead of need, and warn about a nearly full spool. Called by the flusher.

        The flusher makes the second segment when the first is half full, each later one when the previous one is begun.
        """
        size = 0
        try:
            with self._lock:
                if self._queue and not self._spare and not self.sealed:
                    last = self._queue[-1]
                    is_time = last.origin.sequence > 1 or last.buffer.limit() > last.size // 2
                    if is_time and self._next_size <= self._max_bytes - self.held_bytes:
                        size = self._next_size
                        self._making.acquire()  # a thread that needs the segment waits for this one
            if size:
                self._spare.append(self._create(size))
        except AuditStoreFull as exc:
            self._warn(str(exc))
        finally:
            try:
                self._making.release()
            except RuntimeError:  # not acquired; a flag could be wrong after an asynchronous exception
                size = 0
        held_bytes = self.held_bytes
        if held_bytes >= _NEARLY_FULL * self._max_bytes:
            self._warn(
                f"the audit spool is nearly full: {held_bytes} of at most {self._max_bytes} bytes. A full spool refuses"
                " events. Check that DataStorage is up"
            )

    def sync(self, *, now: float | None = None) -> bool:
        """Write events that have been pending for the sync interval to the disk; do nothing in memory.

        Args:
            now: The clock's `monotonic()`; None to write all pending events at once.

        Returns:
            Whether there are pending events that are not due yet, so that a later call is needed.
        """
        oldest = self.oldest_recorded_at()
        if oldest is None or self.sync_interval == math.inf:
            return False
        if now is not None and now - max(oldest, self._next_sync - self.sync_interval) < self.sync_interval:
            return True
        with self._lock:
            unsynced = [(segment, segment.unsynced()) for segment in list(self._queue)]
        if not any(bounds for _, bounds in unsynced):
            return False
        for segment, bounds in unsynced:
            if bounds is not None:
                segment.sync(*bounds)
        self._segments.sync_names()
        self._next_sync = self._now() + self.sync_interval
        return False

    def is_kept(self) -> bool:
        """Return whether a later store will find all pending events: none of their files was removed."""
        with self._lock:
            pending = self._kept if self._frozen is not None else [one for one in self._queue if not _is_settled(one)]
            return all(self._segments.outlives(segment) for segment in pending)

    def release(self) -> None:
        """Release files and memory. Pending events stay in the directory for its next owner.

        Called once the log is sealed: the lock on the files belongs to the threads that append, not to the flusher.

        Raises:
            RuntimeError: The log is not sealed.
        """
        if self._abandoned or not self._is_open:
            return
        if not self.sealed:
            raise RuntimeError("release of a log that is not sealed: call seal first")
        try:
            self.sync()
        finally:
            self._give_back()

    def abandon(self) -> None:
        """Release everything in a forked child, where all segments belong to the parent. Later appends fail."""
        self._abandoned = True
        self._lock = primitives().rlock()  # the holder of the old one does not exist in this process
        self._making = primitives().rlock()
        for segment in [*self._queue, *self._spare]:
            segment.buffer.forget()
        self._segments.forget()

    def _give_back(self) -> None:
        """Release all segments and the lock. A second call completes a first one that was interrupted."""
        with self._lock:
            if self._frozen is None:
                self._kept = frozenset(segment for segment in self._queue if not _is_settled(segment))
                self._frozen = self.counts()
            self._write = _no_segment
            self._queue.extend(self._spare)
            self._spare.clear()
        while self._queue:
            segment = self._queue[0]
            if segment in self._kept:
                segment.buffer.close()
            else:
                self._segments.remove(segment)
            self._queue.popleft()
        self._segments.close(is_empty=not self._kept)

    def _append_to_next(self, frame: bytes) -> None:
        """Append to the last segment, or to a new one if the last one is full or sealed."""
        with self._lock:
            while True:
                if self._abandoned:
                    raise LogAbandoned
                if self.sealed:
                    raise AuditStoreClosed(
                        "the audit store is closed: record before close(), or use a store with a longer lifetime"
                    )
                try:
                    self.open()
                    segment = self._queue[-1]
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
                    self.refusing = False
                    return

    def _refuse_or_roll(self, frame_bytes: int) -> None:
        self._rolls += 1
        try:
            self._roll(frame_bytes)
        except AuditStoreFull as exc:
            raise self._refuse(exc) from exc.__cause__
        finally:
            self._rolls -= 1

    def _refuse(self, exc: AuditStoreFull) -> AuditStoreFull:
        self.refusing = True
        return exc

    def _roll(self, frame_bytes: int) -> None:
        """Append a new segment to the queue, then seal the earlier ones.

        In this order a signal handler always finds a last segment that is not sealed.
        """
        segment = self._take_spare(frame_bytes) or self._make(frame_bytes)
        self._queue.append(segment)
        for earlier in list(self._queue):
            if earlier is not self._queue[-1] and not earlier.buffer.sealed:
                earlier.buffer.seal()
        if self.sealed:
            self._queue[-1].buffer.seal()

    def _take_spare(self, frame_bytes: int) -> Segment | None:
        with self._making:
            if not self._spare:
                return None
            spare = self._spare.pop()
        if spare.size >= frame_bytes + HEADER_BYTES:
            return spare
        self._segments.remove(spare)
        return None

    def _make(self, frame_bytes: int) -> Segment:
        """Return a new segment with space for a frame of this size."""
        available = (self._max_bytes - self.held_bytes) // mmap.PAGESIZE * mmap.PAGESIZE
        needed = max(_pages(frame_bytes + HEADER_BYTES), HEADER_BYTES + mmap.PAGESIZE)
        if available < needed:
            raise AuditStoreFull(
                f"the audit spool is full: {self.held_bytes} of at most {self._max_bytes} bytes, no space for an event"
                f" of {max(frame_bytes - FRAME_BYTES, 0)} bytes. Check that DataStorage is up, or raise max_spool_bytes"
            )
        # a signal handler that interrupts the making of a segment has to complete before the next signal
        wanted = self._next_size if self._rolls <= 1 else _NESTED_SEGMENT_BYTES
        return self._create(min(max(wanted, needed), available), at_least=needed)

    def _create(self, size: int, *, at_least: int = 0) -> Segment:
        """Return a new segment, a smaller one if the disk is nearly full; double the size of the next one."""
        while True:
            try:
                segment = self._segments.make_segment(size)
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
        self._disk_refused_at = machine.monotonic()
        return AuditStoreFull(
            f"cannot write to the audit spool {self._segments.location}: {exc.strerror}; {remedy_for(exc)}"
        )

    def _warn(self, message: str) -> None:
        now = machine.monotonic()
        if now - self._warned_at >= _WARNING_SECONDS:
            self._warned_at = now
            self._log.warning(message)


@dataclass(frozen=True, slots=True)
class _Retired:
    """Counters of the settled segments that left the queue, replaced in one step.

    Attributes:
        last: The last one, which may be in the queue still.
    """

    last: Segment | None = None
    recorded: int = 0
    delivered: int = 0
    rejected: int = 0

    def with_segment(self, segment: Segment) -> "_Retired":
        return _Retired(
            segment,
            self.recorded + segment.recorded(),
            self.delivered + segment.cursor.delivered,
            self.rejected + segment.cursor.rejected,
        )


def _envelope(event: RejectedEvent) -> dict[str, object]:
    document: dict[str, object] = orjson.loads(event.payload)
    document.pop("event_data", None)
    return document


def _is_settled(segment: Segment) -> bool:
    return segment.buffer.sealed and segment.oldest_recorded_at() is None


def _no_segment(_: bytes) -> None:
    raise ValueError("there is no segment yet")


def _pages(size: int) -> int:
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE

"""Recovery: finds the orphaned segments in a spool directory and hands their events to the flusher of a live store."""

import errno
import logging
import os
import re
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from signal_gateway._machine import machine
from signal_gateway.audit.stats import RecoveryCounts
from signal_gateway.audit.wal.directory import (
    SEGMENT_SUFFIX,
    TEMPORARY_SUFFIX,
    boot_id,
    is_refusal_of_disk,
    is_running,
    open_buffer,
)
from signal_gateway.audit.wal.origin import BadSegment, NewerSegment
from signal_gateway.audit.wal.ownership import INCOMPLETE_SUFFIX, StoreLock
from signal_gateway.audit.wal.rejected import RejectedEvent, Rejections
from signal_gateway.audit.wal.segment import FRAME_BYTES, PendingRecords, Segment, TailState
from signal_gateway.errors import AuditError

__all__ = ["CORRUPT_DIRECTORY", "Orphan", "Recovery", "owners_in"]

CORRUPT_DIRECTORY = "corrupt"
_SPOOL_FILE = re.compile(r"(?P<store_id>[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})(\.lock|-\d+\.(segment|tmp))")
_INCOMPLETE_SECONDS = 60.0
_COPY_BYTES = 1024 * 1024
_PROBE_BYTES = 64 * 1024  # that a scan wants to be free before it tries a file that was held back again


@dataclass(slots=True)
class Orphan:
    """An orphaned segment that waits for its delivery.

    Attributes:
        path: Path of the segment.
        store_id: Id of the orphaned store.
        pending_bytes: Size of the pending events, until the segment is done.
        pending: Number of pending events.
        unsettled: Delivered events behind the cursor of the file, which could not be changed.
        repeated: Events that are delivered again, because their earlier delivery is not settled in the file.
    """

    path: Path
    store_id: str
    pending_bytes: int
    pending: int
    unsettled: int = 0
    repeated: int = 0


class Recovery:
    """Takes over orphaned segments, oldest first, and maps one of them at a time.

    Only the flusher calls the methods, except `counts`. They never raise for the content of a segment: an unreadable
    one is set aside in `corrupt/` and counted; one that cannot be opened stays for a later `scan`. Damaged bytes inside
    a segment are set aside, the intact frames before and behind them are delivered.

    The delivery needs no free space and no right to write. If a rejected event or damaged bytes cannot be written
    elsewhere, or the file cannot be changed, the file is *held back*: the rest of it is delivered, the file stays as it
    is, and a later scan that finds space completes it.

    Args:
        directory: The spool directory.
        rejections: Storage of the rejected events.
        log: Logger for torn and damaged files.

    Attributes:
        orphans: The segments that wait for their delivery. Other threads read a copy.
    """

    def __init__(
        self, directory: Path, *, rejections: Rejections, log: logging.Logger | logging.LoggerAdapter[logging.Logger]
    ) -> None:
        self._directory = directory
        self._rejections = rejections
        self._log = log
        self._locks: dict[str, StoreLock] = {}  # by id of the orphaned store
        self.orphans: deque[Orphan] = deque()
        self._current: Segment | None = None  # the first orphan, after it is opened
        self._held_back: list[Orphan] = []
        self._delivered = self._rejected = self._torn = self._corrupt = 0
        self._left: RecoveryCounts | None = None

    def counts(self) -> RecoveryCounts:
        """Return a snapshot of the counters."""
        if self._left is not None:
            return self._left
        orphans = [*self.orphans, *self._held_back]
        pending = sum([max(orphan.pending, 0) for orphan in orphans])
        repeatable = sum([orphan.unsettled + orphan.repeated for orphan in orphans])
        return RecoveryCounts(self._delivered, self._rejected, pending, self._torn, self._corrupt, repeatable)

    def has_orphans(self) -> bool:
        """Return whether the directory has segments of orphaned stores, without taking them over."""
        try:
            names = os.listdir(self._directory)
            return any(
                StoreLock.is_free(self._directory, store_id)
                for store_id in owners_in(name for name in names if name.endswith(SEGMENT_SUFFIX))
            )
        except OSError:
            return False

    def scan(self) -> None:
        """Take over all orphaned segments in the directory."""
        try:
            names = os.listdir(self._directory)
            self._remove_incomplete(names)
        except OSError as exc:
            self._log.error("cannot search %s for orphaned audit events: %s", self._directory, exc.strerror)
            return
        if self._held_back and self._has_space():
            self._try_again()
        for store_id in sorted(owners_in(names) - self._locks.keys()):
            try:
                self._take_over(store_id)
            except OSError as exc:
                self._put_off(store_id, exc)

    def peek(self, max_events: int, max_bytes: int) -> PendingRecords:
        """Return the oldest events, all from one segment; empty without any. See `DeliveryQueue.peek`."""
        while self.orphans:
            orphan = self.orphans[0]
            try:
                segment = self._current = self._current or _open(orphan.path)
                places = list(self._intact(segment, max_events, max_bytes))
                if places:
                    return PendingRecords(places)
                self._finish(orphan, segment)
            except (OSError, BadSegment) as exc:
                self._put_off(orphan.store_id, exc)
        return PendingRecords([])

    def ack(self, count: int, *, rejected: Mapping[int, str]) -> tuple[RejectedEvent, ...]:
        """Settle the oldest events, in the orphaned segment itself; see `DeliveryQueue.ack`."""
        segment = self._current
        if segment is None:
            raise RuntimeError("ack without a preceding peek")
        orphan = self.orphans[0]
        places = islice(segment.intact_frames(segment.cursor.acknowledged), count)
        records = PendingRecords([(segment, *place) for place in places])
        rejected_events = self._keep(orphan, segment, records, rejected)
        records.settle(rejected)
        delivered = count - len(rejected)
        again = min(orphan.repeated, delivered)
        orphan.repeated -= again
        self._delivered += delivered - again
        self._rejected += len(rejected_events)
        orphan.pending -= delivered + len(rejected_events)
        if not segment.keeps_cursor:
            orphan.unsettled += delivered
        self.peek(1, 0)  # releases the segment, and the lock of its store, if those were the last events
        return rejected_events

    def release(self) -> None:
        """Leave pending events to a later store."""
        self._left = self.counts()
        self._close_current()
        self.orphans.clear()
        self._held_back.clear()
        for store_id in list(self._locks):
            self._free(store_id)

    def forget(self) -> None:
        """Release everything in a forked child, where all locks belong to the parent."""
        if self._current is not None:
            self._current.buffer.forget()
        for lock in self._locks.values():
            lock.forget()

    def _remove_incomplete(self, names: Iterable[str]) -> None:
        """Remove the incomplete lock files of stores that died. A store locks its file in much less than a minute."""
        for name in names:
            if name.endswith(INCOMPLETE_SUFFIX):
                path = self._directory / name
                with suppress(OSError):  # removed meanwhile, or on a read-only disk
                    if machine.time() - path.stat().st_mtime > _INCOMPLETE_SECONDS:
                        path.unlink()

    def _take_over(self, store_id: str) -> None:
        if self._has_lost_its_lock(store_id):
            return
        lock = StoreLock.take_over(self._directory, store_id)
        if lock is None:
            return
        self._locks[store_id] = lock
        for path in self._directory.glob(f"{store_id}-*{TEMPORARY_SUFFIX}"):
            with suppress(OSError):  # incomplete, so without events
                path.unlink()
        for path in sorted(self._directory.glob(f"{store_id}-*{SEGMENT_SUFFIX}")):
            try:
                segment = _open(path)
            except NewerSegment as exc:
                self._log.error("skipped the audit segment %s: %s", path, exc)
                continue
            except BadSegment as exc:
                self._set_file_aside(path, exc)
                continue
            if segment.header_damage is not None:
                self._log.error("%s: %s; its intact audit events are delivered", path, segment.header_damage)
            pending = segment.count_pending()
            pending_bytes = segment.end() - segment.cursor.acknowledged
            segment.buffer.close()
            self.orphans.append(Orphan(path, store_id, pending_bytes, pending))
        self._free_if_finished(store_id)

    def _has_lost_its_lock(self, store_id: str) -> bool:
        """Return whether the lock file of a live store was removed, as far as the process id in its segments tells."""
        if StoreLock.exists(self._directory, store_id):
            return False
        for path in self._directory.glob(f"{store_id}-*{SEGMENT_SUFFIX}"):
            with suppress(BadSegment):
                segment = _open(path)
                segment.buffer.close()
                maker = segment.origin
                if segment.header_damage is not None:
                    continue
                return maker.boot_id == boot_id() and maker.pid != os.getpid() and is_running(maker.pid)
        return False

    def _intact(self, segment: Segment, max_events: int, max_bytes: int) -> Iterator[tuple[Segment, int, int]]:
        body_bytes = 1
        for count, (begin, end) in enumerate(segment.intact_frames(segment.cursor.acknowledged)):
            body_bytes += end - begin + 1
            if count and (count == max_events or body_bytes > max_bytes):
                return
            yield segment, begin, end

    def _keep(
        self, orphan: Orphan, segment: Segment, records: PendingRecords, rejected: Mapping[int, str]
    ) -> tuple[RejectedEvent, ...]:
        """Write rejected events and damaged bytes elsewhere, or hold the file back; return the rejected events."""
        if not segment.keeps_cursor:
            return ()
        rejected_events = records.rejected_events(rejected)
        try:
            if rejected_events:
                self._rejections.keep(rejected_events)
            offset = segment.cursor.acknowledged
            for _, begin, end in records.places:
                if offset < begin - FRAME_BYTES:
                    self._set_bytes_aside(orphan.path, segment, offset, begin - FRAME_BYTES)
                offset = end
        except (AuditError, OSError) as exc:
            if not is_refusal_of_disk(exc if isinstance(exc, OSError) else exc.__cause__):
                raise
            self._hold_back(orphan, segment, exc)
            return ()
        return rejected_events

    def _hold_back(self, orphan: Orphan, segment: Segment, exc: Exception) -> None:
        segment.keeps_cursor = False
        self._log.error("%s stays, only its other audit events are delivered: %s", orphan.path, exc)

    def _try_again(self) -> None:
        """Put the held-back segments in front; their delivered events are sent again."""
        for orphan in self._held_back:
            orphan.repeated, orphan.unsettled = orphan.repeated + orphan.unsettled, 0
            orphan.pending += orphan.repeated
        self.orphans.extendleft(reversed(self._held_back))
        self._held_back.clear()

    def _has_space(self) -> bool:
        try:
            with tempfile.TemporaryFile(dir=self._directory, buffering=0) as probe:
                probe.write(b"\1" * _PROBE_BYTES)
        except OSError:
            return False
        return True

    def _check_tail(self, orphan: Orphan, segment: Segment) -> None:
        """Count the rest of a segment, behind its last intact frame, as torn or corrupt."""
        offset = segment.cursor.acknowledged
        is_last = all(other.store_id != orphan.store_id for other in islice(self.orphans, 1, None))
        match segment.tail_state(offset):
            case TailState.TORN if is_last:
                self._torn += 1
                self._log.warning(
                    "dropped an incomplete audit event in %s: its process died while recording", orphan.path
                )
            case TailState.CORRUPT | TailState.TORN:  # a sealed segment has no torn frame
                self._set_bytes_aside(orphan.path, segment, offset, segment.size)

    def _set_bytes_aside(self, path: Path, segment: Segment, begin: int, end: int) -> None:
        target = self._corrupt_path(f"{path.name}-{begin}")
        try:
            with target.open("wb") as file:
                for offset in range(begin, end, _COPY_BYTES):
                    file.write(segment.buffer.read(offset, min(offset + _COPY_BYTES, end)))
                os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):
                target.unlink()  # a part would look like the whole
            raise
        self._note_corrupt(f"{path} is damaged from byte {begin} to {end}", target)

    def _set_file_aside(self, path: Path, exc: BadSegment) -> None:
        try:
            target = self._corrupt_path(path.name)
            path.rename(target)
        except OSError as cause:
            self._log.error("%s cannot be read, %s, and cannot be set aside: %s", path, exc, cause.strerror)
            return
        self._note_corrupt(f"{path} cannot be read, {exc}", target)

    def _corrupt_path(self, name: str) -> Path:
        directory = self._directory / CORRUPT_DIRECTORY
        directory.mkdir(mode=0o700, exist_ok=True)
        return directory / name

    def _note_corrupt(self, damage: str, target: Path) -> None:
        self._corrupt += 1
        self._log.error("%s: set aside as %s, not delivered", damage, target)

    def _finish(self, orphan: Orphan, segment: Segment) -> None:
        """Remove the current segment, all frames of which are settled, or hold it back."""
        if segment.keeps_cursor:
            try:
                self._check_tail(orphan, segment)
            except OSError as exc:
                if not is_refusal_of_disk(exc):
                    raise
                self._hold_back(orphan, segment, exc)
        self._close_current()
        self.orphans.popleft()
        if not segment.keeps_cursor:
            self._held_back.append(orphan)
            return
        orphan.path.unlink(missing_ok=True)
        self._free_if_finished(orphan.store_id)

    def _put_off(self, store_id: str, exc: Exception) -> None:
        """Leave the segments of an orphaned store to a later scan."""
        self._log.error("audit events of the orphaned store %s stay pending, they cannot be read: %s", store_id, exc)
        if self.orphans and self.orphans[0].store_id == store_id:
            self._close_current()
        for orphan in [orphan for orphan in self.orphans if orphan.store_id == store_id]:
            self.orphans.remove(orphan)
        self._held_back = [orphan for orphan in self._held_back if orphan.store_id != store_id]
        self._free(store_id)

    def _close_current(self) -> None:
        if self._current is not None:
            self._current.buffer.close()
            self._current = None

    def _free_if_finished(self, store_id: str) -> None:
        if all(orphan.store_id != store_id for orphan in [*self.orphans, *self._held_back]):
            self._free(store_id)

    def _free(self, store_id: str) -> None:
        lock = self._locks.pop(store_id, None)
        if lock is not None:
            lock.release(remove=not any(self._directory.glob(f"{store_id}-*{SEGMENT_SUFFIX}")))


def owners_in(names: Iterable[str]) -> set[str]:
    """Return the ids of the stores with files in a spool directory.

    Args:
        names: Names of the files in the directory; names of other files are ignored.
    """
    return {match["store_id"] for name in names if (match := _SPOOL_FILE.fullmatch(name))}


def _open(path: Path) -> Segment:
    """Open a segment; one on a read-only disk without the right to change it."""
    is_read_only = False
    try:
        buffer = open_buffer(path)
    except OSError as exc:
        if exc.errno != errno.EROFS:
            raise
        is_read_only = True
        buffer = open_buffer(path, read_only=True)
    try:
        segment = Segment.open(buffer)
    except BaseException:
        buffer.close()
        raise
    segment.keeps_cursor = not is_read_only
    return segment

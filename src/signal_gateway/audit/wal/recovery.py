"""Recovery: finds the orphaned segments in a spool directory and hands their events to the flusher of a live store."""

import logging
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from signal_gateway._machine import machine
from signal_gateway.audit.stats import RecoveryCounts
from signal_gateway.audit.wal.directory import SEGMENT_SUFFIX, TEMPORARY_SUFFIX, boot_id, is_running, open_buffer
from signal_gateway.audit.wal.origin import BadSegment, NewerSegment
from signal_gateway.audit.wal.ownership import INCOMPLETE_SUFFIX, StoreLock
from signal_gateway.audit.wal.rejected import RejectedEvent, Rejections
from signal_gateway.audit.wal.segment import PendingRecords, Segment, TailState

__all__ = ["CORRUPT_DIRECTORY", "Orphan", "Recovery", "owners_in"]

CORRUPT_DIRECTORY = "corrupt"
_SPOOL_FILE = re.compile(r"(?P<store_id>[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})(\.lock|-\d+\.(segment|tmp))")
_INCOMPLETE_SECONDS = 60.0
_COPY_BYTES = 1024 * 1024


@dataclass(slots=True)
class Orphan:
    """An orphaned segment that waits for its delivery.

    Attributes:
        path: Path of the segment.
        store_id: Id of the orphaned store.
        pending_bytes: Size of the pending events, until the segment is done.
        pending: Number of pending events.
    """

    path: Path
    store_id: str
    pending_bytes: int
    pending: int


class Recovery:
    """Takes over orphaned segments, oldest first, and maps one of them at a time.

    Only the flusher calls the methods, except `counts`. They never raise for the content of a segment: an unreadable
    one is set aside in `corrupt/` and counted; one that cannot be opened stays for a later `scan`.

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
        self._delivered = self._rejected = self._torn = self._corrupt = 0
        self._left: RecoveryCounts | None = None

    def counts(self) -> RecoveryCounts:
        """Return a snapshot of the counters."""
        if self._left is not None:
            return self._left
        pending = sum([orphan.pending for orphan in list(self.orphans)])
        return RecoveryCounts(self._delivered, self._rejected, pending, self._torn, self._corrupt)

    def scan(self) -> None:
        """Take over all orphaned segments in the directory."""
        try:
            names = os.listdir(self._directory)
            self._remove_incomplete(names)
        except OSError as exc:
            self._log.error("cannot search %s for orphaned audit events: %s", self._directory, exc.strerror)
            return
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
                self._check_tail(segment)
                self._finish()
            except (OSError, BadSegment) as exc:
                self._put_off(orphan.store_id, exc)
        return PendingRecords([])

    def ack(self, count: int, *, rejected: Mapping[int, str]) -> tuple[RejectedEvent, ...]:
        """Settle the oldest events, in the orphaned segment itself; see `DeliveryQueue.ack`."""
        segment = self._current
        if segment is None:
            raise RuntimeError("ack without a preceding peek")
        records = PendingRecords(
            [(segment, *place) for place in islice(segment.frames(segment.cursor.acknowledged), count)]
        )
        rejected_events = records.rejected_events(rejected)
        if rejected_events:
            self._rejections.keep(rejected_events)
        records.settle(rejected)
        self._delivered += count - len(rejected)
        self._rejected += len(rejected)
        self.orphans[0].pending -= count
        self.peek(1, 0)  # releases the segment, and the lock of its store, if those were the last events
        return rejected_events

    def release(self) -> None:
        """Leave pending events to a later store."""
        self._left = self.counts()
        self._close_current()
        self.orphans.clear()
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
                with suppress(FileNotFoundError):
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
            path.unlink(missing_ok=True)  # incomplete, so without events
        for path in sorted(self._directory.glob(f"{store_id}-*{SEGMENT_SUFFIX}")):
            try:
                segment = _open(path)
            except NewerSegment as exc:
                self._log.error("skipped the audit segment %s: %s", path, exc)
                continue
            except BadSegment as exc:
                self._set_file_aside(path, exc)
                continue
            pending = segment.recorded() - segment.cursor.delivered - segment.cursor.rejected
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
                return maker.boot_id == boot_id() and maker.pid != os.getpid() and is_running(maker.pid)
        return False

    def _intact(self, segment: Segment, max_events: int, max_bytes: int) -> Iterator[tuple[Segment, int, int]]:
        body_bytes = 1
        for count, (begin, end) in enumerate(segment.frames(segment.cursor.acknowledged)):
            body_bytes += end - begin + 1
            if count and (count == max_events or body_bytes > max_bytes):
                return
            if not segment.is_intact(begin, end):
                return
            yield segment, begin, end

    def _check_tail(self, segment: Segment) -> None:
        """Count the rest of a segment, behind its last intact frame, as torn or corrupt."""
        path = self.orphans[0].path
        offset = segment.cursor.acknowledged
        is_last = all(orphan.store_id != self.orphans[0].store_id for orphan in islice(self.orphans, 1, None))
        match segment.tail_state(offset):
            case TailState.TORN if is_last:
                self._torn += 1
                self._log.warning("dropped an incomplete audit event in %s: its process died while recording", path)
            case TailState.CORRUPT | TailState.TORN:  # a sealed segment has no torn frame
                target = self._corrupt_path(f"{path.name}-{offset}")
                with target.open("wb") as file:
                    for begin in range(offset, segment.size, _COPY_BYTES):
                        file.write(segment.buffer.read(begin, min(begin + _COPY_BYTES, segment.size)))
                    os.fsync(file.fileno())
                self._note_corrupt(f"{path} is damaged from byte {offset} on", target)

    def _set_file_aside(self, path: Path, exc: BadSegment) -> None:
        target = self._corrupt_path(path.name)
        path.rename(target)
        self._note_corrupt(f"{path} cannot be read, {exc}", target)

    def _corrupt_path(self, name: str) -> Path:
        directory = self._directory / CORRUPT_DIRECTORY
        directory.mkdir(mode=0o700, exist_ok=True)
        return directory / name

    def _note_corrupt(self, damage: str, target: Path) -> None:
        self._corrupt += 1
        self._log.error("%s: set aside as %s; its audit events are not delivered", damage, target)

    def _finish(self) -> None:
        """Remove the current segment."""
        self._close_current()
        orphan = self.orphans.popleft()
        orphan.path.unlink(missing_ok=True)
        self._free_if_finished(orphan.store_id)

    def _put_off(self, store_id: str, exc: Exception) -> None:
        """Leave the segments of an orphaned store to a later scan."""
        self._log.error("audit events of the orphaned store %s stay pending, they cannot be read: %s", store_id, exc)
        if self.orphans and self.orphans[0].store_id == store_id:
            self._close_current()
        for orphan in [orphan for orphan in self.orphans if orphan.store_id == store_id]:
            self.orphans.remove(orphan)
        self._free(store_id)

    def _close_current(self) -> None:
        if self._current is not None:
            self._current.buffer.close()
            self._current = None

    def _free_if_finished(self, store_id: str) -> None:
        if all(orphan.store_id != store_id for orphan in self.orphans):
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
    buffer = open_buffer(path)
    try:
        return Segment.open(buffer)
    except BaseException:
        buffer.close()
        raise

"""Recovery: the events that dead stores left in a spool directory, delivered by a live one."""

import logging
import os
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from signal_gateway.audit.wal.directory import SEGMENT_SUFFIX, TEMPORARY_SUFFIX, boot_id, is_running, open_buffer
from signal_gateway.audit.wal.ownership import INCOMPLETE_SUFFIX, StoreLock
from signal_gateway.audit.wal.pending import PendingRecords
from signal_gateway.audit.wal.rejected import RejectedEvent, Rejections
from signal_gateway.audit.wal.segment import BadSegment, NewerSegment, Segment, TailState

__all__ = ["CORRUPT_DIRECTORY", "Recovery", "RecoveryCounts", "owners_in"]

CORRUPT_DIRECTORY = "corrupt"
_SPOOL_FILE = re.compile(r"(?P<store_id>[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})(\.lock|-\d+\.(segment|tmp))")
_INCOMPLETE_SECONDS = 60.0
_COPY_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class RecoveryCounts:
    """What became of the events of dead stores.

    Attributes:
        delivered: Events that DataStorage acknowledged.
        rejected: Events that it refused for good.
        pending: Events that still wait; damage that is found on the way makes it less.
        torn: Frames that were being written when a process died, so that `record` never returned. Dropped.
        corrupt: Damaged files, or damaged parts of files, that were set aside.
    """

    delivered: int = 0
    rejected: int = 0
    pending: int = 0
    torn: int = 0
    corrupt: int = 0


@dataclass(slots=True)
class _Found:
    """A segment that was taken over and waits for its turn."""

    path: Path
    store_id: str
    pending_bytes: int
    pending: int


class Recovery:
    """Takes over what dead stores left, oldest first, one segment mapped at a time.

    All but `counts` and `held_bytes` is for the flusher alone. It never raises for what it finds: what can't be read
    is set aside in `corrupt/` and counted, what can't be opened stays where it is until the next `scan`.

    Args:
        directory: The spool directory.
        rejections: Where rejected events go.
        log: Where torn and damaged files are reported.
    """

    def __init__(self, directory: Path, *, rejections: Rejections, log: logging.Logger) -> None:
        self._directory = directory
        self._rejections = rejections
        self._log = log
        self._locks: dict[str, StoreLock] = {}  # of the stores that were taken over
        self._waiting: deque[_Found] = deque()
        self._current: Segment | None = None  # the first of those, once it is open
        self._delivered = self._rejected = self._torn = self._corrupt = 0
        self._left: RecoveryCounts | None = None

    def counts(self) -> RecoveryCounts:
        """Return a snapshot."""
        if self._left is not None:
            return self._left
        pending = sum([found.pending for found in list(self._waiting)])
        return RecoveryCounts(self._delivered, self._rejected, pending, self._torn, self._corrupt)

    @property
    def held_bytes(self) -> int:
        """What the events take that were taken over, those of the segment at work until it is done."""
        return sum([found.pending_bytes for found in list(self._waiting)])

    @property
    def has_segments(self) -> bool:
        """Whether there may be something to deliver."""
        return bool(self._waiting)

    def scan(self) -> None:
        """Take over whatever belongs to nobody alive."""
        try:
            names = os.listdir(self._directory)
            self._remove_incomplete(names)
        except OSError as exc:
            self._log.error("can't look for audit events of dead stores in %s: %s", self._directory, exc.strerror)
            return
        for store_id in sorted(owners_in(names) - self._locks.keys()):
            try:
                self._take_over(store_id)
            except OSError as exc:
                self._put_off(store_id, exc)

    def head(self, max_events: int, max_bytes: int) -> PendingRecords:
        """Find the oldest events, all in one segment; empty when there are none left. See `DeliveryQueue.head`."""
        while self._waiting:
            found = self._waiting[0]
            try:
                segment = self._current = self._current or _open(found.path)
                places = list(self._intact(segment, max_events, max_bytes))
                if places:
                    return PendingRecords(places)
                self._look_behind(segment)
                self._finish()
            except (OSError, BadSegment) as exc:
                self._put_off(found.store_id, exc)
        return PendingRecords([])

    def acknowledge(self, count: int, *, rejected: Mapping[int, str]) -> tuple[RejectedEvent, ...]:
        """Move the cursor in the segment itself; see `DeliveryQueue.acknowledge`."""
        segment = self._current
        if segment is None:
            raise RuntimeError("acknowledge without a head")
        head = PendingRecords([(segment, *place) for place in islice(segment.frames(segment.acknowledged), count)])
        rejected_events = head.rejected_events(rejected)
        if rejected_events:
            self._rejections.keep(rejected_events)
        head.settle(rejected)
        self._delivered += count - len(rejected)
        self._rejected += len(rejected)
        self._waiting[0].pending -= count
        self.head(1, 0)  # lets go of the segment if that was all, and of its owner's lock
        return rejected_events

    def release(self) -> None:
        """Leave what is pending to somebody else."""
        self._left = self.counts()
        self._close_current()
        self._waiting.clear()
        for store_id in list(self._locks):
            self._free(store_id)

    def forget(self) -> None:
        """Let go of everything in a forked child, where it is the parent's."""
        if self._current is not None:
            self._current.buffer.forget()
        for lock in self._locks.values():
            lock.forget()

    def _remove_incomplete(self, names: Iterable[str]) -> None:
        """Remove lock files of stores that died before they had one; a store needs much less than a minute for it."""
        for name in names:
            if name.endswith(INCOMPLETE_SUFFIX):
                path = self._directory / name
                with suppress(FileNotFoundError):
                    if time.time() - path.stat().st_mtime > _INCOMPLETE_SECONDS:
                        path.unlink()

    def _take_over(self, store_id: str) -> None:
        if self._has_lost_its_lock(store_id):
            return
        lock = StoreLock.take_over(self._directory, store_id)
        if lock is None:
            return
        self._locks[store_id] = lock
        for path in self._directory.glob(f"{store_id}-*{TEMPORARY_SUFFIX}"):
            path.unlink(missing_ok=True)  # its maker died, so that nothing is in it
        for path in sorted(self._directory.glob(f"{store_id}-*{SEGMENT_SUFFIX}")):
            try:
                segment = _open(path)
            except NewerSegment as exc:
                self._log.error("%s is left alone: %s", path, exc)
                continue
            except BadSegment as exc:
                self._set_file_aside(path, exc)
                continue
            pending = segment.recorded() - segment.delivered - segment.rejected
            pending_bytes = segment.end() - segment.acknowledged
            segment.buffer.close()
            self._waiting.append(_Found(path, store_id, pending_bytes, pending))
        self._free_if_finished(store_id)

    def _has_lost_its_lock(self, store_id: str) -> bool:
        """Tell whether somebody who tidied up took a live store's lock file away, as far as its process shows."""
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
        for count, (begin, end) in enumerate(segment.frames(segment.acknowledged)):
            body_bytes += end - begin + 1
            if count and (count == max_events or body_bytes > max_bytes):
                return
            if not segment.is_intact(begin, end):
                return
            yield segment, begin, end

    def _look_behind(self, segment: Segment) -> None:
        """Account for what is behind the last intact frame."""
        path = self._waiting[0].path
        offset = segment.acknowledged
        is_last = all(found.store_id != self._waiting[0].store_id for found in islice(self._waiting, 1, None))
        match segment.tail_state(offset):
            case TailState.TORN if is_last:
                self._torn += 1
                self._log.warning("an audit event in %s was being recorded when its process died: dropped", path)
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
        self._note_corrupt(f"{path} can't be read, {exc}", target)

    def _corrupt_path(self, name: str) -> Path:
        directory = self._directory / CORRUPT_DIRECTORY
        directory.mkdir(mode=0o700, exist_ok=True)
        return directory / name

    def _note_corrupt(self, what: str, target: Path) -> None:
        self._corrupt += 1
        self._log.error("%s: set aside as %s; its audit events are not delivered", what, target)

    def _finish(self) -> None:
        """Remove the current segment and go on to the next."""
        self._close_current()
        found = self._waiting.popleft()
        found.path.unlink(missing_ok=True)
        self._free_if_finished(found.store_id)

    def _put_off(self, store_id: str, exc: Exception) -> None:
        """Leave a dead store's segments to a later scan."""
        self._log.error("audit events of the dead store %s wait, they can't be read: %s", store_id, exc)
        if self._waiting and self._waiting[0].store_id == store_id:
            self._close_current()
        for found in [found for found in self._waiting if found.store_id == store_id]:
            self._waiting.remove(found)
        self._free(store_id)

    def _close_current(self) -> None:
        if self._current is not None:
            self._current.buffer.close()
            self._current = None

    def _free_if_finished(self, store_id: str) -> None:
        if all(found.store_id != store_id for found in self._waiting):
            self._free(store_id)

    def _free(self, store_id: str) -> None:
        lock = self._locks.pop(store_id, None)
        if lock is not None:
            lock.release(remove=not any(self._directory.glob(f"{store_id}-*{SEGMENT_SUFFIX}")))


def owners_in(names: Iterable[str]) -> set[str]:
    """Return the ids of the stores that files in a spool directory belong to.

    Args:
        names: What is in the directory; what is no spool file's name is left aside.
    """
    return {match["store_id"] for name in names if (match := _SPOOL_FILE.fullmatch(name))}


def _open(path: Path) -> Segment:
    medium = open_buffer(path)
    try:
        return Segment.open(medium)
    except BaseException:
        medium.close()
        raise

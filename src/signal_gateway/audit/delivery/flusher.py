"""Flusher: the background thread of a store; delivers its pending events and those of orphaned segments."""

import functools
import itertools
import logging
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from queue import Empty
from threading import Event
from typing import Protocol

from signal_gateway._machine import machine, primitives
from signal_gateway.audit.client.client import DataStorageClient
from signal_gateway.audit.client.results import (
    BatchAccepted,
    BatchRejected,
    BatchTooLarge,
    BatchUndelivered,
    DeliveryResult,
)
from signal_gateway.audit.config import AuditStoreConfig
from signal_gateway.audit.delivery.batch import Batch, BatchLimit, DeliveryQueue, Run
from signal_gateway.audit.delivery.thread import DeliveryThread, described
from signal_gateway.audit.guarded_log import GuardedLog, postponing_forks
from signal_gateway.audit.wal.log import WriteAheadLog
from signal_gateway.audit.wal.recovery import Recovery
from signal_gateway.audit.wal.segment import PendingRecords
from signal_gateway.clock import Clock
from signal_gateway.errors import AuditError

__all__ = ["DurationObserver", "FlushRequest", "Flusher"]

_SCAN_SECONDS = 30.0
_ALARM_SECONDS = 60.0
_MAX_RESTARTS = 3  # of a thread that ends unexpectedly, during one flush
_LARGEST_DOUBLING = 30  # 2 ** 30 times any backoff is more than any max_backoff

_uniform = random.SystemRandom().uniform  # no patch or seed of a test changes it

_ANY_EVENT = 0.0
_NO_EVENT = math.inf


class DurationObserver(Protocol):
    """A metric of durations, such as a Prometheus histogram."""

    def observe(self, amount: float, /) -> None:
        """Count one duration, in seconds."""
        ...


@dataclass(slots=True, eq=False)
class FlushRequest:
    """One caller that waits until all events up to its barrier are settled.

    Attributes:
        barrier: Ordinal of the last event to wait for.
        done: Set when the events are settled, or the thread ends.
        abandoned: Whether the caller does not wait any more.
    """

    barrier: int
    done: Event = field(default_factory=lambda: primitives().event())
    abandoned: bool = False


class Flusher:
    """Delivers the events of a write-ahead log on a daemon thread of its own, until the store is closed.

    The mailbox is a SimpleQueue, whose `put` is safe in a signal handler. Only the thread reads the mailbox. The
    thread waits on the mailbox alone, so that a flush or a stop ends every wait. It holds no lock during I/O.

    An exception of any kind, one that another thread raises into this one included, interrupts a delivery and is
    followed by a pause. If the thread ends nevertheless, the log keeps its lock and its segments, and `ensure_started`
    starts another thread.

    Args:
        wal: Events of this store. Released after the log is sealed and the thread has delivered its events.
        recovery: Events of orphaned segments, which wait while a flush does; None in memory.
        client: Client for the delivery. Its connections are closed at the end.
        config: Batches and pauses.
        service: Name of the service, part of the thread's name `audit-flusher-<service>`.
        clock: Clock for the alarm.
        delivery_seconds: Metric of the duration of each delivery; None without metrics.

    Attributes:
        recorded: Numbers the events. Take a number after each append.
        wake_at: Number from which on `wake` must be called. Only the thread writes it.
        wake: End the thread's current wait. Safe in a signal handler.
        primitives: Threads, locks and queues of the flusher.
        start_ticket: Empty after a caller started the thread; has an item again if the thread ended unexpectedly.
    """

    def __init__(
        self,
        *,
        wal: WriteAheadLog,
        recovery: Recovery | None,
        client: DataStorageClient,
        config: AuditStoreConfig,
        service: str,
        clock: Clock,
        delivery_seconds: DurationObserver | None,
    ) -> None:
        self._wal = wal
        self._recovery = recovery
        self._client = client
        self._config = config
        self._clock = clock
        self._delivery_seconds = delivery_seconds
        self._log = GuardedLog(logging.getLogger(__name__))
        self.primitives = primitives()
        self._mailbox = self.primitives.mailbox()  # of bool: whether the message announces a flush request
        self.wake: Callable[[], None] = functools.partial(self._mailbox.put, False)
        self.recorded = itertools.count(1)
        self.wake_at = _NO_EVENT
        self._requests: list[FlushRequest] = []  # callers append, the thread removes
        self._limit = BatchLimit(config.max_batch_events, config.max_batch_bytes)
        self._has_requested_limits = False
        self._failures = 0  # in a row, since the last verdict, flush or stop
        self._alarm_at = -math.inf
        self._scan_at = -math.inf
        self._scanned_at_close = False
        self._is_recoverys_turn = False
        self._stopping = False
        self._is_over = False
        self._interruption: BaseException | None = None
        self._interruptions = 0
        self.thread = DeliveryThread(self, name=f"audit-flusher-{service}")
        self._finished = self.thread.finished
        self.start_ticket = self.thread.ticket
        self.batches = 0
        self.retries = 0
        self.last_error: str | None = None
        self.delivery_failure: str | None = None  # of the last delivery
        self.last_rejection: str | None = None

    @property
    def interruptions(self) -> int:
        """Exceptions that interrupted a delivery, and log records that could not be written."""
        return self._interruptions + self._log.failures

    def ensure_started(self) -> None:
        """Start the thread unless it runs. Safe in any thread and in a signal handler.

        Raises:
            AuditError: No thread can be started, as at interpreter exit.
        """
        self.thread.ensure_started()

    def wait(self, barrier: int, timeout: float) -> None:
        """Request the delivery of all events up to `barrier`, and wait until they are settled or `timeout` is over.

        Starts another thread if the thread ended unexpectedly, before the call or during it.
        """
        deadline = machine.monotonic() + timeout
        for _ in range(1 + _MAX_RESTARTS):
            if self._wal.counts().settled >= barrier or self.thread.is_current:
                return
            request = FlushRequest(barrier)
            self._requests.append(request)
            self._mailbox.put(True)
            try:
                if self._finished.is_set() or not self._runs():  # nothing would complete the request
                    return
                request.done.wait(max(deadline - machine.monotonic(), 0.0))
            finally:
                request.abandoned = True
            if not request.done.is_set():
                return

    def wait_until_finished(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for the end of the thread, which ends when a sealed log is empty."""
        if not self.thread.is_current:
            self._finished.wait(max(timeout, 0.0))

    def stop(self, timeout: float) -> bool:
        """End the thread after the current delivery.

        Args:
            timeout: Maximum wait in seconds. A longer delivery ends by the timeout of its HTTP call.

        Returns:
            Whether the thread ended.
        """
        self._stopping = True
        self.drain_and_end()
        self.wait_until_finished(timeout)
        if self._finished.is_set():
            self.thread.join()
        return self._finished.is_set()

    def drain_and_end(self) -> None:
        """Make the thread deliver all events of the sealed log and end, without waiting for it."""
        is_needed = not self._stopping and self._wal.counts().pending > 0
        self.thread.finish_or_start(is_needed=is_needed)
        self._mailbox.put(False)

    def run(self) -> None:
        """Deliver until the sealed log is empty or `stop` is called; see `Work.run`."""
        while not self._is_over:
            try:
                self._client.calls.depth = 1  # all code on this thread belongs to the store
                self._pause_after_interruption()
                while self._deliver_next():
                    pass
                self._is_over = True
            except BaseException as exc:  # noqa: BLE001 - the thread outlives all that a delivery raises
                self._interruption = exc

    def interrupt(self) -> None:
        """Wake the callers that wait for the thread; see `Work.interrupt`."""
        for request in list(self._requests):
            request.done.set()
        if self._finished.is_set():
            return
        self._log.error("%s; the next event or flush starts another thread", self.thread.failure)
        if self._wal.sealed:
            self.drain_and_end()

    def finish(self) -> None:
        """Release the sealed log, the orphaned segments and the connections; see `Work.finish`."""
        try:
            try:
                self._wal.release()
            finally:
                if self._recovery is not None:
                    self._recovery.release()
        except OSError as exc:
            self._log.error("cannot close the audit spool properly, its events are kept: %s", exc)
        finally:
            self._client.close()

    def _runs(self) -> bool:
        try:
            self.thread.ensure_started()
        except AuditError as exc:
            self.last_error = str(exc)
            return False
        return True

    def _pause_after_interruption(self) -> None:
        exc, self._interruption = self._interruption, None
        if exc is None:
            return
        if isinstance(exc, AuditError):
            self._back_off(BatchUndelivered(str(exc)))
            return
        self._interruptions += 1
        self._log.error("unexpected error in the delivery of audit events; the events are kept", exc_info=exc)
        self._back_off(BatchUndelivered(described(exc)))

    def _deliver_next(self) -> bool:
        """Wait for a batch and deliver it; return False when the thread must end."""
        queue = self._next_queue()
        if queue is None:
            return False
        records = queue.peek(self._limit.events, self._limit.body_bytes)
        if records.places and not self._stopping:
            result = self._send(records, range(len(records.places)))
            if isinstance(result, BatchAccepted):
                self._ack(queue, len(records.places), {})
            else:
                self._bisect(queue, records, result)
        return True

    def _next_queue(self) -> DeliveryQueue | None:
        """Wait until a batch is due, and return its queue; None when the thread must end."""
        lingers_until: float | None = None
        try:
            while not self._stopping:
                self._maintain_log()
                was_sealed = self._wal.sealed  # before counting: a log that is sealed and empty stays empty
                counts = self._wal.counts()
                if counts.pending == 0:
                    if self._finds_orphans(is_last_look=was_sealed):
                        return self._recovery
                    if was_sealed:
                        return None
                    if self.wake_at == _ANY_EVENT:  # and the log is still empty: the next event wakes the thread
                        self._receive(_SCAN_SECONDS)
                    self.wake_at = _ANY_EVENT
                    continue

                lingers_until = lingers_until or machine.monotonic() + self._config.linger
                remaining = lingers_until - machine.monotonic()
                if self._requests or self._wal.sealed:
                    return self._wal
                if counts.pending >= self._limit.events or remaining <= 0:
                    self._is_recoverys_turn = not self._is_recoverys_turn  # under load the queues take turns
                    return self._recovery if self._is_recoverys_turn and self._finds_orphans() else self._wal
                full_at = counts.settled + self._limit.events
                if self.wake_at == full_at:
                    self._receive(min(remaining, self._wal.sync_interval))
                self.wake_at = full_at
        finally:
            self.wake_at = _NO_EVENT
        return None

    def _finds_orphans(self, *, is_last_look: bool = False) -> bool:
        """Return whether orphaned events wait. Scans the directory at the start, every 30 s and once after `close`."""
        if self._recovery is None:
            return False
        if machine.monotonic() >= self._scan_at or (is_last_look and not self._scanned_at_close):
            self._scan_at = machine.monotonic() + _SCAN_SECONDS
            self._scanned_at_close = is_last_look
            self._recovery.scan()
        return bool(self._recovery.orphans)

    def _maintain_log(self) -> None:
        try:
            self._wal.prepare()
            self._wal.sync(now=self._clock.monotonic())
        except OSError as exc:
            self.last_error = f"cannot sync the audit spool to the disk: {exc.strerror}"
            self._raise_alarm()

    def _send(self, records: PendingRecords, indices: Sequence[int]) -> DeliveryResult:
        begin = machine.monotonic()
        result = self._client.deliver(records.json_array(indices), len(indices))
        if self._delivery_seconds is not None:
            with postponing_forks():  # the metric has a lock
                self._delivery_seconds.observe(machine.monotonic() - begin)
        self.batches += 1
        return result

    def _bisect(self, queue: DeliveryQueue, records: PendingRecords, result: DeliveryResult) -> None:
        """Settle the events of a batch that was not accepted, in smaller deliveries if necessary.

        Args:
            queue: Queue of the events.
            records: The batch.
            result: Result of its first delivery.
        """
        batch = Batch(records.sizes(), limit=self._limit)
        run = batch.next_run()
        while run is not None:
            if self._apply(result, batch, run):
                count, rejected = batch.take_settled()
                self._ack(queue, count, rejected)
                if isinstance(result, BatchTooLarge | BatchRejected):
                    self.last_error = result.reason
            run = None if self._stopping else batch.next_run()
            if run is not None:
                result = self._send(records, run.indices)
        if batch.limit != self._limit:
            self._log.warning("DataStorage at %s accepts smaller batches only: %s", self._client.url, batch.limit)
            self._limit = batch.limit

    def _apply(self, result: DeliveryResult, batch: Batch, run: Run) -> bool:
        """Apply the result of a delivery to its batch; return whether the result is a verdict on the events."""
        match result:
            case BatchAccepted():
                batch.accept(run)
            case BatchTooLarge(reason, is_verdict):
                if self._has_learnt_limits(batch, run):
                    return False
                if not is_verdict and len(run) == 1:
                    self._back_off(BatchUndelivered(reason))
                    return False
                batch.too_large(run, reason)
            case BatchRejected(reason, items):
                if not items and self._has_learnt_limits(batch, run):
                    return False
                batch.reject(run, reason, items)
            case BatchUndelivered():
                self._back_off(result)
                return False
        return True

    def _has_learnt_limits(self, batch: Batch, run: Run) -> bool:
        """Request the limits of the server, once; return whether a run that it did not accept exceeds them."""
        if self._has_requested_limits:
            return False
        self._has_requested_limits = True
        try:
            limits = self._client.limits()
        except AuditError as exc:
            self._log.info("DataStorage at %s does not tell its limits: %s", self._client.url, exc)
            return False
        if limits is None:
            return False
        batch.narrow(BatchLimit(limits.max_batch, limits.max_body_bytes))
        narrowed = batch.next_run()
        return narrowed is not None and len(narrowed) < len(run)

    def _ack(self, queue: DeliveryQueue, count: int, rejected: Mapping[int, str]) -> None:
        """Settle the oldest events of the queue, log the rejected ones, and complete flush requests."""
        if count:
            for event in queue.ack(count, rejected=rejected):
                self.last_rejection = event.reason
                self._log.error(
                    "DataStorage at %s rejected audit event %s: %s", self._client.url, event.event_id, event.reason
                )
            self._receive(timeout=0)
        self.delivery_failure = None
        if self._failures:
            self._log.info("DataStorage at %s is available again", self._client.url)
        self._failures = 0

    def _back_off(self, result: BatchUndelivered) -> None:
        """Wait before the next attempt. A flush ends the wait, but not before the server's Retry-After."""
        self.retries += 1
        self.delivery_failure = result.reason
        self.last_error = f"{self._client.url}: {result.reason}"
        self._raise_alarm()
        longest = min(
            self._config.max_backoff, self._config.initial_backoff * 2 ** min(self._failures, _LARGEST_DOUBLING)
        )
        self._failures += 1

        retry_at = machine.monotonic() + (result.retry_after or 0.0)
        until = max(retry_at, machine.monotonic() + _uniform(0.0, longest))
        while not self._stopping and (remaining := until - machine.monotonic()) > 0:
            self._maintain_log()
            if self._receive(min(remaining, self._wal.sync_interval)):
                until = retry_at
                self._failures = 0

    def _raise_alarm(self) -> None:
        now = self._clock.monotonic()
        if now - self._alarm_at < _ALARM_SECONDS:
            return
        self._alarm_at = now
        pending = self._wal.counts().pending
        if self._recovery is not None:
            pending += self._recovery.counts().pending
        self._log.error("%d audit events wait for DataStorage, retrying: %s", pending, self.last_error)

    def _receive(self, timeout: float) -> bool:
        """Wait for a message, empty the mailbox, and complete the flush requests whose events are settled.

        Returns:
            Whether there was a new flush request.
        """
        has_request = False
        try:
            has_request = bool(self._mailbox.get(timeout=timeout) if timeout > 0 else self._mailbox.get_nowait())
            while True:
                has_request |= bool(self._mailbox.get_nowait())
        except Empty:
            pass
        if self._requests:
            settled = self._wal.counts().settled
            for request in list(self._requests):
                if request.barrier <= settled:
                    request.done.set()
                elif not request.abandoned:
                    continue
                self._requests.remove(request)
        return has_request

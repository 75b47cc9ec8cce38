"""Flusher: the one background thread of a store; delivers what is in its spool, and what dead stores left."""

import functools
import itertools
import logging
import math
import random
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

from signal_gateway.audit.client.client import DataStorageClient
from signal_gateway.audit.client.results import (
    BatchAccepted,
    BatchRejected,
    BatchTooLarge,
    BatchUndelivered,
    DeliveryResult,
)
from signal_gateway.audit.config import AuditStoreConfig
from signal_gateway.audit.delivery.batch import Batch, BatchLimit, Run
from signal_gateway.audit.wal.log import WriteAheadLog
from signal_gateway.audit.wal.pending import DeliveryQueue
from signal_gateway.audit.wal.recovery import Recovery
from signal_gateway.clock import Clock
from signal_gateway.errors import AuditError

__all__ = ["FlushRequest", "Flusher"]

_SCAN_SECONDS = 30.0
_ALARM_SECONDS = 60.0
_LARGEST_DOUBLING = 30  # 2 ** 30 times any backoff is beyond any max_backoff

_ANYTHING = 0.0
_NOTHING = math.inf


class FlushRequest:
    """One caller that waits until everything up to its barrier has left the queue.

    Args:
        barrier: Ordinal of the last event to wait for.
    """

    def __init__(self, barrier: int) -> None:
        self.barrier = barrier
        self.done = threading.Event()
        self.abandoned = False


class Flusher:
    """Delivers what is in a spool, forever, on a daemon thread of its own.

    Its mailbox is a SimpleQueue, whose `put` may be re-entered by a signal handler; only this thread reads it.
    Every wait is a wait for the mailbox, so that a flush or a stop ends it. It holds no lock during I/O.

    Args:
        spool: Where events come from; released with the thread.
        adoption: Where events of dead stores come from; they wait while this store's own flush does.
        client: Where they go; its connections are closed with the thread.
        config: Batches and pauses.
        service: In the thread's name, `audit-flusher-<service>`.
        clock: Times the alarm.

    Attributes:
        observe_delivery: Told how many seconds each delivery took.
        recorded: Numbers the events; whoever appended one takes a number.
        wake_at: From which number on to call `wake`; written by the thread alone.
        start_ticket: Not empty until somebody starts the thread.
    """

    def __init__(
        self,
        *,
        spool: WriteAheadLog,
        adoption: Recovery | None,
        client: DataStorageClient,
        config: AuditStoreConfig,
        service: str,
        clock: Clock,
    ) -> None:
        self._spool = spool
        self._adoption = adoption
        self.observe_delivery: Callable[[float], object] = _observe_nothing
        self._client = client
        self._config = config
        self._clock = clock
        self._log = logging.getLogger(__name__)
        self._mailbox: SimpleQueue[FlushRequest | None] = SimpleQueue()
        spool.on_new_segment = functools.partial(self._mailbox.put, None)
        self.recorded = itertools.count(1)
        self.wake_at = _NOTHING
        self._requests: list[FlushRequest] = []
        self._limit = BatchLimit(config.max_batch_events, config.max_batch_bytes)
        self._has_asked_limits = False
        self._failures = 0  # in a row, since the last answer, flush or stop
        self._alarm_at = -math.inf
        self._scan_at = -math.inf
        self._scanned_at_close = False
        self._is_adoptions_turn = False
        self._stopping = False
        self._finished = threading.Event()
        self.start_ticket = [None]
        self._thread = threading.Thread(target=self._run, name=f"audit-flusher-{service}", daemon=True)
        self.batches = 0
        self.retries = 0
        self.last_error: str | None = None
        self.last_rejection: str | None = None

    @property
    def is_this_thread(self) -> bool:
        """Whether the caller runs on the flusher's thread."""
        return threading.get_ident() == self._thread.ident

    def ensure_started(self) -> None:
        """Start the thread if nobody did; from any thread, and from a signal handler in the midst of it.

        Raises:
            AuditError: No thread can be started, as at interpreter exit.
        """
        try:
            self.start_ticket.pop()  # atomic: one caller gets it
        except IndexError:
            return
        try:
            self._thread.start()
        except RuntimeError as exc:
            self.start_ticket.append(None)
            raise AuditError(f"the audit flusher can't start: {exc}") from exc

    def wake(self) -> None:
        """Wake the thread: the event that it waits for is there."""
        self._mailbox.put(None)

    def wait(self, barrier: int, timeout: float) -> None:
        """Ask for delivery now, and wait until all up to `barrier` have left the queue, at most `timeout` seconds."""
        if self._spool.counts().acknowledged >= barrier or self.is_this_thread:
            return
        request = FlushRequest(barrier)
        self._mailbox.put(request)
        if self._finished.is_set():  # else the thread answers every request that it finds when it ends
            return
        try:
            request.done.wait(max(timeout, 0.0))
        finally:
            request.abandoned = True

    def wait_until_finished(self, timeout: float) -> None:
        """Wait for the thread to end by itself, as it does when a sealed spool is empty, at most `timeout` seconds."""
        if not self.is_this_thread:
            self._finished.wait(max(timeout, 0.0))

    def stop(self, timeout: float) -> bool:
        """End the thread after the delivery that it is in.

        Args:
            timeout: Seconds to wait for that; what is left then ends with the call's own timeout.

        Returns:
            Whether it has ended.
        """
        self._stopping = True
        self.drain_and_end()
        if not self.is_this_thread and self._finished.wait(max(timeout, 0.0)) and self._thread.ident is not None:
            self._thread.join()
        return self._finished.is_set()

    def drain_and_end(self) -> None:
        """Let the thread deliver all that is in the sealed spool and then end; nobody waits for it."""
        try:
            self.start_ticket.pop()
        except IndexError:
            self._mailbox.put(None)
        else:
            self._finish()

    def _run(self) -> None:
        self._client.calls.depth += 1  # whatever runs on this thread is the store's own doing
        try:
            while self._deliver_what_comes():
                pass
        finally:
            self._finish()

    def _deliver_what_comes(self) -> bool:
        """Return False when the thread is to end."""
        try:
            source = self._next_source()
            if source is None:
                return False
            self._deliver_batch(source)
        except AuditError as exc:
            self._back_off(BatchUndelivered(str(exc)))
        except Exception as exc:  # noqa: BLE001 - the one thread outlives whatever a delivery raises
            self._log.exception("delivering audit events failed in an unexpected way; they are kept")
            self._back_off(BatchUndelivered(f"{type(exc).__name__}: {exc}"))
        return True

    def _finish(self) -> None:
        try:
            try:
                self._spool.release()
            finally:
                if self._adoption is not None:
                    self._adoption.release()
        except OSError as exc:
            self._log.error("the audit spool could not be closed as it should, its events are kept: %s", exc)
        finally:
            self._finished.set()
            self._receive(timeout=0)
            for request in self._requests:
                request.done.set()
            self._client.close()

    def _next_source(self) -> DeliveryQueue | None:
        """Wait until a batch is due, and return where it comes from; None when the thread is to end."""
        lingers_until: float | None = None
        try:
            while not self._stopping:
                self._look_after_spool()
                was_sealed = self._spool.sealed  # before counting: what is sealed and empty stays empty
                counts = self._spool.counts()
                self._answer_requests(counts.acknowledged)
                if counts.pending == 0:
                    if self._has_adopted(is_last_look=was_sealed):
                        return self._adoption
                    if was_sealed:
                        return None
                    if self.wake_at == _ANYTHING:  # and nothing came since, so whatever comes now will wake us
                        self._receive(_SCAN_SECONDS)
                    self.wake_at = _ANYTHING
                    continue

                lingers_until = lingers_until or time.monotonic() + self._config.linger
                remaining = lingers_until - time.monotonic()
                if counts.pending >= self._limit.events or self._requests or self._spool.sealed or remaining <= 0:
                    return self._adoption if self._adoption_comes_first() else self._spool
                full_at = counts.acknowledged + self._limit.events
                if self.wake_at == full_at:
                    self._receive(min(remaining, self._spool.sync_interval))
                self.wake_at = full_at
        finally:
            self.wake_at = _NOTHING
        return None

    def _has_adopted(self, *, is_last_look: bool = False) -> bool:
        """Look for dead stores when it is time to, at the start, every 30 s and once when closed."""
        if self._adoption is None:
            return False
        if time.monotonic() >= self._scan_at or (is_last_look and not self._scanned_at_close):
            self._scan_at = time.monotonic() + _SCAN_SECONDS
            self._scanned_at_close = is_last_look
            self._adoption.scan()
            self._spool.foreign_bytes = self._adoption.held_bytes
        return self._adoption.has_segments

    def _adoption_comes_first(self) -> bool:
        """Under load take turns, unless somebody waits for the store's own events."""
        if self._requests or self._spool.sealed:
            return False
        self._is_adoptions_turn = not self._is_adoptions_turn
        return self._is_adoptions_turn and self._has_adopted()

    def _look_after_spool(self) -> None:
        try:
            self._spool.prepare()
            self._spool.sync(now=self._clock.monotonic())
        except OSError as exc:
            self.last_error = f"the audit spool can't be synced to the disk: {exc.strerror}"
            self._raise_alarm()

    def _deliver_batch(self, source: DeliveryQueue) -> None:
        """Settle the oldest events of a source one way or the other, unless told to stop before."""
        head = source.head(self._limit.events, self._limit.body_bytes)
        batch = Batch(head.sizes(), limit=self._limit)
        while not self._stopping and (run := batch.next_run()):
            begin = time.monotonic()
            answer = self._client.deliver(head.json_array(run.indices), len(run))
            self.observe_delivery(time.monotonic() - begin)
            self.batches += 1
            match answer:
                case BatchAccepted():
                    batch.accept(run)
                case BatchTooLarge(reason):
                    if self._has_learnt_limits(batch, run):
                        continue
                    batch.too_large(run, reason)
                case BatchRejected(reason, items):
                    if not items and self._has_learnt_limits(batch, run):
                        continue
                    batch.refuse(run, reason, items)
                case BatchUndelivered():
                    self._back_off(answer)
                    continue
            self._acknowledge(source, batch)
            self._note_answer(answer)
        if batch.limit != self._limit:
            self._log.warning("DataStorage at %s takes less at once, from now on %s", self._client.url, batch.limit)
            self._limit = batch.limit

    def _has_learnt_limits(self, batch: Batch, run: Run) -> bool:
        """Ask the server, once, how much it takes at a time; say whether a run that it refused as a whole is more."""
        if self._has_asked_limits:
            return False
        self._has_asked_limits = True
        try:
            told = self._client.limits()
        except AuditError as exc:
            self._log.info("DataStorage at %s doesn't say how much it takes at once: %s", self._client.url, exc)
            return False
        if told is None:
            return False
        batch.narrow(BatchLimit(told.max_batch, told.max_body_bytes))
        narrowed = batch.next_run()
        return narrowed is not None and len(narrowed) < len(run)

    def _acknowledge(self, source: DeliveryQueue, batch: Batch) -> None:
        """Let go what is settled at the head of the queue, the rejected events with a word in the log."""
        count, rejected = batch.take_settled()
        if not count:
            return
        for event in source.acknowledge(count, rejected=rejected):
            self.last_rejection = event.reason
            self._log.error(
                "DataStorage at %s rejected audit event %s for good: %s", self._client.url, event.event_id, event.reason
            )
        if self._adoption is not None:
            self._spool.foreign_bytes = self._adoption.held_bytes
        self._receive(timeout=0)
        self._answer_requests(self._spool.counts().acknowledged)

    def _note_answer(self, answer: DeliveryResult) -> None:
        if self._failures:
            self._log.info("DataStorage at %s answers again", self._client.url)
        self._failures = 0
        if isinstance(answer, BatchTooLarge | BatchRejected):
            self.last_error = answer.reason

    def _back_off(self, answer: BatchUndelivered) -> None:
        """Wait before the next attempt; a flush cuts it short, but not the time that the server asked for."""
        self.retries += 1
        self.last_error = f"{self._client.url}: {answer.reason}"
        self._raise_alarm()
        longest = min(
            self._config.max_backoff, self._config.initial_backoff * 2 ** min(self._failures, _LARGEST_DOUBLING)
        )
        self._failures += 1

        asked_for = time.monotonic() + (answer.retry_after or 0.0)
        until = max(asked_for, time.monotonic() + random.uniform(0.0, longest))
        while not self._stopping and (remaining := until - time.monotonic()) > 0:
            self._look_after_spool()
            if self._receive(min(remaining, self._spool.sync_interval)):
                until = asked_for
                self._failures = 0

    def _raise_alarm(self) -> None:
        now = self._clock.monotonic()
        if now - self._alarm_at < _ALARM_SECONDS:
            return
        self._alarm_at = now
        pending = self._spool.counts().pending
        if self._adoption is not None:
            pending += self._adoption.counts().pending
        self._log.error("%d audit events wait for DataStorage, attempts go on: %s", pending, self.last_error)

    def _receive(self, timeout: float) -> bool:
        """Wait for mail, then empty the mailbox.

        Returns:
            Whether there was a flush request in it.
        """
        asked = False
        try:
            message = self._mailbox.get(timeout=timeout) if timeout > 0 else self._mailbox.get_nowait()
            while True:
                if message is not None:
                    self._requests.append(message)
                    asked = True
                message = self._mailbox.get_nowait()
        except Empty:
            return asked

    def _answer_requests(self, acknowledged: int) -> None:
        waiting = []
        for request in self._requests:
            if request.barrier <= acknowledged:
                request.done.set()
            elif not request.abandoned:
                waiting.append(request)
        self._requests = waiting


def _observe_nothing(_: float) -> None:
    pass

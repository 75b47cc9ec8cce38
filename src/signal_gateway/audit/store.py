"""BufferedAuditStore: records audit events at once, and delivers them to DataStorage in the background."""

import functools
import logging
import math
import warnings
from collections import Counter
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio.to_thread
import orjson

from signal_gateway._machine import machine, primitives
from signal_gateway.audit.client.client import DataStorageClient
from signal_gateway.audit.config import AuditStoreConfig, Durability
from signal_gateway.audit.delivery.flusher import Flusher
from signal_gateway.audit.errors import AuditStoreFull, InvalidAuditEvent, RecursiveAuditEvent
from signal_gateway.audit.event import MAX_EVENT_DATA_BYTES, AuditEvent, encoded_event_data, first_unencodable
from signal_gateway.audit.guarded_log import GuardedLog
from signal_gateway.audit.lifetime import Lifetime
from signal_gateway.audit.stats import AuditStats, FlushResult, RecoveryCounts
from signal_gateway.audit.wal.directory import InMemorySegments, SegmentDirectory, Segments
from signal_gateway.audit.wal.log import LogAbandoned, LogCounts, WriteAheadLog
from signal_gateway.audit.wal.recovery import Recovery
from signal_gateway.audit.wal.rejected import RejectedEvent
from signal_gateway.clock import Clock, SystemClock
from signal_gateway.errors import AuditError, ConfigurationError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Histogram

__all__ = ["BufferedAuditStore"]

_TIMEOUT = 10.0
_WARNING_SECONDS = 60.0
_LAST_DELIVERY_GRACE = 0.04  # seconds that `close` may take beyond its timeout


class BufferedAuditStore:
    """Records audit events at once, and delivers them from one background thread.

    The owner of a store closes it, with `close`, `aclose`, `with` or `async with`. Closing a store closes the
    connections of its client. A store that is garbage-collected without `close` is a ResourceWarning, and its thread
    still tries to deliver. A store that is open at interpreter exit is closed there, with a timeout of 10 seconds.

    With a spool directory, a recorded event survives the death of the process: a later store on the directory delivers
    it, at its start, every 30 s and at its close. Without a spool directory, the thread starts with the first event.

    `record` takes no lock. It makes a system call only to wake the thread or to begin a segment. A signal handler that
    interrupts `record` may call `record`. A forked child has an empty store, with a thread and connections of its own
    from its first `record` on.

    Args:
        client: Client for the delivery.
        service: Name of the service, part of the thread's name `audit-flusher-<service>`.
        config: Batches, retries and the spool.
        clock: Clock for `oldest_pending_age` and the alarm. Waits use the clock of the machine.
        registry: Registry for the metrics of the store; None for no metrics.

    Raises:
        ConfigurationError: The spool directory is unusable.
    """

    def __init__(
        self,
        client: DataStorageClient,
        *,
        service: str,
        config: AuditStoreConfig,
        clock: Clock | None = None,
        registry: "CollectorRegistry | None" = None,
    ) -> None:
        self._client = client
        self._calls = client.calls
        self._service = service
        self._config = config
        self._clock = clock or SystemClock()
        self._max_event_bytes = config.max_batch_bytes - 2  # the brackets of the array
        # an event that is no longer than this has no part that is too long
        self._unchecked_bytes = min(MAX_EVENT_DATA_BYTES, self._max_event_bytes)
        if client.translation.omitted:
            self._unchecked_bytes = 0  # every event is checked; no other store pays for it
        self._log = logging.getLogger(__name__)
        self._delivery_seconds = None if registry is None else _delivery_histogram()
        self._begin()
        self._open()
        if registry is not None and self._delivery_seconds is not None:
            self._register(registry, self._delivery_seconds)
        if config.durability == "process":
            self._start_flusher()
        self._lifetime = Lifetime(self)

    def _begin(self) -> None:
        self._flusher_log = GuardedLog(self._log)
        segments, self._recovery = self._new_segments()
        self._wal = WriteAheadLog(
            segments,
            max_bytes=self._config.max_spool_bytes,
            clock=self._clock,
            log=self._flusher_log,
            recovery=self._recovery,
        )
        self._flusher = Flusher(
            wal=self._wal,
            recovery=self._recovery,
            client=self._client,
            config=self._config,
            service=self._service,
            clock=self._clock,
            delivery_seconds=self._delivery_seconds,
        )
        self._refused = 0
        self._omitted: Counter[str] = Counter()
        self._reported = LogCounts()
        self._reported_rejections = 0
        self._start_warned_at = -math.inf
        self._lock = primitives().rlock()  # over the five above; re-entrant for signal handlers, never held in a wait

    def _new_segments(self) -> tuple[Segments, Recovery | None]:
        if self._config.spool_directory is None:
            return InMemorySegments(service=self._service), None
        segments = SegmentDirectory(self._config.spool_directory, service=self._service)
        return segments, Recovery(segments.directory, rejections=segments.rejections, log=self._flusher_log)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._service!r} to {self._client.url}, {self._wal.counts()}>"

    @property
    def client(self) -> DataStorageClient:
        """The client for the delivery, which is also usable for queries."""
        return self._client

    @property
    def service(self) -> str:
        """Name of the service."""
        return self._service

    @property
    def made_at(self) -> str:
        """File and line of the code that created the store."""
        return self._lifetime.made_at

    @property
    def durability(self) -> Durability:
        """Failures that a recorded event survives."""
        return self._config.durability

    @property
    def accepting(self) -> bool:
        """Whether `record` accepts events: the store is neither closed nor full, and a thread delivers.

        Starts another thread if the thread ended unexpectedly, and is False if that fails: see `stats.flusher_down`.
        """
        wal = self._wal
        if wal.sealed or (wal.refusing and wal.full):
            return False
        if self._flusher.thread.failure is None:
            return True
        try:
            self._flusher.ensure_started()
        except AuditError:
            return False
        return True

    @property
    def free_bytes(self) -> float:
        """Free space for events in bytes, as far as known; 0 after `close`."""
        return self._wal.free_bytes

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._wal.sealed

    @property
    def stats(self) -> AuditStats:
        """A snapshot of the counters."""
        counts = self._wal.counts()
        oldest = self._wal.oldest_recorded_at()
        return AuditStats(
            recorded=counts.recorded,
            delivered=counts.delivered,
            rejected=counts.rejected,
            pending=counts.pending,
            refused=self._refused,
            batches=self._flusher.batches,
            retries=self._flusher.retries,
            last_error=self._flusher.last_error,
            oldest_pending_age=0.0 if oldest is None else max(self._clock.monotonic() - oldest, 0.0),
            durability=self._config.durability,
            storage=self._wal.storage,
            recovered=self._recovery.counts() if self._recovery is not None else RecoveryCounts(),
            interruptions=self._flusher.interruptions + self._flusher_log.failures,
            flusher_down=self._flusher.thread.failure,
            delivery_failure=self._flusher.delivery_failure,
            omitted=self._omitted.total(),
        )

    def rejected_events(self) -> tuple[RejectedEvent, ...]:
        """Return the events that DataStorage rejected, oldest first. On disk they are in `rejected.jsonl`.

        Raises:
            OSError: The file cannot be read.
        """
        return self._wal.rejected_events()

    def record(self, event: AuditEvent) -> None:
        """Record an event. When the call returns, the event is in the spool and will be delivered.

        An event of a type that the client's `event_types` leaves out is counted as omitted, and not recorded.

        Args:
            event: The event. `record` encodes it: later changes of its `event_data` have no effect.

        Raises:
            InvalidAuditEvent: The argument is no AuditEvent, or its `event_data` was modified and is invalid now.
            AuditStoreClosed: `close` was called.
            AuditStoreFull: The spool reached its limit, or the disk is full.
            RecursiveAuditEvent: The call comes from the store's own HTTP call or logging.
            AuditError: The thread cannot be started and the spool is in memory, or the spool directory is unusable
                in this forked child.
        """
        try:
            if self._calls.depth:
                raise RecursiveAuditEvent(
                    "cannot record audit events inside the audit store's own HTTP call or logging: remove this call"
                )
            if not isinstance(event, AuditEvent):
                raise InvalidAuditEvent(f"record takes an AuditEvent, not {type(event).__name__} {event!r:.200}")
            try:
                payload = event.to_wire()
            except orjson.JSONEncodeError as exc:
                raise _modified(event, f"is not JSON: {exc}", member=first_unencodable(event)) from exc
            if len(payload) > self._unchecked_bytes:
                self._check_size(event, payload)
                if event.event_type in self._client.translation.omitted:
                    self._omit(event)
                    return
            if self._flusher.start_ticket and not self._wal.sealed:
                self._start_flusher()
            flusher = self._flusher
            is_new_segment = self._wal.append(payload)
        except AuditError:
            with self._lock:
                self._refused += 1
            raise
        except LogAbandoned:  # the process forked inside this call
            self.record(event)
            return
        if next(flusher.recorded) >= flusher.wake_at or is_new_segment:
            flusher.wake()

    def flush(self, timeout: float = _TIMEOUT) -> FlushResult:
        """Wait until all events recorded before this call are delivered or rejected. Never raises.

        Events recorded during the call do not delay it. The call ends a pause between two attempts.

        Args:
            timeout: Maximum seconds to wait.
        """
        barrier = self._wal.counts().recorded
        self._flusher.wait(barrier, timeout)
        return self._report(barrier, timeout)

    def close(self, timeout: float = _TIMEOUT) -> FlushResult:
        """Refuse further events, deliver the pending ones, and end the thread. Idempotent, never raises.

        Args:
            timeout: Maximum seconds of the call. Result and log report the events that are still pending. They stay
                in the spool directory for a later store; in memory they are lost.
        """
        deadline = machine.monotonic() + timeout
        first = not self._wal.sealed
        self._wal.seal()
        barrier = self._wal.counts().recorded
        self._flusher.drain_and_end()
        self._flusher.wait(barrier, timeout)
        self._flusher.wait_until_finished(deadline - machine.monotonic())
        self._flusher.stop(max(deadline - machine.monotonic(), 0.0) + _LAST_DELIVERY_GRACE)
        self._lifetime.end()
        result = self._report(barrier, timeout)
        if first and result.pending:
            kept = self._place_of_pending()
            self._log.error(
                "the audit store of %s closed with %d events undelivered%s: %s",
                self._service,
                result.pending,
                kept,
                result.error,
            )
        if first and self.stats.recovered.pending:
            self._log.warning(
                "%d orphaned audit events stay pending in %s for a later store",
                self.stats.recovered.pending,
                self._config.spool_directory,
            )
        return result

    def _place_of_pending(self) -> str:
        directory = self._config.spool_directory
        if directory is None:
            return ""
        if self._wal.is_kept():
            return f", kept in {directory}"
        return f"; they are lost, because their files were removed from {directory} while they were in use"

    async def aflush(self, timeout: float = _TIMEOUT) -> FlushResult:  # noqa: ASYNC109 - a timeout is a result
        """Call `flush` without blocking the event loop, asyncio's or trio's."""
        return await anyio.to_thread.run_sync(functools.partial(self.flush, timeout), abandon_on_cancel=True)

    async def aclose(self, timeout: float = _TIMEOUT) -> FlushResult:  # noqa: ASYNC109 - a timeout is a result
        """Call `close` without blocking the event loop, asyncio's or trio's."""
        return await anyio.to_thread.run_sync(functools.partial(self.close, timeout), abandon_on_cancel=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if not hasattr(self, "_lifetime") or self._wal.sealed:  # half constructed, or closed
            return
        self._wal.seal()
        self._flusher.drain_and_end()
        self._lifetime.end()
        warnings.warn(
            f"{self!r} was never closed: use it in a with statement", ResourceWarning, source=self, stacklevel=1
        )

    def _report(self, barrier: int, timeout: float) -> FlushResult:
        with self._lock:
            counts = self._wal.counts()
            previous, self._reported = self._reported, counts
            rejections = self._wal.rejections(barrier) if counts.rejected else ()
            rejected_through = self._wal.rejected_through(barrier) if counts.rejected else 0
            rejected = max(rejected_through - self._reported_rejections, 0)
            self._reported_rejections += rejected
            omitted = self._omitted.total()
        pending = max(barrier - counts.settled, 0)
        if pending:
            no_response = f"no response from DataStorage at {self._client.url} within {timeout} s"
            error = self._flusher.thread.failure or self._flusher.last_error or no_response
        elif rejected:
            reason = rejections[-1].reason if rejections else self._flusher.last_rejection
            error = f"{rejected} audit events were rejected; reason of the last one: {reason}"
        else:
            error = None
        return FlushResult(
            ok=error is None,
            delivered=counts.delivered - previous.delivered,
            rejected=rejected,
            pending=pending,
            error=error,
            rejections=rejections,
            omitted=omitted,
        )

    def abandon(self) -> None:
        """Release everything in a forked child, where it belongs to the parent. For `Lifetime` only."""
        self._wal.abandon()
        if self._recovery is not None:
            self._recovery.forget()

    def forget(self) -> None:
        """Start again in a forked child, after `abandon`, without the events of the parent. For `Lifetime` only."""
        closed = self._wal.sealed
        self._begin()
        if closed:
            self._wal.seal()

    def _begin_after_patch(self) -> None:
        """Begin again with the primitives of gevent, which replaced those of the store before its first event."""
        self._wal.seal()
        self._wal.release()
        self._client.renew()
        self._calls = self._client.calls
        self._begin()

    def _open(self) -> None:
        try:
            self._wal.open()
        except AuditStoreFull as exc:
            if self._recovery is None or not self._recovery.has_orphans():
                raise ConfigurationError(str(exc)) from exc
            self._wal.refusing = True
            self._log.error("the audit store delivers older events only, and takes no new ones yet: %s", exc)

    def _register(self, registry: "CollectorRegistry", delivery_seconds: "Histogram") -> None:
        from signal_gateway.audit.metrics import register_metrics

        try:
            register_metrics(registry, self, delivery_seconds)
        except ValueError:
            self._wal.seal()
            self._flusher.drain_and_end()
            raise

    def _start_flusher(self) -> None:
        if self._flusher.primitives != primitives() and not self._wal.counts().recorded:
            self._begin_after_patch()
        try:
            self._flusher.ensure_started()
        except AuditError as exc:
            if self._config.durability == "memory":
                raise
            now = machine.monotonic()
            if now - self._start_warned_at < _WARNING_SECONDS:
                return
            self._start_warned_at = now
            with self._client.inside():  # a logging handler that records must not recurse
                self._log.warning("audit events stay in %s for another process: %s", self._config.spool_directory, exc)

    def _omit(self, event: AuditEvent) -> None:
        with self._lock:
            self._omitted[event.event_type] += 1
            is_first = self._omitted[event.event_type] == 1
        if is_first:
            with self._client.inside():  # a logging handler that records must not recurse
                self._log.warning(
                    "audit events of type %s are not recorded: event_types leaves them out for DataStorage at %s;"
                    " audit_events_omitted_total counts them",
                    event.event_type,
                    self._client.url,
                )

    def _check_size(self, event: AuditEvent, payload: bytes) -> None:
        try:
            encoded_event_data(event.event_data)
        except ValueError as exc:
            raise _modified(event, str(exc)) from exc
        if len(payload) > self._max_event_bytes:
            raise InvalidAuditEvent(
                f"{event.event_type} {event.event_id} is {len(payload)} bytes of JSON, the limit is"
                f" {self._max_event_bytes}: shorten the event, or raise max_batch_bytes"
            )


def _delivery_histogram() -> "Histogram":
    from signal_gateway.audit.metrics import delivery_histogram

    return delivery_histogram()


def _modified(event: AuditEvent, problem: str, *, member: str = "event_data") -> InvalidAuditEvent:
    return InvalidAuditEvent(
        f"{member} of {event.event_type} {event.event_id} was modified after validation and now {problem}"
    )

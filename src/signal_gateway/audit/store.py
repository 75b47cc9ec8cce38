"""AuditStore, what others depend on, and BufferedAuditStore: record now, deliver in the background, lose nothing."""

import functools
import logging
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import anyio.to_thread

from signal_gateway.audit.client.client import DataStorageClient
from signal_gateway.audit.config import AuditStoreConfig, Durability
from signal_gateway.audit.delivery.flusher import Flusher
from signal_gateway.audit.errors import AuditStoreFull, RecursiveAuditEvent
from signal_gateway.audit.event import AuditEvent
from signal_gateway.audit.lifetime import Lifetime
from signal_gateway.audit.payload import certain_bytes, encoded
from signal_gateway.audit.wal.directory import InMemorySegments, SegmentDirectory, Segments, Storage
from signal_gateway.audit.wal.log import LogAbandoned, LogCounts, WriteAheadLog
from signal_gateway.audit.wal.recovery import Recovery, RecoveryCounts
from signal_gateway.audit.wal.rejected import RejectedEvent
from signal_gateway.clock import Clock, SystemClock
from signal_gateway.errors import AuditError, ConfigurationError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

__all__ = ["AuditStats", "AuditStore", "BufferedAuditStore", "FlushResult"]

_TIMEOUT = 5.0
_LAST_DELIVERY_GRACE = 0.04  # seconds that close may take beyond its timeout


class AuditStore(Protocol):
    """What takes audit events; all that a gateway needs to know of one."""

    def record(self, event: AuditEvent) -> None:
        """Take an event, without blocking on the network.

        Raises:
            AuditError: It was not taken; the subclass says why.
        """
        ...

    @property
    def accepting(self) -> bool:
        """Whether `record` takes events at present."""
        ...


@dataclass(frozen=True, slots=True)
class AuditStats:
    """What a store did so far. `recorded == delivered + rejected + pending`, at every moment.

    Attributes:
        recorded: Events that `record` took.
        delivered: Those that DataStorage acknowledged.
        rejected: Those that it refused for good.
        pending: Those that still wait.
        refused: Calls of `record` that raised; their events were never recorded.
        batches: Deliveries that were attempted.
        retries: Those among them that got no verdict and are repeated.
        last_error: What went wrong last, also when it is over; None if nothing ever did.
        oldest_pending_age: Seconds since the oldest pending event was recorded; 0.0 when there is none.
        durability: What recorded events survive.
        storage: How they are kept: `mapped` files, files that are `written` because the file system refuses to be
            mapped (slower), or `memory`.
        adopted: What became of events that dead stores left in the spool directory. They are in none of the counts
            above, nor in any flush's.
    """

    recorded: int
    delivered: int
    rejected: int
    pending: int
    refused: int
    batches: int
    retries: int
    last_error: str | None
    oldest_pending_age: float
    durability: Durability
    storage: Storage
    adopted: RecoveryCounts


@dataclass(frozen=True, slots=True)
class FlushResult:
    """What a barrier found.

    Attributes:
        ok: Whether everything recorded before the call is delivered. A rejected event is not delivered, and never
            will be: from the first one on no barrier behind it is ok.
        delivered: Events delivered since the previous flush.
        rejected: Events rejected since the previous flush.
        pending: Events recorded before the call that still wait.
        error: Why it is not ok; None when it is.
    """

    ok: bool
    delivered: int
    rejected: int
    pending: int
    error: str | None


class BufferedAuditStore:
    """Takes events at once and delivers them from one background thread until DataStorage has them.

    Whoever makes a store closes it, by `close`, `aclose`, `with` or `async with`; closing it closes the client's
    connections. A store dropped without that is a ResourceWarning, and its thread delivers what it still can; a store
    open at interpreter exit is closed there, with 5 seconds.

    With a spool directory, an event is safe from the death of the process once `record` returns: what a store could not
    deliver, the next one on that directory does, at its start, every 30 s and when it closes. Without one the thread
    starts with the first `record`.

    `record` takes no lock and makes no system call but to wake the thread, or to begin another segment, so that it may
    run in a signal handler which interrupted another `record`. A forked child has an empty store, a thread and
    connections of its own, from its first `record` on.

    Args:
        client: Where events are delivered.
        service: Whose events these are; in the thread's name, `audit-flusher-<service>`.
        config: How to batch, retry and buffer.
        clock: Times `oldest_pending_age` and the alarm; waits use the machine's own clock.
        registry: Where the store's metrics go; without one it has none.

    Raises:
        ConfigurationError: The spool directory can't be used.
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
        self._max_event_bytes = config.max_batch_bytes
        self._fine_event_bytes = certain_bytes(config.max_batch_bytes)
        self._log = logging.getLogger(__name__)
        self._observe_delivery: Callable[[float], object] | None = None
        self._begin()
        self._open()
        if registry is not None:
            self._register(registry)
        if config.durability == "process":
            self._start_flusher()
        self._lifetime = Lifetime(self)

    def _begin(self) -> None:
        home, self._adoption = self._home()
        self._spool = WriteAheadLog(home, max_bytes=self._config.max_spool_bytes, clock=self._clock, log=self._log)
        self._flusher = Flusher(
            spool=self._spool,
            adoption=self._adoption,
            client=self._client,
            config=self._config,
            service=self._service,
            clock=self._clock,
        )
        if self._observe_delivery is not None:
            self._flusher.observe_delivery = self._observe_delivery
        self._refused = 0
        self._reported = LogCounts(recorded=0, delivered=0, rejected=0, first_rejected=None)
        self._lock = threading.RLock()  # over the two above; re-entrant for signal handlers, never held in a wait

    def _home(self) -> tuple[Segments, Recovery | None]:
        directory = self._config.spool_directory
        if directory is None:
            return InMemorySegments(service=self._service), None
        home = SegmentDirectory(directory, service=self._service)
        return home, Recovery(home.directory, rejections=home.rejections, log=self._log)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._service!r} to {self._client.url}, {self._spool.counts()}>"

    @property
    def client(self) -> DataStorageClient:
        """The client that delivers, which may be asked, too."""
        return self._client

    @property
    def service(self) -> str:
        """Whose events these are."""
        return self._service

    @property
    def made_at(self) -> str:
        """File and line that made it."""
        return self._lifetime.made_at

    @property
    def durability(self) -> Durability:
        """What recorded events survive."""
        return self._config.durability

    @property
    def accepting(self) -> bool:
        """Whether `record` takes events: the store is neither closed nor full."""
        return not self._spool.sealed and not self._spool.full

    @property
    def room_bytes(self) -> float:
        """How many bytes of events it has room for, as far as can be told; 0 once it is closed."""
        return self._spool.room_bytes

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._spool.sealed

    @property
    def stats(self) -> AuditStats:
        """A snapshot of the counters."""
        counts = self._spool.counts()
        oldest = self._spool.oldest_recorded_at()
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
            storage=self._spool.storage,
            adopted=self._adoption.counts() if self._adoption is not None else RecoveryCounts(),
        )

    def rejected_events(self) -> tuple[RejectedEvent, ...]:
        """Return the events that DataStorage refused for good, oldest first; on disk they are in `rejected.jsonl`.

        Raises:
            OSError: That file can't be read.
        """
        return self._spool.rejected_events()

    def record(self, event: AuditEvent) -> None:
        """Take an event; when this returns, it is in the spool and will be delivered.

        Args:
            event: What happened. It is encoded here: changing its `event_data` afterwards changes nothing.

        Raises:
            InvalidAuditEvent: It is no AuditEvent, or its `event_data` was changed into something unfit.
            AuditStoreClosed: `close` was called.
            AuditStoreFull: The spool holds as much as it may, or the disk is full.
            RecursiveAuditEvent: The store's own HTTP call or logging tried to record.
            AuditError: The flusher's thread can't be started, and the spool is in memory; or this is a forked child
                and the spool directory can't be used any more.
        """
        try:
            if self._calls.depth:
                raise RecursiveAuditEvent(
                    "the audit store's own HTTP call or logging can't record audit events: leave it out"
                )
            payload, lane = encoded(event, self._fine_event_bytes, self._max_event_bytes)
            flusher = self._flusher
            if flusher.start_ticket and not self._spool.sealed:
                self._start_flusher()
            self._spool.append(payload, lane)
        except AuditError:
            with self._lock:
                self._refused += 1
            raise
        except LogAbandoned:  # forked in the midst of this very call
            self.record(event)
            return
        if next(flusher.recorded) >= flusher.wake_at:
            flusher.wake()

    def flush(self, timeout: float = _TIMEOUT) -> FlushResult:
        """Wait until everything recorded before this call has left the queue. Never raises.

        Events recorded meanwhile don't delay it. It cuts a pause between attempts short.

        Args:
            timeout: Seconds to wait at most.
        """
        barrier = self._spool.counts().recorded
        self._flusher.wait(barrier, timeout)
        return self._report(barrier, timeout)

    def close(self, timeout: float = _TIMEOUT) -> FlushResult:
        """Take no more events, deliver what there is, end the thread. Idempotent, never raises.

        Args:
            timeout: Seconds for all of it. What is pending then is named in the result and the log; it stays in the
                spool directory for the next store there, and in memory it is lost.
        """
        deadline = time.monotonic() + timeout
        first = not self._spool.sealed
        self._spool.seal()
        barrier = self._spool.counts().recorded
        self._flusher.drain_and_end()
        self._flusher.wait(barrier, timeout)
        self._flusher.wait_until_finished(deadline - time.monotonic())
        self._flusher.stop(max(deadline - time.monotonic(), 0.0) + _LAST_DELIVERY_GRACE)
        self._lifetime.end()
        result = self._report(barrier, timeout)
        if first and result.pending:
            kept = "" if self._config.spool_directory is None else f", kept in {self._config.spool_directory}"
            self._log.error(
                "the audit store of %s closed with %d events undelivered%s: %s",
                self._service,
                result.pending,
                kept,
                result.error,
            )
        if first and self.stats.recovered.pending:
            self._log.warning(
                "%d audit events of dead stores still wait in %s for the next store there",
                self.stats.recovered.pending,
                self._config.spool_directory,
            )
        return result

    async def aflush(self, timeout: float = _TIMEOUT) -> FlushResult:  # noqa: ASYNC109 - the result tells it
        """Do `flush` without blocking the loop, asyncio's or trio's."""
        return await anyio.to_thread.run_sync(functools.partial(self.flush, timeout), abandon_on_cancel=True)

    async def aclose(self, timeout: float = _TIMEOUT) -> FlushResult:  # noqa: ASYNC109 - the result tells it
        """Do `close` without blocking the loop, asyncio's or trio's."""
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
        if not hasattr(self, "_lifetime") or self._spool.sealed:  # half made, or closed
            return
        self._spool.seal()
        self._flusher.drain_and_end()
        self._lifetime.end()
        warnings.warn(
            f"{self!r} was never closed: use it in a with statement", ResourceWarning, source=self, stacklevel=1
        )

    def _report(self, barrier: int, timeout: float) -> FlushResult:
        with self._lock:
            counts = self._spool.counts()
            previous, self._reported = self._reported, counts
        pending = max(barrier - counts.acknowledged, 0)
        rejected_before = counts.first_rejected is not None and counts.first_rejected <= barrier
        ok = not pending and not rejected_before
        if ok:
            error = None
        elif pending:
            error = self._flusher.last_error or f"no answer from DataStorage at {self._client.url} within {timeout} s"
        else:
            reason = self._flusher.last_rejection
            error = f"{counts.rejected} audit events were rejected so far, the last one because of: {reason}"
        return FlushResult(
            ok=ok,
            delivered=counts.delivered - previous.delivered,
            rejected=counts.rejected - previous.rejected,
            pending=pending,
            error=error,
        )

    def abandon(self) -> None:
        """Let go of everything in a forked child, where it is the parent's. Not for anything else."""
        self._spool.abandon()
        if self._adoption is not None:
            self._adoption.forget()

    def forget(self) -> None:
        """Begin anew, in a forked child, after `abandon`: what was recorded is its parent's to deliver."""
        closed = self._spool.sealed
        self._begin()
        if closed:
            self._spool.seal()

    def _open(self) -> None:
        try:
            self._spool.open()
        except AuditStoreFull as exc:
            raise ConfigurationError(str(exc)) from exc

    def _register(self, registry: "CollectorRegistry") -> None:
        from signal_gateway.audit.metrics import register_metrics

        try:
            self._observe_delivery = self._flusher.observe_delivery = register_metrics(registry, self)
        except ValueError:
            self._spool.seal()
            self._flusher.drain_and_end()
            raise

    def _start_flusher(self) -> None:
        try:
            self._flusher.ensure_started()
        except AuditError as exc:
            if self._config.durability == "memory":
                raise
            with self._client.inside():  # whoever logs by recording must not come back here
                self._log.warning("audit events wait in %s for another process: %s", self._config.spool_directory, exc)

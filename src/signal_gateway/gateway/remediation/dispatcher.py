"""Dispatcher: the order in which signals are decided, and the decision about each."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from signal_gateway.clock import Clock
from signal_gateway.concurrency import BackgroundTasks
from signal_gateway.gateway.audit import events
from signal_gateway.gateway.audit.recorder import AuditRecorder, AuditUnavailable
from signal_gateway.gateway.metrics import GatewayMetrics
from signal_gateway.gateway.remediation.creation import Created, Creation, CreationAudit
from signal_gateway.gateway.remediation.deduplication import (
    ActiveConflicts,
    DuplicateOf,
    Notification,
    decide,
    is_settled,
)
from signal_gateway.gateway.remediation.occurrence import Occurrence, OccurrenceCounter
from signal_gateway.gateway.remediation.outcome import Failure, Incoming, Outcome, Prepared, Undecided
from signal_gateway.gateway.remediation.preparation import Preparation
from signal_gateway.gateway.remediation.requests import RemediationRequests
from signal_gateway.gateway.signals.adapter import ParsedSignal
from signal_gateway.gateway.signals.signal import Signal
from signal_gateway.kubernetes import KubernetesError, RequestRejected

__all__ = ["Dispatcher", "KeyedLock"]

_log = logging.getLogger(__name__)

_MAX_CONCURRENT: Final = 1000  # signals of one request; duplicates that wait together share a write
_MAX_STEPS: Final = 8

_FAILURES: Final[dict[type[Exception], str]] = {
    RequestRejected: "refused",
    KubernetesError: "kubernetes_unavailable",
    AuditUnavailable: "audit_unavailable",
    Undecided: "undecided",
    TimeoutError: "deadline",
}
_LEVELS: Final[dict[Failure, int]] = {
    "refused": logging.ERROR,
    "transient": logging.WARNING,
    "deadline": logging.WARNING,
}

Result = TypeVar("Result")


@dataclass(slots=True)
class _Entry:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class KeyedLock:
    """One fair lock for each key in use. Belongs to one event loop."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @asynccontextmanager
    async def hold(self, key: str, *, deadline: float) -> AsyncIterator[None]:
        """Hold the lock of a key. Callers get it in the order of their calls.

        Args:
            key: Such as a fingerprint.
            deadline: Time of the running loop after which the wait ends.

        Raises:
            TimeoutError: The lock was not free in time.
        """
        entry = self._entries.setdefault(key, _Entry())
        entry.users += 1
        try:
            async with asyncio.timeout_at(deadline):
                await entry.lock.acquire()
            try:
                yield
            finally:
                entry.lock.release()
        finally:
            entry.users -= 1
            if entry.users == 0:
                del self._entries[key]


class Dispatcher:
    """Decides the signals of requests.

    Invariant: the signals of one fingerprint are decided one at a time, and for each request in payload order. The
    preparation of signals is concurrent, but the decision about a signal starts after the preparation of all signals
    before it. The lock of a fingerprint is fair, so the order of the starts is the order of the decisions. An exception
    is a signal of a retry: if the work that an earlier request began on it fails, it is decided at once.

    The wait for the count of a duplicate is outside the lock: the next signal of the fingerprint is decided in the
    meantime, so that duplicates share a write.

    Args:
        requests: The RemediationRequests.
        preparation: Prepares signals.
        creation: Creates RemediationRequests.
        counter: Counts duplicates.
        audit: Records creations whose events may be missing.
        recorder: Records the events of duplicates and conflicts.
        metrics: Counts duplicates and conflicts.
        clock: The wall clock.
        tasks: Owns the work, which continues after the deadline of its request.
    """

    def __init__(
        self,
        requests: RemediationRequests,
        *,
        preparation: Preparation,
        creation: Creation,
        counter: OccurrenceCounter,
        audit: CreationAudit,
        recorder: AuditRecorder,
        metrics: GatewayMetrics,
        clock: Clock,
        tasks: BackgroundTasks,
    ) -> None:
        self._requests = requests
        self._preparation = preparation
        self._creation = creation
        self._counter = counter
        self._audit = audit
        self._recorder = recorder
        self._metrics = metrics
        self._clock = clock
        self._tasks = tasks
        self._locks = KeyedLock()
        self._conflicts = ActiveConflicts(recorder, metrics=metrics, clock=clock)

    async def dispatch(
        self,
        signals: Sequence[ParsedSignal],
        *,
        signal_type: str,
        request_id: str,
        deadline: float,
        notification: Notification,
    ) -> list[Outcome]:
        """Prepare and decide the signals of one request, unless an earlier request of the notification did.

        Args:
            signals: In payload order.
            signal_type: `signalType` of the adapter.
            request_id: Id of the request.
            deadline: Time of the running loop after which no further step starts.
            notification: Has the work of earlier requests, and gets the work of this one.

        Returns:
            One outcome for each signal, in payload order; fewer if the notification was given up.
        """
        places = asyncio.Semaphore(_MAX_CONCURRENT)
        waiting = deque(enumerate(signals))
        del signals  # each is released when it is decided
        begun: list[asyncio.Task[Outcome]] = []
        before: asyncio.Future[None] | None = None
        while waiting and not notification.is_given_up:
            index, signal = waiting.popleft()
            key, work = notification.take_over(signal.notification)
            if work is None or not work.done():
                incoming = Incoming(
                    signal=signal,
                    signal_type=signal_type,
                    request_id=request_id,
                    idempotency_key=f"{request_id}/{index}",
                    deadline=deadline,
                )
                prepared = asyncio.get_running_loop().create_future()
                if work is not None:
                    work = self._tasks.spawn(self._join(work, incoming, places))
                else:
                    await places.acquire()
                    if notification.is_given_up:
                        break  # a retry may begin this signal
                    work = self._tasks.spawn(self._process(incoming, places, before=before, prepared=prepared))
                    before = prepared
            notification.begun.append((key, work))
            begun.append(work)
        return await asyncio.gather(*begun)

    async def _join(self, earlier: asyncio.Task[Outcome], incoming: Incoming, places: asyncio.Semaphore) -> Outcome:
        """Wait for the work that an earlier request of the notification began, and do it again if it failed."""
        await asyncio.wait([earlier])
        if is_settled(earlier):
            return earlier.result()
        await places.acquire()
        prepared = asyncio.get_running_loop().create_future()
        return await self._process(incoming, places, before=None, prepared=prepared)

    async def _process(
        self,
        incoming: Incoming,
        places: asyncio.Semaphore,
        *,
        before: asyncio.Future[None] | None,
        prepared: asyncio.Future[None],
    ) -> Outcome:
        """Prepare and decide one signal.

        Args:
            incoming: The signal.
            places: Released at the end.
            before: Done when all signals before this one are prepared; None for the first.
            prepared: Gets done when this one is prepared, too.
        """
        try:
            fingerprint = incoming.signal.fingerprint if isinstance(incoming.signal, Signal) else None
            try:
                result = await self._guarded(self._preparation.prepare(incoming), incoming, fingerprint)
            finally:
                try:
                    if before is not None and not before.done():
                        await asyncio.wait([before])
                finally:
                    prepared.set_result(None)
            if isinstance(result, Outcome):
                return result
            return await self._guarded(self._remediate(result), result, result.fingerprint)
        finally:
            places.release()

    async def _guarded(
        self, work: Awaitable[Result], signal: Incoming | Prepared, fingerprint: str | None
    ) -> Result | Outcome:
        """Turn the failure of a signal into its outcome, and log each signal that is not handled, once."""
        result: Result | Outcome
        try:
            result = await work
        except RequestRejected as exc:
            result = _failed(fingerprint, "refused", "The Kubernetes API refuses the RemediationRequest.", cause=exc)
        except KubernetesError as exc:
            message = "The Kubernetes API is not available. Retry later."
            result = _failed(fingerprint, "transient", message, cause=exc, retry_after=exc.retry_after)
        except AuditUnavailable as exc:
            result = _failed(fingerprint, "transient", "The audit trail is not available. Retry later.", cause=exc)
        except Undecided as exc:
            message = "The state of the RemediationRequests is not known right now. Retry later."
            result = _failed(fingerprint, "transient", message, cause=exc)
        except TimeoutError as exc:
            message = "The deadline of the request passed before the signal was decided."
            result = _failed(fingerprint, "deadline", message, cause=exc)
        if isinstance(result, Outcome) and result.reason is not None:
            _log_not_done(signal, result, reason=result.reason)
        return result

    async def _remediate(self, prepared: Prepared) -> Outcome:
        for _ in range(_MAX_STEPS):
            async with self._locks.hold(prepared.fingerprint, deadline=prepared.deadline):
                result: Created | DuplicateOf
                decision = decide(self._requests.index.by_fingerprint(prepared.fingerprint), now=self._clock.now())
                if isinstance(decision, DuplicateOf):
                    result = decision
                else:
                    result = await self._creation.create(prepared)
                if isinstance(result, Created):
                    return Outcome(
                        status="created",
                        message=f"RemediationRequest {self._requests.namespace}/{result.record.name} was created.",
                        fingerprint=prepared.fingerprint,
                        record=result.record,
                    )
                self._recorder.require_accepting()
                self._conflicts.report(prepared, result)
                counting = self._counter.count(
                    result.record, seen_at=prepared.signal.received_at, deadline=prepared.deadline
                )

            occurrence = await counting
            if occurrence is not None:
                return self._duplicate(prepared, occurrence)
        raise Undecided(
            f"gave up on {prepared.signal.name} after {_MAX_STEPS} attempts: "
            "its RemediationRequest ended each time before the duplicate was counted"
        )

    def _duplicate(self, prepared: Prepared, occurrence: Occurrence) -> Outcome:
        self._audit.backfill(occurrence.request)
        record = occurrence.record
        event = events.signal_deduplicated(
            prepared.signal,
            signal_type=prepared.signal_type,
            name=record.name,
            namespace=record.namespace,
            uid=record.uid,
            count=occurrence.count,
            at=self._clock.now(),
        )
        self._recorder.record(event)
        self._metrics.count_deduplicated(source=prepared.signal.source)
        return Outcome(
            status="duplicate",
            message=f"Occurrence {occurrence.count}: {record.namespace}/{record.name} handles this problem.",
            fingerprint=prepared.fingerprint,
            record=record,
            occurrence_count=occurrence.count,
            first_occurrence=occurrence.first_seen,
            last_occurrence=occurrence.last_seen,
        )


def _failed(
    fingerprint: str | None, failure: Failure, message: str, *, cause: Exception, retry_after: float | None = None
) -> Outcome:
    reason = next(code for kind, code in _FAILURES.items() if isinstance(cause, kind))
    return Outcome(
        status="failed",
        message=message,
        fingerprint=fingerprint,
        failure=failure,
        retry_after=retry_after,
        reason=reason,
        cause=str(cause),
    )


def _log_not_done(incoming: Incoming | Prepared, outcome: Outcome, *, reason: str) -> None:
    signal = incoming.signal
    target = signal.target if isinstance(signal, Signal) else getattr(signal, "resource", None)
    if outcome.rejection is not None:
        target = outcome.rejection.resource
    correlation_id = outcome.fingerprint or incoming.idempotency_key
    if outcome.status == "failed" and isinstance(signal, Signal) and signal.target is not None:
        correlation_id = events.failure_correlation_id(signal)
    _log.log(
        logging.INFO if outcome.failure is None else _LEVELS[outcome.failure],
        "%s was not handled, it is %s (%s): %s",
        signal.name or "a signal without a name",
        outcome.status,
        reason,
        outcome.cause or outcome.message,
        extra={
            "request_id": incoming.request_id,
            "correlation_id": correlation_id,
            "fingerprint": outcome.fingerprint,
            "reason": reason,
            "signal": signal.name,
            "source": signal.source,
            "target": str(target) if target else None,
            "sender": signal.sender.name,
            "peer": signal.sender.peer,
            **signal.sender.ids,
        },
    )

"""Triage: what to do about each signal, one after another within a fingerprint."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from signal_gateway.clock import Clock
from signal_gateway.gateway.audit import events
from signal_gateway.gateway.audit.creation_audit import CreationRecord
from signal_gateway.gateway.audit.recorder import AuditUnavailable, Journal
from signal_gateway.gateway.metrics import GatewayMetrics
from signal_gateway.gateway.remediation.conflicts import Conflicts
from signal_gateway.gateway.remediation.creation import Created, Creation
from signal_gateway.gateway.remediation.deduplication import DuplicateOf, decide
from signal_gateway.gateway.remediation.idempotency_key import request_id_of
from signal_gateway.gateway.remediation.keyed_lock import Lanes
from signal_gateway.gateway.remediation.occurrence import Occurrence, OccurrenceCounter
from signal_gateway.gateway.remediation.outcome import Failure, Outcome, Undecided
from signal_gateway.gateway.remediation.requests import ClusterView
from signal_gateway.gateway.signals.adapter import ParsedSignal
from signal_gateway.gateway.signals.signal import InvalidSignal, RejectedSignal, Signal
from signal_gateway.gateway.targets.resolver import TargetLocator
from signal_gateway.gateway.targets.scope import Scope
from signal_gateway.kubernetes import KubernetesError, RemediationRecord, RequestRejected

__all__ = ["Incoming", "Prepared", "Triage"]

_log = logging.getLogger(__name__)

_MAX_STEPS: Final = 8

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Incoming:
    """One signal of one request.

    Attributes:
        signal: What came in.
        signal_type: What its adapter calls its signals.
        mark: Unique to this signal of this request.
        deadline: Time of the running loop after which nothing new is begun.
    """

    signal: ParsedSignal
    signal_type: str
    mark: str
    deadline: float


@dataclass(frozen=True, slots=True)
class Prepared:
    """A firing signal that is in scope, with the workload at the top as its target.

    Attributes:
        signal: The signal.
        signal_type: What its adapter calls its signals.
        mark: Unique to this signal of this request.
        deadline: Time of the running loop after which nothing new is begun.
    """

    signal: Signal
    signal_type: str
    mark: str
    deadline: float


class Triage:
    """Decides each signal, acts on it, and records it, in two steps.

    `prepare` finds out what a signal is about, concurrently. `handle` decides, serially within a fingerprint, in the
    order of the calls. Waiting for a duplicate's count is not serial: the next signal of the fingerprint is decided
    meanwhile, so that duplicates share a write. Whatever stands in the way is an outcome, too.

    Args:
        view: Access to the RemediationRequests.
        locator: Finds targets.
        scope: What may be acted on; None for everything.
        journal: Where events go.
        metrics: Where everything is counted.
        clock: The wall clock.
        spawn: Starts a background write as a task and keeps it.
    """

    def __init__(
        self,
        view: ClusterView,
        *,
        locator: TargetLocator,
        scope: Scope | None,
        journal: Journal,
        metrics: GatewayMetrics,
        clock: Clock,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._view = view
        self._locator = locator
        self._scope = scope
        self._journal = journal
        self._metrics = metrics
        self._clock = clock
        self._lanes = Lanes()
        self._conflicts = Conflicts(journal, metrics=metrics, clock=clock)
        self._creations = CreationRecord(journal, inherited=view.active_uids())
        self._creation = Creation(view, record=self._creations, journal=journal, metrics=metrics, clock=clock)
        self._counter = OccurrenceCounter(view, clock=clock, spawn=spawn)

    async def prepare(self, incoming: Incoming) -> Prepared | Outcome:
        """Find out what a signal is about.

        Returns:
            What `handle` takes, or the outcome if there is nothing left to decide.
        """
        signal = incoming.signal
        self._metrics.count_received(source=signal.source, severity=signal.severity)
        fingerprint = signal.fingerprint if isinstance(signal, Signal) else None
        return await self._guarded(self._prepare(incoming), mark=incoming.mark, fingerprint=fingerprint)

    async def handle(self, prepared: Prepared) -> Outcome:
        """Decide what to do about a signal, and do it."""
        fingerprint = prepared.signal.fingerprint
        return await self._guarded(self._remediate(prepared), mark=prepared.mark, fingerprint=fingerprint)

    async def _guarded(self, work: Awaitable[Result], *, mark: str, fingerprint: str | None) -> Result | Outcome:
        ids = {"request_id": request_id_of(mark), "fingerprint": fingerprint}
        try:
            return await work
        except RequestRejected as exc:
            _log.error("the Kubernetes API refuses signal %s: %s", mark, exc, extra=ids)
            return _failed(fingerprint, "refused", "The Kubernetes API refuses the RemediationRequest.")
        except KubernetesError as exc:
            _log.warning("signal %s waits for its sender to try again: %s", mark, exc, extra=ids)
            message = "The Kubernetes API cannot be used now; send the signal again."
            return _failed(fingerprint, "transient", message, retry_after=exc.retry_after)
        except AuditUnavailable as exc:
            _log.warning("signal %s waits for its sender to try again: %s", mark, exc, extra=ids)
            return _failed(fingerprint, "transient", "The audit trail cannot be written now; send the signal again.")
        except Undecided as exc:
            _log.warning("signal %s waits for its sender to try again: %s", mark, exc, extra=ids)
            message = "What is being handled already cannot be told now; send the signal again."
            return _failed(fingerprint, "transient", message)
        except TimeoutError:
            return _failed(fingerprint, "deadline", "The request's deadline passed before the signal's turn came.")

    async def _prepare(self, incoming: Incoming) -> Prepared | Outcome:
        signal = incoming.signal
        if isinstance(signal, InvalidSignal | RejectedSignal):
            return self._turn_away(signal, incoming)
        if not self._view.is_alive:
            raise Undecided("the index of RemediationRequests is not up to date")
        async with asyncio.timeout_at(incoming.deadline):
            if signal.status == "resolved":
                return await self._resolve(signal, incoming)
            located = await self._locator.locate(signal)
            objection = await self._scope.objection(located) if self._scope is not None else None
        if objection is not None:
            return self._keep_out(located.signal, objection, incoming)
        return Prepared(located.signal, incoming.signal_type, incoming.mark, incoming.deadline)

    def _turn_away(self, turned_away: InvalidSignal | RejectedSignal, incoming: Incoming) -> Outcome:
        event = events.signal_rejected(
            turned_away, signal_type=incoming.signal_type, idempotency_key=incoming.mark, at=self._clock.now()
        )
        self._journal.record(event)
        self._metrics.count_rejected(reason=turned_away.reason)
        if isinstance(turned_away, RejectedSignal):
            return Outcome(status="rejected", message=turned_away.message, fingerprint=None, rejection=turned_away)
        return Outcome(status="invalid", message=turned_away.message, fingerprint=None)

    def _keep_out(self, signal: Signal, objection: RejectedSignal, incoming: Incoming) -> Outcome:
        event = events.out_of_scope(signal, objection, signal_type=incoming.signal_type, at=self._clock.now())
        self._journal.record(event)
        self._metrics.count_rejected(reason=objection.reason)
        return Outcome(
            status="rejected", message=objection.message, fingerprint=signal.fingerprint, rejection=objection
        )

    async def _resolve(self, signal: Signal, incoming: Incoming) -> Outcome:
        if signal.target is not None:
            try:
                signal = (await self._locator.locate(signal)).signal
            except KubernetesError as exc:
                _log.info(
                    "signal %s is resolved, and its target is taken as its labels name it: %s",
                    incoming.mark,
                    exc,
                    extra={"request_id": request_id_of(incoming.mark)},
                )
        records = self._view.records(signal.fingerprint) if signal.fingerprint is not None else ()
        active = min((record for record in records if record.is_active), key=lambda it: it.created_at, default=None)
        if active is not None and self._creations.is_in_doubt(active):
            await self._make_sure_of_creation(active, incoming)
        event = events.signal_resolved(
            signal,
            signal_type=incoming.signal_type,
            active_name=active.name if active is not None else None,
            idempotency_key=incoming.mark,
            at=self._clock.now(),
        )
        self._journal.record(event)
        self._metrics.count_resolved(source=signal.source)
        message = f"{signal.name} is resolved; nothing to do."
        return Outcome(status="resolved", message=message, fingerprint=signal.fingerprint)

    async def _make_sure_of_creation(self, active: RemediationRecord, incoming: Incoming) -> None:
        try:
            request = await self._view.read(active.name, deadline=incoming.deadline)
        except KubernetesError as exc:
            _log.warning(
                "whether the creation of %s is recorded was not looked up when its signal %s was resolved: %s",
                active.name,
                incoming.mark,
                exc,
                extra={"request_id": request_id_of(incoming.mark), "correlation_id": active.name},
            )
            return
        if request is not None:
            self._creations.make_sure(request)

    async def _remediate(self, prepared: Prepared) -> Outcome:
        signal, signal_type, deadline = prepared.signal, prepared.signal_type, prepared.deadline
        assert signal.fingerprint is not None, "a firing signal has a fingerprint"
        for _ in range(_MAX_STEPS):
            async with self._lanes.hold(signal.fingerprint, deadline=deadline):
                verdict = decide(self._view.records(signal.fingerprint), now=self._clock.now())
                result: Created | DuplicateOf
                if isinstance(verdict, DuplicateOf):
                    result = verdict
                else:
                    result = await self._creation.create(
                        signal, signal_type=signal_type, mark=prepared.mark, deadline=deadline
                    )
                if isinstance(result, Created):
                    return Outcome(
                        status="created",
                        message=f"RemediationRequest {self._view.namespace}/{result.record.name} was created.",
                        fingerprint=signal.fingerprint,
                        record=result.record,
                    )
                self._journal.require_accepting()
                self._conflicts.note(signal, result, signal_type=signal_type)
                counting = self._counter.count(result.record, seen_at=signal.received_at, deadline=deadline)

            occurrence = await counting
            if occurrence is not None:
                return self._note_duplicate(signal, signal_type, occurrence)
        raise Undecided(f"what handles {signal.name} ended {_MAX_STEPS} times while it was being counted")

    def _note_duplicate(self, signal: Signal, signal_type: str, occurrence: Occurrence) -> Outcome:
        self._creations.make_sure(occurrence.request)
        record = occurrence.record
        event = events.signal_deduplicated(
            signal,
            signal_type=signal_type,
            name=record.name,
            namespace=record.namespace,
            uid=record.uid,
            count=occurrence.count,
            at=self._clock.now(),
        )
        self._journal.record(event)
        self._metrics.count_deduplicated(source=signal.source)
        return Outcome(
            status="duplicate",
            message=f"Occurrence {occurrence.count} of what {record.namespace}/{record.name} handles.",
            fingerprint=signal.fingerprint,
            record=record,
            occurrence_count=occurrence.count,
            first_occurrence=occurrence.first_seen,
            last_occurrence=occurrence.last_seen,
        )


def _failed(fingerprint: str | None, failure: Failure, message: str, *, retry_after: float | None = None) -> Outcome:
    return Outcome(status="failed", message=message, fingerprint=fingerprint, failure=failure, retry_after=retry_after)

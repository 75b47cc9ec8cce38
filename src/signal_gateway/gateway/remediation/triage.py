"""Triage: what to do about each signal, one after another within a fingerprint."""

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from signal_gateway.clock import Clock
from signal_gateway.gateway import events
from signal_gateway.gateway.journal import AuditUnavailable, Journal
from signal_gateway.gateway.metrics import GatewayMetrics
from signal_gateway.gateway.remediation.creation import Created, Creation
from signal_gateway.gateway.remediation.deduplication import DuplicateOf, decide
from signal_gateway.gateway.remediation.lanes import Lanes
from signal_gateway.gateway.remediation.occurrence import Occurrence, OccurrenceCounter
from signal_gateway.gateway.remediation.outcome import Failure, Outcome, Undecided
from signal_gateway.gateway.remediation.view import ClusterView
from signal_gateway.gateway.signals.adapter import ParsedSignal
from signal_gateway.gateway.signals.signal import InvalidSignal, RejectedSignal, Signal
from signal_gateway.kubernetes import KubernetesError, Refused

__all__ = ["Triage"]

_log = logging.getLogger(__name__)

_MAX_STEPS = 8


class Triage:
    """Decides each signal, acts on it, and records it.

    Deciding is serial within a fingerprint, in the order of arrival. Waiting for a duplicate's count is not: the
    next signal of the fingerprint is decided meanwhile, so that duplicates share a write.

    Args:
        view: Access to the RemediationRequests.
        journal: Where events go.
        metrics: Where everything is counted.
        clock: The wall clock.
        spawn: Starts a background write as a task and keeps it.
    """

    def __init__(
        self,
        view: ClusterView,
        *,
        journal: Journal,
        metrics: GatewayMetrics,
        clock: Clock,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._view = view
        self._journal = journal
        self._metrics = metrics
        self._clock = clock
        self._lanes = Lanes()
        self._creation = Creation(view, journal=journal, metrics=metrics, clock=clock)
        self._counter = OccurrenceCounter(view, clock=clock, spawn=spawn)

    async def handle(self, signal: ParsedSignal, *, signal_type: str, mark: str, deadline: float) -> Outcome:
        """Decide what to do about a signal, and do it; whatever stands in the way is an outcome, too.

        Args:
            signal: What came in.
            signal_type: What its adapter calls its signals.
            mark: Unique to this signal of this request.
            deadline: Time of the running loop after which nothing new is begun.
        """
        self._metrics.count_received(source=signal.source, severity=signal.severity)
        fingerprint = signal.fingerprint if isinstance(signal, Signal) else None
        try:
            if isinstance(signal, InvalidSignal | RejectedSignal):
                return self._reject(signal, signal_type=signal_type, mark=mark)
            if not self._view.is_alive:
                raise Undecided("the index of RemediationRequests is not up to date")
            if signal.status == "resolved":
                return self._resolve(signal, signal_type=signal_type, mark=mark)
            return await self._remediate(signal, signal_type=signal_type, mark=mark, deadline=deadline)
        except Refused as exc:
            _log.error("RemediationRequest for %s refused, signal %s: %s", signal.name, mark, exc)
            return _failed(fingerprint, "refused", "The Kubernetes API refuses the RemediationRequest.")
        except KubernetesError as exc:
            _log.warning("signal %s waits for its sender to try again: %s", mark, exc)
            message = "The Kubernetes API cannot be used now; send the signal again."
            return _failed(fingerprint, "transient", message, retry_after=exc.retry_after)
        except AuditUnavailable as exc:
            _log.warning("signal %s waits for its sender to try again: %s", mark, exc)
            return _failed(fingerprint, "transient", "The audit trail cannot be written now; send the signal again.")
        except Undecided as exc:
            _log.warning("signal %s waits for its sender to try again: %s", mark, exc)
            message = "What is being handled already cannot be told now; send the signal again."
            return _failed(fingerprint, "transient", message)
        except TimeoutError:
            return _failed(fingerprint, "deadline", "The request's deadline passed before the signal's turn came.")

    def _reject(self, turned_away: InvalidSignal | RejectedSignal, *, signal_type: str, mark: str) -> Outcome:
        event = events.signal_rejected(turned_away, signal_type=signal_type, mark=mark, at=self._clock.now())
        self._journal.record(event)
        self._metrics.count_rejected(reason=turned_away.reason)
        if isinstance(turned_away, RejectedSignal):
            return Outcome(status="rejected", message=turned_away.message, fingerprint=None, rejection=turned_away)
        return Outcome(status="invalid", message=turned_away.message, fingerprint=None)

    def _resolve(self, signal: Signal, *, signal_type: str, mark: str) -> Outcome:
        records = self._view.records(signal.fingerprint) if signal.fingerprint is not None else ()
        active = min((record for record in records if record.is_active), key=lambda it: it.created_at, default=None)
        event = events.signal_resolved(
            signal,
            signal_type=signal_type,
            active_name=active.name if active is not None else None,
            mark=mark,
            at=self._clock.now(),
        )
        self._journal.record(event)
        self._metrics.count_resolved(source=signal.source)
        message = f"{signal.name} is resolved; nothing to do."
        return Outcome(status="resolved", message=message, fingerprint=signal.fingerprint)

    async def _remediate(self, signal: Signal, *, signal_type: str, mark: str, deadline: float) -> Outcome:
        assert signal.fingerprint is not None, "a firing signal has a fingerprint"
        for _ in range(_MAX_STEPS):
            async with self._lanes.hold(signal.fingerprint, deadline=deadline):
                verdict = decide(self._view.records(signal.fingerprint), now=self._clock.now())
                result: Created | DuplicateOf
                if isinstance(verdict, DuplicateOf):
                    result = verdict
                else:
                    result = await self._creation.create(signal, signal_type=signal_type, mark=mark, deadline=deadline)
                if isinstance(result, Created):
                    return Outcome(
                        status="created",
                        message=f"RemediationRequest {self._view.namespace}/{result.record.name} was created.",
                        fingerprint=signal.fingerprint,
                        record=result.record,
                    )
                if result.has_rivals:
                    _log.error("fingerprint %s has several active RemediationRequests", signal.fingerprint)
                self._journal.require_accepting()
                counting = self._counter.count(result.record, seen_at=signal.received_at, deadline=deadline)

            occurrence = await counting
            if occurrence is not None:
                return self._note_duplicate(signal, signal_type, occurrence)
        raise Undecided(f"what handles {signal.name} ended {_MAX_STEPS} times while it was being counted")

    def _note_duplicate(self, signal: Signal, signal_type: str, occurrence: Occurrence) -> Outcome:
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

"""Preparation: the first step of each signal. It resolves the target, applies the scope, and ends resolved signals."""

import asyncio
import logging

from signal_gateway.clock import Clock
from signal_gateway.gateway.audit import events
from signal_gateway.gateway.audit.recorder import AuditRecorder
from signal_gateway.gateway.metrics import GatewayMetrics
from signal_gateway.gateway.remediation.creation import CreationAudit
from signal_gateway.gateway.remediation.outcome import Incoming, Outcome, Prepared, Undecided
from signal_gateway.gateway.remediation.requests import RemediationRequests
from signal_gateway.gateway.signals.signal import InvalidSignal, RejectedSignal, Signal
from signal_gateway.gateway.targets.resolver import Scope, TargetResolver
from signal_gateway.kubernetes import KubernetesError, RemediationRecord

__all__ = ["Preparation"]

_log = logging.getLogger(__name__)


class Preparation:
    """Prepares signals, any number at once and in any order.

    Args:
        requests: The RemediationRequests.
        resolver: Resolves targets.
        scope: Decides whether the gateway may act on a target; None if it may act on every target.
        audit: Records creations whose events may be missing.
        recorder: Records the events of rejected and resolved signals.
        metrics: Counts the signals.
        clock: The wall clock.
    """

    def __init__(
        self,
        requests: RemediationRequests,
        *,
        resolver: TargetResolver,
        scope: Scope | None,
        audit: CreationAudit,
        recorder: AuditRecorder,
        metrics: GatewayMetrics,
        clock: Clock,
    ) -> None:
        self._requests = requests
        self._resolver = resolver
        self._scope = scope
        self._audit = audit
        self._recorder = recorder
        self._metrics = metrics
        self._clock = clock

    async def prepare(self, incoming: Incoming) -> Prepared | Outcome:
        """Prepare one signal.

        Returns:
            The signal if it has to be decided, else its outcome.

        Raises:
            AuditUnavailable: The audit store accepts no events.
            KubernetesError: The target or its labels could not be read.
            TimeoutError: The deadline passed.
            Undecided: The index of RemediationRequests is outdated.
        """
        signal = incoming.signal
        self._metrics.count_received(source=signal.source, severity=signal.severity)
        if isinstance(signal, InvalidSignal | RejectedSignal):
            return self._decline(signal, incoming)
        if not self._requests.is_alive:
            raise Undecided("the index of RemediationRequests is not up to date")
        async with asyncio.timeout_at(incoming.deadline):
            if signal.status == "resolved":
                return await self._resolve(signal, incoming)
            resolution = await self._resolver.resolve(signal)
            if not resolution.has_target:
                return self._decline(resolution.without_target(), incoming)
            rejection = await self._scope.rejection(resolution) if self._scope is not None else None
        signal = resolution.signal
        if rejection is not None:
            return self._keep_out(signal, rejection, incoming)
        assert signal.fingerprint is not None, "a firing signal has a fingerprint"
        return Prepared(
            signal=signal,
            fingerprint=signal.fingerprint,
            signal_type=incoming.signal_type,
            request_id=incoming.request_id,
            idempotency_key=incoming.idempotency_key,
            deadline=incoming.deadline,
        )

    def _decline(self, signal: InvalidSignal | RejectedSignal, incoming: Incoming) -> Outcome:
        event = events.signal_rejected(
            signal,
            signal_type=incoming.signal_type,
            idempotency_key=incoming.idempotency_key,
            at=self._clock.now(),
        )
        self._recorder.record(event)
        self._metrics.count_rejected(reason=signal.reason)
        if isinstance(signal, RejectedSignal):
            return Outcome(
                status="rejected", message=signal.message, fingerprint=None, rejection=signal, reason=signal.reason
            )
        return Outcome(status="invalid", message=signal.message, fingerprint=None, reason=signal.reason)

    def _keep_out(self, signal: Signal, rejection: RejectedSignal, incoming: Incoming) -> Outcome:
        event = events.out_of_scope(signal, rejection, signal_type=incoming.signal_type, at=self._clock.now())
        self._recorder.record(event)
        self._metrics.count_rejected(reason=rejection.reason)
        return Outcome(
            status="rejected",
            message=rejection.message,
            fingerprint=signal.fingerprint,
            rejection=rejection,
            reason=rejection.reason,
        )

    async def _resolve(self, signal: Signal, incoming: Incoming) -> Outcome:
        if signal.target is not None or signal.candidates:
            try:
                signal = (await self._resolver.resolve(signal)).signal
            except KubernetesError as exc:
                _log.info(
                    "resolved signal %s keeps the target of its labels, because the owner chain is unknown: %s",
                    incoming.idempotency_key,
                    exc,
                    extra={"request_id": incoming.request_id},
                )
        records = self._requests.index.by_fingerprint(signal.fingerprint) if signal.fingerprint is not None else ()
        active = min((record for record in records if record.is_active), key=lambda it: it.created_at, default=None)
        if active is not None and self._audit.is_in_doubt(active):
            await self._backfill(active, incoming)
        event = events.signal_resolved(
            signal,
            signal_type=incoming.signal_type,
            active_name=active.name if active is not None else None,
            idempotency_key=incoming.idempotency_key,
            at=self._clock.now(),
        )
        self._recorder.record(event)
        self._metrics.count_resolved(source=signal.source)
        message = f"{signal.name} is resolved; nothing to do."
        return Outcome(status="resolved", message=message, fingerprint=signal.fingerprint)

    async def _backfill(self, active: RemediationRecord, incoming: Incoming) -> None:
        try:
            request = await self._requests.read(active.name, deadline=incoming.deadline)
        except KubernetesError as exc:
            _log.warning(
                "the creation of %s may lack its audit events: the object could not be read for resolved signal %s: %s",
                active.name,
                incoming.idempotency_key,
                exc,
                extra={"request_id": incoming.request_id, "correlation_id": active.name},
            )
            return
        if request is not None:
            self._audit.backfill(request)

"""decide(): whether an active RemediationRequest handles a problem. ActiveConflicts: reports if several do."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from signal_gateway.clock import Clock
from signal_gateway.gateway.audit import events
from signal_gateway.gateway.audit.recorder import AuditRecorder
from signal_gateway.gateway.metrics import GatewayMetrics
from signal_gateway.gateway.remediation.outcome import Prepared
from signal_gateway.kubernetes import RemediationRecord

__all__ = ["ActiveConflicts", "Create", "Decision", "DuplicateOf", "decide"]

_log = logging.getLogger(__name__)

_MANUAL_REVIEW: Final = "ManualReviewRequired"
_MAX_REPORTED: Final = 1000


@dataclass(frozen=True, slots=True)
class Create:
    """No RemediationRequest handles the problem now."""


@dataclass(frozen=True, slots=True)
class DuplicateOf:
    """A RemediationRequest handles the problem.

    Attributes:
        record: This RemediationRequest.
        rivals: Other active ones of the same problem, oldest first. There should be none.
    """

    record: RemediationRecord
    rivals: tuple[RemediationRecord, ...] = ()


Decision = Create | DuplicateOf


def decide(records: Iterable[RemediationRecord], *, now: datetime) -> Decision:
    """Decide by the RemediationRequests of a fingerprint; the first row that matches wins.

    1. An active one: the oldest. 2. One that ended in manual review: the newest. 3. One that forbids the next
    execution until a future time: the latest such time. 4. Otherwise create.

    Args:
        records: All RemediationRequests of one fingerprint.
        now: The current time, aware.
    """
    records = list(records)
    if not records:
        return Create()

    active = sorted((record for record in records if record.is_active), key=_age)
    if active:
        return DuplicateOf(active[0], rivals=tuple(active[1:]))

    terminal = [record for record in records if record.is_terminal]
    in_review = [record for record in terminal if record.outcome == _MANUAL_REVIEW]
    if in_review:
        return DuplicateOf(max(in_review, key=_age))

    blocked = [
        (record.next_allowed_execution, record.name, record)
        for record in terminal
        if record.next_allowed_execution is not None and record.next_allowed_execution > now
    ]
    if blocked:
        return DuplicateOf(max(blocked, key=lambda item: item[:2])[2])
    return Create()


def _age(record: RemediationRecord) -> tuple[datetime, str]:
    return record.created_at, record.name


class ActiveConflicts:
    """Reports several active RemediationRequests of one problem, by a metric, an audit event and a log line.

    A conflict is reported once, and again when other RemediationRequests are active.

    Args:
        recorder: Records the event.
        metrics: Counts the conflicts.
        clock: The wall clock.
    """

    def __init__(self, recorder: AuditRecorder, *, metrics: GatewayMetrics, clock: Clock) -> None:
        self._recorder = recorder
        self._metrics = metrics
        self._clock = clock
        self._reported: dict[str, frozenset[str]] = {}

    def report(self, prepared: Prepared, duplicate: DuplicateOf) -> None:
        """Report the conflict of a duplicate, if it has rivals.

        Args:
            prepared: The signal.
            duplicate: The decision about it.

        Raises:
            AuditUnavailable: The audit store accepts no events.
        """
        fingerprint = prepared.fingerprint
        if not duplicate.rivals:
            self._reported.pop(fingerprint, None)
            return
        active = frozenset(record.uid for record in (duplicate.record, *duplicate.rivals))
        if self._reported.get(fingerprint) == active:
            return
        event = events.active_conflict(
            prepared.signal,
            signal_type=prepared.signal_type,
            kept=duplicate.record,
            rivals=duplicate.rivals,
            at=self._clock.now(),
        )
        self._recorder.record(event)
        self._metrics.count_active_conflict()
        _log.error(
            "fingerprint %s has %d active RemediationRequests",
            fingerprint,
            len(active),
            extra={"correlation_id": event.correlation_id, "fingerprint": fingerprint},
        )
        self._reported[fingerprint] = active
        if len(self._reported) > _MAX_REPORTED:
            del self._reported[next(iter(self._reported))]

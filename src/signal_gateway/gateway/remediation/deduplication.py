"""Deduplication of signals: of one problem, by its RemediationRequests, and of one notification that is sent again.

- `decide()`: whether an active RemediationRequest handles a problem. `ActiveConflicts` reports if several do.
- `Notifications`: remembers the signals of failed requests, so that a retry of the sender does not count them again.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from signal_gateway.clock import Clock
from signal_gateway.gateway.audit import events
from signal_gateway.gateway.audit.recorder import AuditRecorder
from signal_gateway.gateway.metrics import GatewayMetrics
from signal_gateway.gateway.remediation.outcome import Outcome, Prepared
from signal_gateway.kubernetes import RemediationRecord

__all__ = [
    "ActiveConflicts",
    "Create",
    "Decision",
    "DuplicateOf",
    "Notification",
    "Notifications",
    "decide",
    "is_settled",
]

_log = logging.getLogger(__name__)

_MANUAL_REVIEW: Final = "ManualReviewRequired"
_MAX_REPORTED: Final = 1000
_MAX_AGE: Final = 300.0  # seconds; Alertmanager retries until its next group interval, 5 minutes by default
_MAX_SIGNALS: Final = 20_000


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


Key = tuple[str, int]
"""`notification` of a signal, and its number among the signals of the request with the same one."""


def is_settled(work: asyncio.Task[Outcome]) -> bool:
    """Return whether the work on a signal ended with an outcome that a retry may take over."""
    is_complete = work.done() and not work.cancelled() and work.exception() is None
    return is_complete and work.result().status != "failed"


@dataclass(slots=True, eq=False)
class Notification:
    """The signals of one request, and the work on them.

    Attributes:
        group: The group of the signals; None if the source does not repeat signals.
        is_sender_gone: Returns whether the connection of the request is closed.
        earlier: The work of failed requests of the group, which this request may take over.
        begun: The work that this request began or took over, in payload order; the key is None for a signal that the
            source does not repeat.
        is_given_up: Whether the request failed. No further work begins.
    """

    group: str | None
    is_sender_gone: Callable[[], bool | Awaitable[bool]]
    earlier: dict[Key, asyncio.Task[Outcome]] = field(default_factory=dict)
    begun: list[tuple[Key | None, asyncio.Task[Outcome]]] = field(default_factory=list)
    is_given_up: bool = False
    _numbers: Counter[str] = field(default_factory=Counter)

    @property
    def undecided(self) -> int:
        """Number of signals whose work still runs."""
        return sum(not work.done() for _, work in self.begun)

    def take_over(self, notification: str | None) -> tuple[Key | None, asyncio.Task[Outcome] | None]:
        """Return the key of the next signal, and the work of an earlier request on the same signal.

        Call it once for each signal, in payload order. The work is None if there is none, or it failed.

        Args:
            notification: Of the signal.
        """
        if notification is None or self.group is None:
            return None, None
        self._numbers[notification] += 1
        key = notification, self._numbers[notification]
        work = self.earlier.pop(key, None)
        return key, None if work is None or (work.done() and not is_settled(work)) else work


@dataclass(frozen=True, slots=True)
class _Kept:
    kept_at: float
    signals: dict[Key, asyncio.Task[Outcome]]


class Notifications:
    """The notifications in flight, and the signals of failed ones. Belongs to one event loop.

    A request that fails (5xx, or its sender closed the connection) may have handled some of its signals. The next
    request of the same group that has the same signals is a retry: it takes over the outcomes, and the work that still
    runs. Each outcome is taken over once, so a signal is never acknowledged more often than it is counted.

    Kept for five minutes and for 20 000 signals; the oldest group is dropped first. Signals are then counted again,
    which is safe: `acknowledged <= occurrenceCount <= received`.

    Args:
        clock: Measures the age.
    """

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._in_flight: dict[str, list[Notification]] = {}

    def __len__(self) -> int:
        return sum(len(kept.signals) for kept in self._kept.values())

    async def begin(self, group: str | None, *, is_sender_gone: Callable[[], bool | Awaitable[bool]]) -> Notification:
        """Begin the work of one request.

        Args:
            group: The group of its signals; None if the source does not repeat signals.
            is_sender_gone: Returns whether the connection of the request is closed.
        """
        notification = Notification(group, is_sender_gone)
        if group is None:
            return notification
        for other in tuple(self._in_flight.get(group, ())):
            is_gone = other.is_sender_gone()
            if is_gone if isinstance(is_gone, bool) else await is_gone:
                self.end(other, has_failed=True)
        self._in_flight.setdefault(group, []).append(notification)
        kept = self._kept.pop(group, None)
        if kept is not None and self._clock.monotonic() - kept.kept_at < _MAX_AGE:
            notification.earlier = kept.signals
        return notification

    def end(self, notification: Notification, *, has_failed: bool) -> None:
        """End the work of one request. Only the first call for a request counts.

        Args:
            notification: Returned by `begin`.
            has_failed: Whether the sender has to retry.
        """
        group, in_flight = notification.group, self._in_flight.get(notification.group or "", [])
        notification.is_given_up = notification.is_given_up or has_failed
        if group is None or notification not in in_flight:
            return
        in_flight.remove(notification)
        if not in_flight:
            del self._in_flight[group]
        signals = notification.earlier
        if has_failed:
            signals |= {key: work for key, work in notification.begun if key and (is_settled(work) or not work.done())}
        if signals:
            self._keep(group, signals)

    def _keep(self, group: str, signals: dict[Key, asyncio.Task[Outcome]]) -> None:
        now = self._clock.monotonic()
        other = self._kept.pop(group, None)
        if other is not None:
            signals = other.signals | signals
        for old in [name for name, kept in self._kept.items() if now - kept.kept_at >= _MAX_AGE]:
            del self._kept[old]
        self._kept[group] = _Kept(now, signals)
        while len(self._kept) > 1 and len(self) > _MAX_SIGNALS:
            del self._kept[next(iter(self._kept))]

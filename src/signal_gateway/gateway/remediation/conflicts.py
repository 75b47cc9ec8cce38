"""Conflicts: several active RemediationRequests of one problem, which must not be, are said once."""

import logging
from typing import Final

from signal_gateway.clock import Clock
from signal_gateway.gateway.audit import events
from signal_gateway.gateway.audit.recorder import Journal
from signal_gateway.gateway.metrics import GatewayMetrics
from signal_gateway.gateway.remediation.deduplication import DuplicateOf
from signal_gateway.gateway.signals.signal import Signal

__all__ = ["Conflicts"]

_log = logging.getLogger(__name__)

_MAX_KEPT: Final = 1000


class Conflicts:
    """Says by a metric, an event and a log line that several are active; again only when others are.

    Args:
        journal: Where the event goes.
        metrics: Where it is counted.
        clock: The wall clock.
    """

    def __init__(self, journal: Journal, *, metrics: GatewayMetrics, clock: Clock) -> None:
        self._journal = journal
        self._metrics = metrics
        self._clock = clock
        self._said: dict[str, frozenset[str]] = {}

    def note(self, signal: Signal, duplicate: DuplicateOf, *, signal_type: str) -> None:
        """Look at what a signal is a duplicate of.

        Args:
            signal: The signal.
            duplicate: What was decided.
            signal_type: What the signal's adapter calls its signals.

        Raises:
            AuditUnavailable: The audit store takes no events.
        """
        fingerprint = signal.fingerprint or ""
        if not duplicate.rivals:
            self._said.pop(fingerprint, None)
            return
        active = frozenset(record.uid for record in (duplicate.record, *duplicate.rivals))
        if self._said.get(fingerprint) == active:
            return
        event = events.active_conflict(
            signal, signal_type=signal_type, kept=duplicate.record, rivals=duplicate.rivals, at=self._clock.now()
        )
        self._journal.record(event)
        self._metrics.count_active_conflict()
        _log.error(
            "fingerprint %s has %d active RemediationRequests",
            fingerprint,
            len(active),
            extra={"correlation_id": event.correlation_id, "fingerprint": fingerprint},
        )
        self._said[fingerprint] = active
        if len(self._said) > _MAX_KEPT:
            del self._said[next(iter(self._said))]

"""Follower: the events that DataStorage stored since the last query, in the order of storage."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from signal_gateway.clock import Clock
from signal_gateway.errors import AuditError, ConfigurationError

if TYPE_CHECKING:
    from signal_gateway.audit.client.client import AuditFilters, DataStorageClient, EventPage

__all__ = ["DEFAULT_LOOKBACK", "Follower"]

DEFAULT_LOOKBACK = "1h"

_RELATIVE = re.compile(r"(\d{1,9})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_PAGES = 10
_KEPT_SEQUENCES = 100_000


class Follower:
    """Finds the events that DataStorage stored since the last query.

    Audit queries order events by event time. An event from a spool is stored long after its event time, so a cursor
    would miss it. This class counts instead: the number of new events is the number of matching events minus the number
    of known events. The newest page nearly always has all new events. If it does not, the class reads older pages, and
    in the end all events.

    `new_events` returns each event that is stored after `start` exactly once, if the event time is within the lookback.
    The counted window begins at the lookback, and moves when it is twice as long. One exception: purging N events in
    the window hides N older events until the window moves.

    Args:
        client: The client for DataStorage.
        filters: The filters; a relative `since` is the lookback, and an absolute one is a fixed start.
        clock: The clock that moves the window.

    Raises:
        ConfigurationError: The lookback reaches beyond the calendar.
    """

    def __init__(self, client: "DataStorageClient", filters: "AuditFilters", *, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._filters: AuditFilters = {"since": DEFAULT_LOOKBACK, **filters}
        self._lookback = _lookback(self._filters["since"])
        self._known = _Sequences()
        self._count: int | None = None  # of known events in the window; None if unknown
        self._moved_at = self._move_window()

    def start(self) -> None:
        """Mark all events that are stored now as known.

        Raises:
            DataStorageUnavailable: DataStorage does not respond.
            AuditError: DataStorage refuses the query, or its events have no `sequence`.
        """
        count = 0
        for event in self._client.export(**self._filters):
            self._known.add(_sequence(event))
            count += 1
        self._count = count

    def new_events(self) -> list[dict[str, Any]]:
        """Return the events stored since the last call, in the order of storage. A failed call loses no events.

        Raises:
            DataStorageUnavailable: DataStorage does not respond.
            AuditError: DataStorage refuses the query, or its events have no `sequence`.
        """
        if self._lookback is not None and self._clock.now() - self._moved_at > self._lookback:
            self._moved_at = self._move_window()
            self._count = None
        found = self._newest()
        if found is None:
            found = self._all()
        for sequence in found:
            self._known.add(sequence)
        return [found[sequence] for sequence in sorted(found)]

    def _newest(self) -> dict[int, dict[str, Any]] | None:
        """Read the newest pages until all new events are found; None if they are not there."""
        if self._count is None:
            return None
        found: dict[int, dict[str, Any]] = {}
        missing: int | None = None
        for page in islice(self._client.pages(**self._filters), _PAGES):
            if missing is None:
                missing = self._total(page) - self._count
            found |= self._unknown(page.events)
            if len(found) == missing:
                self._count += missing
                return found
        return None

    def _total(self, page: "EventPage") -> int:
        return (
            page.total if page.total_is_exact else self._client.query(limit=1, exact_total=True, **self._filters).total
        )

    def _all(self) -> dict[int, dict[str, Any]]:
        found: dict[int, dict[str, Any]] = {}
        count = 0
        for event in self._client.export(**self._filters):
            found |= self._unknown((event,))
            count += 1
        self._count = count
        return found

    def _unknown(self, events: Iterable[dict[str, Any]]) -> dict[int, dict[str, Any]]:
        by_sequence = {_sequence(event): event for event in events}
        return {sequence: event for sequence, event in by_sequence.items() if sequence not in self._known}

    def _move_window(self) -> datetime:
        now = self._clock.now()
        if self._lookback is not None:
            try:
                self._filters["since"] = now - self._lookback
            except OverflowError:
                raise ConfigurationError(
                    f"a lookback of {self._lookback.days} days is too long: the calendar begins in the year 1"
                ) from None
        return now


class _Sequences:
    """A set of sequences with bounded memory: it contains every sequence far below the highest, added or not."""

    def __init__(self) -> None:
        self._floor = -1
        self._above: set[int] = set()

    def add(self, sequence: int) -> None:
        if sequence > self._floor:
            self._above.add(sequence)
        if len(self._above) > 2 * _KEPT_SEQUENCES:
            self._floor = sorted(self._above)[-_KEPT_SEQUENCES]
            self._above = {kept for kept in self._above if kept > self._floor}

    def __contains__(self, sequence: int) -> bool:
        return sequence <= self._floor or sequence in self._above


def _sequence(event: dict[str, Any]) -> int:
    sequence = event.get("sequence")
    if type(sequence) is not int:
        raise AuditError("the events of this DataStorage have no sequence, so their order is unknown: upgrade it")
    return sequence


def _lookback(since: datetime | str) -> timedelta | None:
    """Return the length of a relative time; None for an absolute time."""
    relative = _RELATIVE.fullmatch(since) if isinstance(since, str) else None
    return timedelta(**{_UNITS[relative[2]]: int(relative[1])}) if relative else None

"""Follower: which events were stored since the last look, whatever their timestamps say."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from signal_gateway.clock import Clock
from signal_gateway.errors import AuditError, ConfigurationError

if TYPE_CHECKING:
    from signal_gateway.audit.client.client import AuditFilters, DataStorageClient

__all__ = ["DEFAULT_LOOKBACK", "Follower"]

DEFAULT_LOOKBACK = "1h"

_RELATIVE = re.compile(r"(\d{1,9})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_PAGES = 10
_KEPT_SEQUENCES = 100_000


class Follower:
    """Finds the events that DataStorage stored since it was last asked.

    An audit query is ordered by the time at which events happened, and one that waited in a spool is stored long after
    that: a cursor would pass it over. So this counts. DataStorage says how many events the query matches; that less
    those that are known is how many are new. The newest page nearly always has them all; if not, older pages are
    read until they are found, or everything is.

    An event that is stored after `start` has returned is given exactly once, if its timestamp is no older than the
    lookback when it is looked for. The window of time that is counted begins there, and moves on when it has become
    twice as long. One exception: what is purged in the window hides as many older events, until the window moves.

    Args:
        client: The DataStorage that is asked.
        filters: Which events; a relative `since` is the lookback, and a fixed one stays where it is.
        clock: Says when the window must move.

    Raises:
        ConfigurationError: The lookback is too long for a calendar.
    """

    def __init__(self, client: "DataStorageClient", filters: "AuditFilters", *, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._filters: AuditFilters = {"since": DEFAULT_LOOKBACK, **filters}
        self._lookback = _lookback(self._filters["since"])
        self._known = _Sequences()
        self._count: int | None = None  # of the events in the window that are known; None if that must be found out
        self._moved_at = self._move_window()

    def start(self) -> None:
        """Take everything that is stored by now as known.

        Raises:
            DataStorageUnavailable: No DataStorage answers.
            AuditError: It refuses the query, or its events have no `sequence`.
        """
        count = 0
        for event in self._client.export(**self._filters):
            self._known.add(_sequence(event))
            count += 1
        self._count = count

    def new_events(self) -> list[dict[str, Any]]:
        """Return what was stored since the last call, in the order of storing. A call that fails takes nothing away.

        Raises:
            DataStorageUnavailable: No DataStorage answers.
            AuditError: It refuses the query, or its events have no `sequence`.
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
        """Read the newest pages until all that is missing is found; None if it isn't there."""
        if self._count is None:
            return None
        found: dict[int, dict[str, Any]] = {}
        missing: int | None = None
        for page in islice(self._client.pages(**self._filters), _PAGES):
            if missing is None:
                missing = page.total - self._count
            found |= self._unknown(page.events)
            if len(found) == missing:
                self._count += missing
                return found
        return None

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
                    f"a lookback of {self._lookback.days} days is longer than any calendar"
                ) from None
        return now


class _Sequences:
    """A set of sequences that stays small: one far below the highest is in it whether it was added or not."""

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
        raise AuditError("this DataStorage does not say in which order it stored its events: they have no sequence")
    return sequence


def _lookback(since: datetime | str) -> timedelta | None:
    """Return a relative time's length; None for one that does not move."""
    relative = _RELATIVE.fullmatch(since) if isinstance(since, str) else None
    return timedelta(**{_UNITS[relative[2]]: int(relative[1])}) if relative else None

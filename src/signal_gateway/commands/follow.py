"""Follower: the events that DataStorage stored since the last query, in the order of storage."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from signal_gateway.commands.times import duration
from signal_gateway.errors import ConfigurationError

if TYPE_CHECKING:
    from signal_gateway.audit.client.client import AuditFilters, DataStorageClient, EventPage
    from signal_gateway.clock import Clock

__all__ = ["DEFAULT_LOOKBACK", "Follower"]

DEFAULT_LOOKBACK = "1h"

_PAGES = 10
_KEPT_SEQUENCES = 100_000

_Key = int | str
"""The sequence of an event, or its id if it has no sequence."""


class Follower:
    """Finds the events that DataStorage stored since the last query.

    Audit queries order events by event time. An event from a spool is stored long after its event time, so a cursor
    would miss it. This class counts instead: the number of new events is the number of matching events minus the number
    of known events. The newest page nearly always has all new events. If it does not, the class reads older pages, and
    in the end all events.

    `new_events` returns each event that is stored after `start` exactly once, if the event time is within the lookback.
    The counted window begins at the lookback, and moves when it is twice as long. One exception: purging N events in
    the window hides N older events until the window moves.

    A DataStorage whose events have no `sequence`, such as the Go original, is followed by event id, and the new events
    are in the order of their time.

    Args:
        client: The client for DataStorage.
        filters: The filters; a relative `since` is the lookback, and an absolute one is a fixed start.
        clock: The clock that moves the window.

    Raises:
        ConfigurationError: The lookback reaches beyond the calendar.
    """

    def __init__(self, client: "DataStorageClient", filters: "AuditFilters", *, clock: "Clock") -> None:
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
            AuditError: DataStorage refuses the query.
        """
        count = 0
        for event in self._client.export(**self._filters):
            self._known.add(_key(event))
            count += 1
        self._count = count

    def new_events(self) -> list[dict[str, Any]]:
        """Return the events stored since the last call, in the order of storage. A failed call loses no events.

        Raises:
            DataStorageUnavailable: DataStorage does not respond.
            AuditError: DataStorage refuses the query.
        """
        from signal_gateway.audit.client.paging import oldest_first

        if self._lookback is not None and self._clock.now() - self._moved_at > self._lookback:
            self._moved_at = self._move_window()
            self._count = None
        found = self._newest()
        if found is None:
            found = self._all()
        for key in found:
            self._known.add(key)
        numbered = [key for key in found if isinstance(key, int)]
        named = [event for key, event in found.items() if not isinstance(key, int)]
        return [found[key] for key in sorted(numbered)] + oldest_first(named)

    def _newest(self) -> dict[_Key, dict[str, Any]] | None:
        """Read the newest pages until all new events are found; None if they are not there."""
        if self._count is None:
            return None
        found: dict[_Key, dict[str, Any]] = {}
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

    def _all(self) -> dict[_Key, dict[str, Any]]:
        found: dict[_Key, dict[str, Any]] = {}
        count = 0
        for event in self._client.export(**self._filters):
            found |= self._unknown((event,))
            count += 1
        self._count = count
        return found

    def _unknown(self, events: Iterable[dict[str, Any]]) -> dict[_Key, dict[str, Any]]:
        by_key = {_key(event): event for event in events}
        return {key: event for key, event in by_key.items() if key not in self._known}

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
    """A set of sequences with bounded memory: it contains every sequence far below the highest, added or not.

    Ids of events without a sequence are kept as long as the set.
    """

    def __init__(self) -> None:
        self._floor = -1
        self._above: set[int] = set()
        self._ids: set[str] = set()

    def add(self, sequence: _Key) -> None:
        if isinstance(sequence, str):
            self._ids.add(sequence)
            return
        if sequence > self._floor:
            self._above.add(sequence)
        if len(self._above) > 2 * _KEPT_SEQUENCES:
            self._floor = sorted(self._above)[-_KEPT_SEQUENCES]
            self._above = {kept for kept in self._above if kept > self._floor}

    def __contains__(self, sequence: _Key) -> bool:
        if isinstance(sequence, str):
            return sequence in self._ids
        return sequence <= self._floor or sequence in self._above


def _key(event: dict[str, Any]) -> _Key:
    sequence = event.get("sequence")
    return sequence if type(sequence) is int else str(event.get("event_id"))


def _lookback(since: datetime | str) -> timedelta | None:
    """Return the length of a relative time; None for an absolute time."""
    if not isinstance(since, str):
        return None
    try:
        return duration(since)
    except OverflowError as exc:
        raise ConfigurationError(f"a lookback of {since} is too long: use a shorter one, such as 3d") from exc

"""AuditTrail: what the audit says about one matter, asked exactly; for tests and people."""

import difflib
import functools
from collections.abc import Callable, Collection, Sequence
from datetime import date, datetime
from typing import Unpack

import anyio.to_thread
from pydantic import ValidationError

from signal_gateway.audit.client.client import DataStorageClient
from signal_gateway.audit.client.query import AuditFilters
from signal_gateway.audit.errors import AuditTrailMismatch
from signal_gateway.audit.event import AuditEvent
from signal_gateway.audit.store import FlushResult
from signal_gateway.audit.timeline import timeline, without_control_characters
from signal_gateway.errors import AuditError

__all__ = ["AuditTrail", "StoredEvent"]

_SHOWN_NEAR = 10  # events


class StoredEvent(AuditEvent):
    """An audit event as DataStorage gives it back, with what was added there.

    Attributes:
        event_date: The UTC day of the event.
        sequence: Its place in the order of storage.
        received_at: When DataStorage got it.
        clock_skew: Whether its timestamp was more than an hour ahead of that.
    """

    event_date: date | None = None
    sequence: int | None = None
    received_at: datetime | None = None
    clock_skew: bool | None = None


_SHARED = "; the trail is everybody's: if a part of it is another test's, give each a correlation id of its own"


class AuditTrail:
    """Asks DataStorage what happened, after everything recorded before the question has arrived there.

    Each question is a flush barrier and then one exact query, oldest first: no sleeping and no polling. So an event
    that is not found was not recorded, by this process; what others still buffer can't be known.

    Args:
        client: The DataStorage that is asked.
        barrier: `flush` of the store whose events are asked for; None when they are known to have arrived.
        timeout: Seconds that the barrier may take.
    """

    def __init__(
        self, client: DataStorageClient, *, barrier: Callable[[float], FlushResult] | None, timeout: float = 5.0
    ) -> None:
        self._client = client
        self._barrier = barrier
        self._timeout = timeout

    def events(self, **filters: Unpack[AuditFilters]) -> list[StoredEvent]:
        """Return every event that matches, oldest first.

        Args:
            **filters: What to ask for, see `AuditFilters`; nothing asks for everything.

        Raises:
            AuditError: Events are still on their way or were rejected, so that no answer would be true.
            DataStorageUnavailable: No DataStorage answers.
        """
        self._wait_for_events()
        return self._query(filters)

    def one(self, event_type: str | None = None, /, **filters: Unpack[AuditFilters]) -> StoredEvent:
        """Return the only event that matches.

        Args:
            event_type: Short for the filter of that name.
            **filters: What to ask for.

        Raises:
            AuditTrailMismatch: There is none, or more than one.
            AuditError: As for `events`.
        """
        if event_type is not None:
            filters["event_type"] = event_type
        found = self.events(**filters)
        if len(found) != 1:
            claim = f"wanted one audit event with {_named(filters)}, found {len(found)}"
            raise self._mismatch(claim + (_SHARED if found else ""), found, filters)
        return found[0]

    def none(self, event_type: str | None = None, /, **filters: Unpack[AuditFilters]) -> None:
        """Make sure that no event matches.

        Args:
            event_type: Short for the filter of that name.
            **filters: What to ask for.

        Raises:
            AuditTrailMismatch: There is one.
            AuditError: As for `events`.
        """
        if event_type is not None:
            filters["event_type"] = event_type
        found = self.events(**filters)
        if found:
            claim = f"wanted no audit event with {_named(filters)}, found {len(found)}{_SHARED}"
            raise self._mismatch(claim, found, filters)

    def sequence(self, *event_types: str, correlation_id: str) -> list[StoredEvent]:
        """Return events of these types in this order; others may lie between them.

        Args:
            *event_types: At least one.
            correlation_id: Whose events.

        Returns:
            The earliest events that fit, one for each type.

        Raises:
            AuditTrailMismatch: The types do not occur in this order.
            AuditError: As for `events`.
        """
        if not event_types:
            raise ValueError("sequence() needs at least one event type; to get all events use events()")
        found = self.events(correlation_id=correlation_id)
        rest = iter(found)
        matched: list[StoredEvent] = []
        for event_type in event_types:
            match = next((event for event in rest if event.event_type == event_type), None)
            if match is None:
                behind = f" behind {matched[-1].event_type}" if matched else ""
                raise self._mismatch(
                    f"wanted {' → '.join(event_types)} for {correlation_id},"
                    f" found no {event_type}{behind}{_alike(event_type, found)}",
                    found,
                    {"correlation_id": correlation_id, "event_type": event_type},
                    marked={event.event_id for event in matched},
                )
            matched.append(match)
        return matched

    async def aevents(self, **filters: Unpack[AuditFilters]) -> list[StoredEvent]:
        """Do `events` without blocking the loop."""
        return await anyio.to_thread.run_sync(functools.partial(self.events, **filters), abandon_on_cancel=True)

    async def aone(self, event_type: str | None = None, /, **filters: Unpack[AuditFilters]) -> StoredEvent:
        """Do `one` without blocking the loop."""
        return await anyio.to_thread.run_sync(
            functools.partial(self.one, event_type, **filters), abandon_on_cancel=True
        )

    async def anone(self, event_type: str | None = None, /, **filters: Unpack[AuditFilters]) -> None:
        """Do `none` without blocking the loop."""
        await anyio.to_thread.run_sync(functools.partial(self.none, event_type, **filters), abandon_on_cancel=True)

    async def asequence(self, *event_types: str, correlation_id: str) -> list[StoredEvent]:
        """Do `sequence` without blocking the loop."""
        ask = functools.partial(self.sequence, *event_types, correlation_id=correlation_id)
        return await anyio.to_thread.run_sync(ask, abandon_on_cancel=True)

    def _wait_for_events(self) -> None:
        if self._barrier is None:
            return
        result = self._barrier(self._timeout)
        # an event rejected before an earlier flush is that one's story and does not spoil this answer
        if result.pending or result.rejected:
            raise AuditError(
                f"the audit trail at {self._client.url} is not complete: {result.pending} events pending after"
                f" {self._timeout} s, {result.rejected} rejected: {result.error}"
            )

    def _query(self, filters: AuditFilters) -> list[StoredEvent]:
        found = [_read(document, self._client.url) for document in self._client.events(**filters)]
        return sorted(found, key=lambda event: event.event_timestamp)  # a DataStorage need not know any order

    def _mismatch(
        self,
        claim: str,
        found: Sequence[StoredEvent],
        filters: AuditFilters,
        *,
        marked: Collection[str] = (),
    ) -> AuditTrailMismatch:
        heading = ""
        if not found:
            heading, found = self._near_misses(filters)
        return AuditTrailMismatch(f"{without_control_characters(claim)}{heading}\n{timeline(found, marked=marked)}")

    def _near_misses(self, filters: AuditFilters) -> tuple[str, Sequence[StoredEvent]]:
        """Find what may have been meant: the same matter, the same type elsewhere, or whatever came last."""
        correlation_id, event_type = filters.get("correlation_id"), filters.get("event_type")
        if correlation_id is not None and (found := self._query({"correlation_id": correlation_id})):
            alike = "" if event_type is None else _alike(event_type, found)
            return f"{alike}; there is, about {without_control_characters(correlation_id)}:", found
        if event_type is not None and (found := self._newest({"event_type": event_type})):
            return f"; of this type there are elsewhere, the last {len(found)}:", found
        found = self._newest({})
        alike = "" if event_type is None else _alike(event_type, found)
        return f"{alike}; the last {len(found)} events of all:" if found else "; there is no event at all:", found

    def _newest(self, filters: AuditFilters) -> list[StoredEvent]:
        page = self._client.query(limit=_SHOWN_NEAR, **filters)
        found = [_read(document, self._client.url) for document in page.events]
        return sorted(found, key=lambda event: event.event_timestamp)


def _alike(event_type: str, events: Sequence[StoredEvent]) -> str:
    others = sorted({event.event_type for event in events} - {event_type})
    close = difflib.get_close_matches(event_type, others, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _read(document: object, url: str) -> StoredEvent:
    try:
        return StoredEvent.from_wire(document)
    except ValidationError as exc:
        raise AuditError(f"DataStorage at {url} gave an event that is none: {exc}") from exc


def _named(filters: AuditFilters) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in filters.items()) or "no filter"

"""AuditTrail: exact queries for the audit events of a case, for tests and people."""

import difflib
import functools
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar, Unpack

import anyio.to_thread
from pydantic import ValidationError

from signal_gateway.audit.client.cases import AuditCase
from signal_gateway.audit.client.client import DataStorageClient
from signal_gateway.audit.client.query import AuditFilters
from signal_gateway.audit.errors import AuditTrailMismatch
from signal_gateway.audit.recorded_ids import RecordedIds
from signal_gateway.audit.stats import EventRejection, FlushResult
from signal_gateway.audit.timeline import StoredEvent, timeline, without_control_characters
from signal_gateway.errors import AuditError

__all__ = ["AuditTrail"]

_T = TypeVar("_T")

_SHOWN_NEAR = 10  # events


_SHARED = "; tests share the trail: if the events belong to another test, give each test its own correlation id"


class AuditTrail:
    """Queries DataStorage after all events recorded before the query are delivered.

    Each query is a flush, then one exact query: no sleeping and no polling. An event that is not in the result was
    not recorded by this process. Events that other processes have pending are not known.

    With `recorded` the trail is the one of a single server: all other events of the DataStorage are not in it, and a
    rejected event of another server makes no query an error.

    Args:
        client: Client of the DataStorage.
        barrier: `flush` of the store that records the events; None if all events are delivered.
        timeout: Maximum seconds of the flush.
        recorded: Ids of the events that the trail has; None for all events.
    """

    def __init__(
        self,
        client: DataStorageClient,
        *,
        barrier: Callable[[float], FlushResult] | None,
        timeout: float = 10.0,
        recorded: RecordedIds | None = None,
    ) -> None:
        self._client = client
        self._barrier = barrier
        self._timeout = timeout
        self._recorded = recorded

    def events(self, **filters: Unpack[AuditFilters]) -> list[StoredEvent]:
        """Return all matching events, oldest first.

        Args:
            **filters: See `AuditFilters`. Without filters, the result has all events.

        Raises:
            AuditError: Events are pending, or were rejected, renamed or omitted: the result would be incomplete.
            DataStorageUnavailable: No DataStorage responds.
        """
        __tracebackhide__ = True  # of pytest: a failed test shows its own line
        self._check_type(filters.get("event_type"))
        self._wait_for_events(filters)
        return self._query(filters)

    def one(self, wanted_type: str | None = None, /, **filters: Unpack[AuditFilters]) -> StoredEvent:
        """Return the only matching event.

        Args:
            wanted_type: The filter `event_type`, as a positional argument.
            **filters: See `AuditFilters`.

        Raises:
            AuditTrailMismatch: There is no matching event, or more than one.
            AuditError: As for `events`.
        """
        __tracebackhide__ = True
        if wanted_type is not None:
            filters["event_type"] = wanted_type
        found = self.events(**filters)
        if len(found) != 1:
            claim = f"wanted one audit event with {_named(filters)}, found {len(found)}"
            raise self._mismatch(claim + (self._hint if found else ""), found, filters)
        return found[0]

    def none(self, wanted_type: str | None = None, /, **filters: Unpack[AuditFilters]) -> None:
        """Check that no event matches.

        Args:
            wanted_type: The filter `event_type`, as a positional argument.
            **filters: See `AuditFilters`.

        Raises:
            AuditTrailMismatch: There is a matching event.
            AuditError: As for `events`.
        """
        __tracebackhide__ = True
        if wanted_type is not None:
            filters["event_type"] = wanted_type
        found = self.events(**filters)
        if found:
            claim = f"wanted no audit event with {_named(filters)}, found {len(found)}{self._hint}"
            raise self._mismatch(claim, found, filters)

    def sequence(self, *event_types: str, correlation_id: str) -> list[StoredEvent]:
        """Return events of these types in this order. There may be others between them.

        Args:
            *event_types: At least one.
            correlation_id: Correlation id of the events.

        Returns:
            The earliest matching events, one for each type.

        Raises:
            AuditTrailMismatch: The types do not occur in this order.
            AuditError: As for `events`.
        """
        __tracebackhide__ = True
        if not event_types:
            raise ValueError("sequence() needs at least one event type. To get all events, call events()")
        for event_type in event_types:
            self._check_type(event_type)
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

    def cases(self, **filters: Unpack[AuditFilters]) -> list[AuditCase]:
        """Return the cases with a matching event, by their first matching event, oldest first.

        All stored events of a case describe it, also those that do not match.

        Args:
            **filters: See `AuditFilters`; they are filters of events.

        Raises:
            AuditError: As for `events`.
        """
        __tracebackhide__ = True
        self._wait_for_events(filters)
        found = [case for page in self._client.case_pages(ascending=True, **filters) for case in page.cases]
        if self._recorded is None:
            return found
        own = {event.correlation_id for event in self._query(filters)}
        return [case for case in found if case.correlation_id in own]

    async def acases(self, **filters: Unpack[AuditFilters]) -> list[AuditCase]:
        """Call `cases` without blocking the event loop."""
        __tracebackhide__ = True
        return await _in_thread(functools.partial(self.cases, **filters))

    async def aevents(self, **filters: Unpack[AuditFilters]) -> list[StoredEvent]:
        """Call `events` without blocking the event loop."""
        __tracebackhide__ = True
        return await _in_thread(functools.partial(self.events, **filters))

    async def aone(self, wanted_type: str | None = None, /, **filters: Unpack[AuditFilters]) -> StoredEvent:
        """Call `one` without blocking the event loop."""
        __tracebackhide__ = True
        return await _in_thread(functools.partial(self.one, wanted_type, **filters))

    async def anone(self, wanted_type: str | None = None, /, **filters: Unpack[AuditFilters]) -> None:
        """Call `none` without blocking the event loop."""
        __tracebackhide__ = True
        await _in_thread(functools.partial(self.none, wanted_type, **filters))

    async def asequence(self, *event_types: str, correlation_id: str) -> list[StoredEvent]:
        """Call `sequence` without blocking the event loop."""
        __tracebackhide__ = True
        return await _in_thread(functools.partial(self.sequence, *event_types, correlation_id=correlation_id))

    def _check_type(self, event_type: str | None) -> None:
        """Check that the DataStorage has the recorded events of a type under that name, and with their ids.

        Raises:
            AuditError: It has not.
        """
        url, types = self._client.url, self._client.translation.event_types
        if self._recorded is not None and self._client.assigns_ids:
            raise AuditError(
                f"DataStorage at {url} assigns ids of its own, so the events of one server are not known: query"
                " gateway_audit_trail with a correlation_id"
            )
        if event_type is None or event_type not in types:
            return
        new = types[event_type]
        if new is None:
            raise AuditError(f"no event of type {event_type!r} is recorded for DataStorage at {url}: see event_types")
        raise AuditError(
            f"DataStorage at {url} has the events of type {event_type!r} as {new!r}, see event_types: query that type,"
            " and tell them apart by event_action"
        )

    def _wait_for_events(self, filters: AuditFilters) -> None:
        if self._barrier is None:
            return
        result = self._barrier(self._timeout)
        if result.omitted and "event_type" not in filters:
            raise self._incomplete(f"event_types leaves out {_events(result.omitted)}: query one event_type")
        if result.pending:
            raise self._incomplete(f"{_events(result.pending)} pending after {self._timeout} s: {result.error}")
        if result.rejected and not result.rejections:
            raise self._incomplete(f"{_events(result.rejected)} rejected: {result.error}")
        missing = self._own([rejection for rejection in result.rejections if rejection.may_match(filters)])
        if missing:
            raise self._incomplete(
                f"DataStorage rejected {_events(len(missing))} of the query; reason of the last one:"
                f" {missing[-1].reason}"
            )

    def _own(self, rejections: list[EventRejection]) -> list[EventRejection]:
        """Return the rejections of events that the trail would have: all without `recorded`."""
        if self._recorded is None or not rejections:
            return rejections
        own = self._recorded.noted(str(rejection.envelope["event_id"]) for rejection in rejections)
        return [rejection for rejection in rejections if rejection.envelope["event_id"] in own]

    @property
    def _hint(self) -> str:
        return _SHARED if self._recorded is None else ""

    def _incomplete(self, reason: str) -> AuditError:
        return AuditError(f"the audit trail at {self._client.url} is incomplete: {reason}")

    def _query(self, filters: AuditFilters) -> list[StoredEvent]:
        found = self._query_all(filters)
        return found if self._recorded is None else self._recorded.select(found)

    def _query_all(self, filters: AuditFilters) -> list[StoredEvent]:
        found = [_read(document, self._client.url) for document in self._client.events(**filters)]
        return sorted(found, key=lambda event: event.event_timestamp)  # a DataStorage may not support `order`

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
            elsewhere = self._elsewhere(filters)
            heading, found = self._near_misses(filters)
            heading = elsewhere + heading
        return AuditTrailMismatch(f"{without_control_characters(claim)}{heading}\n{timeline(found, marked=marked)}")

    def _near_misses(self, filters: AuditFilters) -> tuple[str, Sequence[StoredEvent]]:
        """Return similar events: of the same case, of the same type in other cases, or the newest ones."""
        correlation_id, event_type = filters.get("correlation_id"), filters.get("event_type")
        if correlation_id is not None and (found := self._query({"correlation_id": correlation_id})):
            alike = "" if event_type is None else _alike(event_type, found)
            return f"{alike}; there is, about {without_control_characters(correlation_id)}:", found
        if event_type is not None and (found := self._newest({"event_type": event_type})):
            return f"; of this type there are elsewhere, the last {len(found)}:", found
        found = self._newest({})
        alike = "" if event_type is None else _alike(event_type, found)
        return f"{alike}; the last {len(found)} events of all:" if found else "; there is no event at all:", found

    def _elsewhere(self, filters: AuditFilters) -> str:
        """Return the number of matching events of other servers, as a hint; an empty text if there is none."""
        if self._recorded is None or not (count := self._client.query(limit=1, **filters).total):
            return ""
        there = f"there {'is' if count == 1 else 'are'} {_events(count)}"
        return f" ({there} that other servers recorded: gateway_audit_trail has the events of all servers)"

    def _newest(self, filters: AuditFilters) -> list[StoredEvent]:
        if self._recorded is not None:
            return self._query(filters)[-_SHOWN_NEAR:]
        page = self._client.query(limit=_SHOWN_NEAR, **filters)
        found = [_read(document, self._client.url) for document in page.events]
        return sorted(found, key=lambda event: event.event_timestamp)


async def _in_thread(query: Callable[[], _T]) -> _T:
    __tracebackhide__ = True
    try:
        return await anyio.to_thread.run_sync(query, abandon_on_cancel=True)
    except AuditTrailMismatch as exc:
        raise exc.with_traceback(None) from exc.__cause__  # the frames are those of anyio and its thread


def _alike(event_type: str, events: Sequence[StoredEvent]) -> str:
    others = sorted({event.event_type for event in events} - {event_type})
    close = difflib.get_close_matches(event_type, others, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _read(document: object, url: str) -> StoredEvent:
    try:
        return StoredEvent.from_wire(document)
    except ValidationError as exc:
        raise AuditError(f"DataStorage at {url} returned an invalid event: {exc}") from exc


def _events(number: int) -> str:
    return "1 event" if number == 1 else f"{number} events"


def _named(filters: AuditFilters) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in filters.items()) or "no filter"

"""Backend: the interface of a database of audit events, its rows, its results and its errors."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from signal_gateway.datastorage.integrity.link import ChainHead
from signal_gateway.datastorage.integrity.verification import ChainChunk, Window
from signal_gateway.datastorage.query import EventQuery, Position
from signal_gateway.errors import DataStorageError

__all__ = [
    "CHAIN_COLUMNS",
    "MISSING_HEAD",
    "Backend",
    "BackendNotOpen",
    "BackendUnavailable",
    "Bar",
    "Case",
    "CaseOutcome",
    "CasePage",
    "Duplicate",
    "EventRow",
    "LegalHold",
    "Page",
    "PlacedHold",
    "QueryTooSlow",
    "StoredRecord",
]


class BackendUnavailable(DataStorageError):  # noqa: N818 - a state, as HTTP's 503
    """The database refused the call and stored nothing. The same call may succeed later."""


class BackendNotOpen(BackendUnavailable):
    """The backend was used before `open` or after `close`."""


class QueryTooSlow(BackendUnavailable):
    """A query reached its time limit: it matches or scans too many events."""


class EventRow(NamedTuple):
    """One event as the database stores it: a column for each filter, and the whole event as JSON text.

    Attributes:
        event_id: The idempotency key, a UUID in canonical form.
        event_timestamp: The time of the event, in microseconds since the epoch.
        received_at: The time of its arrival, in microseconds since the epoch.
        event_type: The kind of the event, such as `gateway.crd.created`.
        event_category: The part of the service that recorded the event.
        event_outcome: `success`, `failure` or `pending`.
        correlation_id: The id that ties the events of one case together.
        severity: The severity, in the words of the source.
        expires_at: The end of its retention, in microseconds since the epoch; None to keep the event.
        envelope: JSON object of every wire member but `event_data`, with the server's defaults.
        event_data: JSON object.
    """

    event_id: str
    event_timestamp: int
    received_at: int
    event_type: str
    event_category: str
    event_outcome: str
    correlation_id: str
    severity: str | None
    expires_at: int | None
    envelope: str
    event_data: str


CaseOutcome = Literal["success", "failure", "pending"]

CHAIN_COLUMNS = ("sequence", *EventRow._fields)
"""The columns of a row of a `ChainChunk`: all that a stored event has."""


MISSING_HEAD = "the head of the audit chain is missing: restore audit_chain from a backup"
"""The message of the error of an insert or a purge without a head. A new chain would hide the alteration."""


class LegalHold(NamedTuple):
    """A case that is kept from purges.

    Attributes:
        correlation_id: The case.
        reason: The reason, as its author gave it.
        placed_by: The author.
        placed_at: The time, in microseconds since the epoch.
    """

    correlation_id: str
    reason: str
    placed_by: str
    placed_at: int


class PlacedHold(NamedTuple):
    """The result of `Backend.place_hold`.

    Attributes:
        hold: The hold that the case has now.
        is_new: Whether it is the hold of the call; otherwise it existed before and stays as it is.
    """

    hold: LegalHold
    is_new: bool


class StoredRecord(NamedTuple):
    """One event as a query returns it.

    Attributes:
        sequence: The position in the order of storage; unique and increasing, with gaps.
        event_timestamp: The time of the event, in microseconds since the epoch.
        received_at: The time of its arrival, in microseconds since the epoch.
        envelope: As in `EventRow`.
        event_data: As in `EventRow`.
    """

    sequence: int
    event_timestamp: int
    received_at: int
    envelope: str
    event_data: str


@dataclass(frozen=True, slots=True)
class Duplicate:
    """An item of a batch with an `event_id` that is already in use.

    Attributes:
        index: The position in the batch, from zero.
        event_id: The id of a stored event or of an earlier item.
        has_same_content: Whether the item equals the stored event.
    """

    index: int
    event_id: str
    has_same_content: bool


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the events that a query matches, and their total number, both read at the same moment.

    Attributes:
        events: At most `limit` events, in the order of the query.
        total: The number of events that match the filters; at least so many if it is not exact.
        has_more: Whether more events follow this page.
        total_is_exact: Whether the count ended before `examined_limit` of the query.
    """

    events: Sequence[StoredRecord]
    total: int
    has_more: bool
    total_is_exact: bool

    @classmethod
    def of(cls, query: EventQuery, found: Sequence[StoredRecord], *, examined: int, matches: int) -> "Page":
        """Build a page from the results of `page_statement` and `count_statement`."""
        events, has_more = found[: query.limit], len(found) > query.limit
        limit = query.examined_limit
        if limit is None or examined <= limit:
            return cls(events, matches, has_more, total_is_exact=True)
        seen = query.offset + len(found) if events else 0
        return cls(events, max(seen, min(matches, limit)), has_more, total_is_exact=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """All events with one correlation id, in one row.

    Attributes:
        correlation_id: The id.
        first: The time of the first event, in microseconds since the epoch.
        last: The time of the last event, likewise.
        events: The number of events.
        failures: The number of events with the outcome `failure`.
        outcome: `failure` if an event failed; otherwise `pending` if the last event is pending, or else `success`.
        workload_kind: The kind of the workload; None if no event names it.
        workload_namespace: Its namespace; None for a cluster-scoped object.
        workload_name: Its name.
        signal_name: The name of the alert.
        severity: The severity, in the words of the source.
    """

    correlation_id: str
    first: int
    last: int
    events: int
    failures: int
    outcome: CaseOutcome
    workload_kind: str | None
    workload_namespace: str | None
    workload_name: str | None
    signal_name: str | None
    severity: str | None


@dataclass(frozen=True, slots=True)
class CasePage:
    """One page of cases.

    Attributes:
        cases: At most `limit` cases, in the order of the query.
        total: The number of cases with an event that matches; at least so many if it is not exact.
        has_more: Whether more cases follow this page.
        total_is_exact: Whether all events that match were read for the total.
        last: The position of the last case, for a cursor; None on an empty page.
    """

    cases: Sequence[Case]
    total: int
    has_more: bool
    total_is_exact: bool
    last: Position | None


@dataclass(frozen=True, slots=True)
class Bar:
    """The number of events in one interval of a histogram.

    Attributes:
        start: The beginning of the interval, in microseconds since the epoch.
        outcomes: The number of events by `event_outcome`, without zeros.
    """

    start: int
    outcomes: Mapping[str, int]


class Backend(Protocol):
    """A database of audit events. One event loop uses it, from `open` to `close`."""

    async def open(self) -> None:
        """Connect, and bring the schema up to date.

        Raises:
            DataStorageError: The database is not usable; the message has its name and the cause.
        """
        ...

    async def insert(self, rows: Sequence[EventRow]) -> Sequence[Duplicate]:
        """Commit all rows or none. Of several rows with one `event_id`, the first is stored.

        When this returns, the rows survive a crash of the machine.

        Args:
            rows: At least one.

        Returns:
            The duplicates, in the order of `rows`. A duplicate counts as stored.

        Raises:
            BackendUnavailable: Nothing was stored.
        """
        ...

    async def query(self, query: EventQuery) -> Page:
        """Read one page of events. It has every event that was committed before the call.

        Raises:
            QueryTooSlow: The query reached the time limit of the backend.
            BackendUnavailable: The database cannot be read now.
        """
        ...

    async def cases(self, query: EventQuery) -> CasePage:
        """Read one page of cases with an event that matches. Each case is described by all of its events.

        Args:
            query: The filters of events. Its limit, offset and position are those of cases.

        Raises:
            QueryTooSlow: The query reached the time limit of the backend.
            BackendUnavailable: The database cannot be read now.
        """
        ...

    def export(self, query: EventQuery) -> AsyncIterator[Sequence[StoredRecord]]:
        """Read all events that match, in slices. `limit` and `offset` do not apply.

        The export has each event that was committed before the first slice exactly once, unless a purge deletes it
        meanwhile. A slow reader does not block inserts. One slice at a time is in memory; it is limited in events and
        in bytes.

        Raises:
            QueryTooSlow: A slice reached the time limit of the backend.
            BackendUnavailable: The database cannot be read now.
        """
        ...

    async def histogram(self, query: EventQuery, *, width: int) -> Sequence[Bar]:
        """Count the events that match, by time. Paging does not apply.

        Args:
            query: A query with `since` and `until`.
            width: The length of an interval in microseconds. Intervals begin at its multiples since the epoch.

        Returns:
            The intervals with events, oldest first.

        Raises:
            QueryTooSlow: The query reached the time limit of the backend.
            BackendUnavailable: The database cannot be read now.
        """
        ...

    async def purge(self, *, now: int, limit: int) -> int:
        """Delete events with an `expires_at` in the past, oldest first, in one short transaction.

        Events on legal hold stay. The purge adds one link to the chain.

        Args:
            now: Microseconds since the epoch.
            limit: The most events to delete.

        Returns:
            The number of deleted events. A number below `limit` means that no expired event is left.

        Raises:
            BackendUnavailable: Nothing was deleted.
        """
        ...

    async def place_hold(self, hold: LegalHold, event: EventRow, *, allow_unknown: bool = False) -> PlacedHold | None:
        """Keep the events of a case from purges, and store the event of it, in one transaction.

        Args:
            hold: The hold.
            event: The event of it.
            allow_unknown: Whether the hold is placed although the case has no events yet. Those of holds do not count.

        Returns:
            The hold of the case. One that exists already stays, and nothing is stored. None if the case has no events.

        Raises:
            BackendUnavailable: Nothing was changed.
        """
        ...

    async def release_hold(self, correlation_id: str, event: EventRow) -> bool:
        """End a hold, and store the event of it, in one transaction.

        Returns:
            Whether there was a hold. Without one, nothing is stored.

        Raises:
            BackendUnavailable: Nothing was changed.
        """
        ...

    async def holds(self) -> Sequence[LegalHold]:
        """Read all holds, oldest first.

        Raises:
            BackendUnavailable: The database cannot be read now.
        """
        ...

    async def chain_head(self) -> ChainHead | None:
        """Read the head of the chain; None if it, or a table of the chain, is missing.

        Raises:
            BackendUnavailable: The database cannot be read now.
        """
        ...

    async def read_chain(self, *, after: ChainHead, window: Window) -> ChainChunk:
        """Read the next links with their rows, in columns of `CHAIN_COLUMNS`, at one moment.

        Args:
            after: The last link that was read, or the start of the chain.
            window: The links that are read with their manifests and rows.

        Raises:
            BackendUnavailable: The database cannot be read now.
        """
        ...

    async def ping(self) -> None:
        """Check that the database accepts writes now.

        Raises:
            BackendUnavailable: It does not.
        """
        ...

    async def close(self) -> None:
        """Finish the running calls and disconnect. Does nothing on a closed backend."""
        ...

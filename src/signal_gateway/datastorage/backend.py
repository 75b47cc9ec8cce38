"""What the service asks of a database, whichever it is."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from signal_gateway.datastorage.query import EventQuery
from signal_gateway.errors import DataStorageError

__all__ = [
    "Backend",
    "BackendNotOpen",
    "BackendUnavailable",
    "Bar",
    "Duplicate",
    "EventRow",
    "Page",
    "QueryTooSlow",
    "StoredRecord",
]


class BackendUnavailable(DataStorageError):  # noqa: N818 - a state, as HTTP's 503
    """The database can't do it now: nothing was taken, and the same call may succeed later."""


class BackendNotOpen(BackendUnavailable):
    """The backend was used before `open` or after `close`."""


class QueryTooSlow(BackendUnavailable):
    """A query was given up at its deadline: it matches or scans too much."""


class EventRow(NamedTuple):
    """An event as it is stored: what is filtered on in columns of its own, the rest as JSON text.

    Attributes:
        event_id: The idempotency key, a UUID in canonical form.
        event_timestamp: When it happened, in microseconds since the epoch.
        received_at: When it came in, in microseconds since the epoch.
        event_type: What happened.
        event_category: The service's part that it belongs to.
        event_outcome: `success`, `failure` or `pending`.
        correlation_id: What ties the events of one matter together.
        severity: As the source said it.
        expires_at: From when on it may be purged, in microseconds since the epoch; None to keep it.
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


class StoredRecord(NamedTuple):
    """An event as it is read.

    Attributes:
        sequence: Its place in the order of storing; unique, growing, with gaps.
        event_timestamp: When it happened, in microseconds since the epoch.
        received_at: When it came in, in microseconds since the epoch.
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
    """An item of a batch whose `event_id` was there before it.

    Attributes:
        index: Its place in the batch, from zero.
        event_id: The id that was taken already, by a stored event or by an earlier item.
        has_same_content: Whether it says the same as what is stored.
    """

    index: int
    event_id: str
    has_same_content: bool


@dataclass(frozen=True, slots=True)
class Page:
    """A slice of what a query matches, and the size of the whole, both of one moment.

    Attributes:
        events: In the query's order, at most its limit.
        total: How many events the query's filters match in all.
        has_more: Whether there are events after this slice.
    """

    events: Sequence[StoredRecord]
    total: int
    has_more: bool


@dataclass(frozen=True, slots=True)
class Bar:
    """How many events happened in a stretch of time.

    Attributes:
        start: Its first moment, in microseconds since the epoch.
        outcomes: Their number by `event_outcome`; one that did not occur is left out.
    """

    start: int
    outcomes: Mapping[str, int]


class Backend(Protocol):
    """A database of audit events. One event loop uses it, from `open` to `close`."""

    async def open(self) -> None:
        """Connect, and create the schema in an empty database.

        Raises:
            DataStorageError: The database can't be used; the message names it and the cause.
        """
        ...

    async def insert(self, rows: Sequence[EventRow]) -> Sequence[Duplicate]:
        """Commit all rows or none; of rows with one `event_id` the first stays.

        Args:
            rows: At least one.

        Returns:
            The duplicates in the order of `rows`; they count as stored. When this returns, a crash of the
            machine loses nothing of it.

        Raises:
            BackendUnavailable: Nothing was taken.
        """
        ...

    async def query(self, query: EventQuery) -> Page:
        """Read what was committed before the call, and maybe what was committed since.

        Raises:
            QueryTooSlow: It took longer than the backend allows.
            BackendUnavailable: The database can't be read now.
        """
        ...

    def export(self, query: EventQuery) -> AsyncIterator[Sequence[StoredRecord]]:
        """Read all that a query matches, slice by slice, its `limit` and `offset` left aside.

        Each event that was committed before the first slice comes exactly once, unless it is purged meanwhile. Inserts
        go on beside it, however slowly it is read; the memory is that of one slice, bounded in events and in bytes.

        Raises:
            QueryTooSlow: A slice took longer than the backend allows.
            BackendUnavailable: The database can't be read now.
        """
        ...

    async def histogram(self, query: EventQuery, *, width: int) -> Sequence[Bar]:
        """Count what a query's filters match by time, its paging left aside.

        Args:
            query: `since` and `until` are given.
            width: Of a bar, in microseconds; bars begin at multiples of it since the epoch.

        Returns:
            Those with events, oldest first.

        Raises:
            QueryTooSlow: It took longer than the backend allows.
            BackendUnavailable: The database can't be read now.
        """
        ...

    async def purge(self, *, now: int, limit: int) -> int:
        """Delete events whose `expires_at` is past, the longest expired first, in one short transaction.

        Args:
            now: Microseconds since the epoch.
            limit: Most events to delete.

        Returns:
            How many were deleted; fewer than `limit` says that no expired event is left.

        Raises:
            BackendUnavailable: Nothing was deleted.
        """
        ...

    async def ping(self) -> None:
        """Return if the database can be written now.

        Raises:
            BackendUnavailable: It can't.
        """
        ...

    async def close(self) -> None:
        """Finish what is running and disconnect. Does nothing when closed."""
        ...

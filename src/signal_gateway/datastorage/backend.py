"""What the service asks of a database, whichever it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from signal_gateway.datastorage.query import EventQuery
from signal_gateway.errors import DataStorageError

__all__ = [
    "Backend",
    "BackendNotOpen",
    "BackendUnavailable",
    "Duplicate",
    "EventRow",
    "Page",
    "QueryTooSlow",
    "StoredEvent",
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
    envelope: str
    event_data: str


class StoredEvent(NamedTuple):
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

    events: Sequence[StoredEvent]
    total: int
    has_more: bool


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

    async def ping(self) -> None:
        """Return if the database can be written now.

        Raises:
            BackendUnavailable: It can't.
        """
        ...

    async def close(self) -> None:
        """Finish what is running and disconnect. Does nothing when closed."""
        ...

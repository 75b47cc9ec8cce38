"""Response models: the types of the JSON responses and of their OpenAPI description."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from signal_gateway.audit.event import MAX_CORRELATION_ID_LENGTH

__all__ = [
    "MAX_REASON_LENGTH",
    "BatchStored",
    "CaseItem",
    "CasesResponse",
    "CheckpointResponse",
    "DuplicateItem",
    "EventStored",
    "FindingResponse",
    "HoldItem",
    "HoldRequest",
    "HoldsResponse",
    "ItemError",
    "LimitsResponse",
    "Pagination",
    "PlacedHoldItem",
    "ReleaseRequest",
    "StatusResponse",
    "VerificationResponse",
]

MAX_REASON_LENGTH = 1000
"""Characters of the reason for a legal hold."""

_NOT_BLANK = r"\S"

_HeldCase = Annotated[str, Field(min_length=1, max_length=MAX_CORRELATION_ID_LENGTH)]
_Reason = Annotated[str, Field(min_length=1, max_length=MAX_REASON_LENGTH, pattern=_NOT_BLANK)]
_Person = Annotated[str, Field(min_length=1, max_length=MAX_CORRELATION_ID_LENGTH, pattern=_NOT_BLANK)]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventStored:
    """The event is stored, by this or an earlier request.

    Attributes:
        event_id: The id of the event.
        event_timestamp: The time of the event.
        message: The result as a sentence.
    """

    event_id: str
    event_timestamp: datetime
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateItem:
    """An item of a batch with an id that is already in use.

    Attributes:
        index: The position in the batch, from zero.
        event_id: The id of the event.
        different_content: Whether the stored event with this id differs.
    """

    index: int
    event_id: str
    different_content: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStored:
    """Every event of the batch is stored, by this or an earlier request.

    Attributes:
        event_ids: The ids in the order of the batch.
        message: The result as a sentence.
        accepted: The number of new events.
        duplicates: The events that are not new.
    """

    event_ids: list[str]
    message: str
    accepted: int
    duplicates: list[DuplicateItem]


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemError:
    """One error of an item of a body.

    Attributes:
        index: The position in the batch, from zero.
        event_id: The id of the event, if it has one.
        field: The invalid member; None for the item itself.
        reason: The error as a sentence.
    """

    index: int
    event_id: str | None
    field: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pagination:
    """The position of a page among all events that match.

    Attributes:
        limit: The most events of a page.
        offset: The number of skipped events.
        total: The number of events or cases that match; at least so many if it is not exact.
        has_more: Whether more events follow this page.
        total_is_exact: Whether all events that match were counted. A count ends after 10 000 events, or 5 000 if no
            index alone can count them, unless the query has `total=exact`.
        next_cursor: The cursor of the next page; absent on the last page.
    """

    limit: int
    offset: int
    total: int
    has_more: bool
    total_is_exact: bool
    next_cursor: str | None = None

    def members(self) -> dict[str, object]:
        """Return the members of the JSON object."""
        members = asdict(self)
        if self.next_cursor is None:
            del members["next_cursor"]
        return members


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseItem:
    """All events with one correlation id, in one row.

    Attributes:
        correlation_id: The id.
        first: The time of the first event.
        last: The time of the last event.
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
    first: datetime
    last: datetime
    events: int
    failures: int
    outcome: Literal["success", "failure", "pending"]
    workload_kind: str | None
    workload_namespace: str | None
    workload_name: str | None
    signal_name: str | None
    severity: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CasesResponse:
    """A page of cases.

    Attributes:
        data: The cases.
        pagination: The position of the page among all cases with an event that matches.
    """

    data: list[CaseItem]
    pagination: Pagination


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsResponse:
    """The limits of a request.

    Attributes:
        max_batch: The most events of a batch.
        max_body_bytes: The most bytes of a body.
        max_event_bytes: The most bytes of the `event_data` of an event.
    """

    max_batch: int
    max_body_bytes: int
    max_event_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusResponse:
    """The state of the service.

    Attributes:
        status: `ok`: the service runs. `ready`: the database accepts writes.
    """

    status: Literal["ok", "ready"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingResponse:
    """The first place that is not as DataStorage left it.

    Attributes:
        reason: The alteration as a sentence.
        link: The number of the link, if the place has one.
        sequence: The sequence of the event, if the place is an event.
        event_id: The id of the event, likewise.
    """

    reason: str
    link: int | None
    sequence: int | None
    event_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointResponse:
    """A position of the chain, to be kept outside the database.

    Attributes:
        datastorage: The id of the DataStorage.
        position: The number of the link.
        count: The events that were stored up to it, purged ones included.
        hash: The SHA-256 of the link, in hexadecimal.
        time: The time of the link.
    """

    datastorage: str
    position: int
    count: int
    hash: str
    time: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationResponse:
    """The result of a verification.

    Attributes:
        unaltered: Whether the links, and the events that were compared, are complete and unaltered.
        links: The number of verified links.
        events: The number of events that were compared with their links; those within since and until.
        all_events: The number of all events of the verified links, purged ones included.
        purged: The number of compared events that a lawful purge deleted.
        finding: The first alteration, if there is one.
        checkpoint: The end of the chain; absent with a finding.
    """

    unaltered: bool
    links: int
    events: int
    all_events: int
    purged: int
    finding: FindingResponse | None
    checkpoint: CheckpointResponse | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldRequest:
    """A legal hold to place.

    Attributes:
        correlation_id: The case.
        reason: The reason, 1 to 1000 characters.
        by: The person who is responsible.
        allow_unknown: Whether the hold is placed although no event has the correlation id yet.
    """

    correlation_id: _HeldCase
    reason: _Reason
    by: _Person
    allow_unknown: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRequest:
    """A legal hold to release.

    Attributes:
        correlation_id: The case.
        reason: The reason for the release, 1 to 1000 characters.
        by: The person who is responsible.
    """

    correlation_id: _HeldCase
    reason: _Reason
    by: _Person


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldItem:
    """A case that is kept from purges.

    Attributes:
        correlation_id: The case.
        reason: The reason.
        by: The person who is responsible.
        placed_at: The time of the hold.
    """

    correlation_id: str
    reason: str
    by: str
    placed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedHoldItem:
    """A hold that was placed, and the case that it keeps.

    Attributes:
        correlation_id: The case.
        reason: The reason.
        by: The person who is responsible.
        placed_at: The time of the hold.
        events: The number of stored events of the case, with that of the hold.
        workload_kind: The kind of the workload; None if no event names it.
        workload_namespace: Its namespace; None for a cluster-scoped object.
        workload_name: Its name.
    """

    correlation_id: str
    reason: str
    by: str
    placed_at: datetime
    events: int
    workload_kind: str | None
    workload_namespace: str | None
    workload_name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldsResponse:
    """All legal holds.

    Attributes:
        holds: Oldest first.
    """

    holds: list[HoldItem]

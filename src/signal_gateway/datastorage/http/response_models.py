"""What the endpoints answer, as types: the answers and their OpenAPI description are both made from them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

__all__ = [
    "BatchStored",
    "DuplicateItem",
    "EventStored",
    "ItemError",
    "LimitsResponse",
    "Pagination",
    "StatusResponse",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventStored:
    """The event is stored, now or since an earlier request.

    Attributes:
        event_id: Its id.
        event_timestamp: When it happened.
        message: What became of it, for people.
    """

    event_id: str
    event_timestamp: datetime
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateItem:
    """An item of a batch whose id was taken before it.

    Attributes:
        index: Its place in the batch, from zero.
        event_id: Its id.
        different_content: Whether what is stored under that id says something else.
    """

    index: int
    event_id: str
    different_content: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStored:
    """Every event of the batch is stored, now or since an earlier request.

    Attributes:
        event_ids: The ids in the order of the batch.
        message: What became of them, for people.
        accepted: How many are new.
        duplicates: Those that are not.
    """

    event_ids: list[str]
    message: str
    accepted: int
    duplicates: list[DuplicateItem]


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemError:
    """Something that is wrong with an item of a body.

    Attributes:
        index: Its place in the batch, from zero.
        event_id: Its id, if it has one.
        field: The member at fault; None for the item itself.
        reason: What is wrong, for people.
    """

    index: int
    event_id: str | None
    field: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pagination:
    """Where a page stands.

    Attributes:
        limit: The most events of a page.
        offset: How many were passed over.
        total: How many match in all.
        has_more: Whether there are more behind this page.
        next_cursor: Where they begin; left out if there are none.
    """

    limit: int
    offset: int
    total: int
    has_more: bool
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsResponse:
    """What a client may send.

    Attributes:
        max_batch: Events of a batch.
        max_body_bytes: Bytes of a body.
        max_event_bytes: Bytes of an event's `event_data`.
    """

    max_batch: int
    max_body_bytes: int
    max_event_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusResponse:
    """How the service is.

    Attributes:
        status: `ok`: it runs; `ready`: the database can be written.
    """

    status: Literal["ok", "ready"]

"""AuditStore: the protocol of an audit store; AuditStats, RecoveryCounts and FlushResult: the numbers of one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from signal_gateway.audit.config import Durability
from signal_gateway.audit.event import AuditEvent

__all__ = ["AuditStats", "AuditStore", "EventRejection", "FlushResult", "RecoveryCounts", "Storage"]

_EXACT_FILTERS = ("correlation_id", "event_type", "event_category", "event_outcome", "severity")
_FILTERS_WITH_DEFAULTS = ("resource_id", "actor_type", "actor_id")  # DataStorage sets the member if it is missing

Storage = Literal["memory", "mapped", "written"]
"""How a spool keeps events: in anonymous memory, in mapped files, or in files written with system calls."""


class AuditStore(Protocol):
    """The interface of an audit store for code that records events, such as a gateway."""

    def record(self, event: AuditEvent) -> None:
        """Record an event without waiting for the network.

        Raises:
            AuditError: The event is not recorded; the subclass names the reason.
        """
        ...

    @property
    def accepting(self) -> bool:
        """Whether `record` accepts events at present, and they will be delivered."""
        ...


@dataclass(frozen=True, slots=True)
class RecoveryCounts:
    """Numbers of the events that a store recovered from orphaned segments.

    Attributes:
        delivered: Events that DataStorage acknowledged.
        rejected: Events that DataStorage rejected.
        pending: Events that wait for their delivery. Damage found during the delivery reduces the number.
        torn: Frames that a process was writing when it died. `record` did not return for them; they are dropped.
        corrupt: Damaged files, or damaged parts of files, that were set aside.
        repeatable: Delivered events in files that could not be changed, because the disk is full or read-only. A later
            store sends them again, and DataStorage stores them once.
    """

    delivered: int = 0
    rejected: int = 0
    pending: int = 0
    torn: int = 0
    corrupt: int = 0
    repeatable: int = 0


@dataclass(frozen=True, slots=True)
class AuditStats:
    """Counters of a store. At every moment `recorded == delivered + rejected + pending`.

    Attributes:
        recorded: Events that `record` accepted.
        delivered: Events that DataStorage acknowledged.
        rejected: Events that DataStorage rejected.
        pending: Events that wait for their delivery.
        refused: Calls of `record` that raised. Their events were never recorded.
        batches: Attempted deliveries.
        retries: Deliveries without a verdict, which are repeated.
        last_error: Last error, even if it is over; None if there was none.
        delivery_failure: Reason why the last delivery failed; None if it had a verdict, or was not needed yet.
        oldest_pending_age: Seconds since the oldest pending event was recorded; 0.0 without pending events.
        durability: Failures that a recorded event survives.
        storage: How the spool keeps events: `mapped` files, `written` files if the file system does not support
            mapping (slower), or `memory`.
        recovered: Events from orphaned segments in the spool directory. They are in none of the counters above, and
            in no FlushResult.
        interruptions: Exceptions that interrupted the flusher: of a delivery, of a logging handler, or raised into its
            thread. It survives them.
        flusher_down: Reason why no thread delivers the events; None while one does, or is not needed yet. `record`,
            `flush` and `accepting` start another thread.
        omitted: Calls of `record` whose event has a type that `event_types` of the client leaves out. Their events
            were never recorded.
    """

    recorded: int
    delivered: int
    rejected: int
    pending: int
    refused: int
    batches: int
    retries: int
    last_error: str | None
    oldest_pending_age: float
    durability: Durability
    storage: Storage
    recovered: RecoveryCounts
    interruptions: int = 0
    flusher_down: str | None = None
    delivery_failure: str | None = None
    omitted: int = 0

    @property
    def adopted(self) -> RecoveryCounts:
        """The former name of `recovered`, for code that was written before release 1.0."""
        return self.recovered


@dataclass(frozen=True, slots=True)
class EventRejection:
    """An event of a store that DataStorage rejected.

    Attributes:
        ordinal: Number of the event in its store, from 1.
        reason: Reason that DataStorage gave.
        envelope: Members of the event without `event_data`, as sent.
    """

    ordinal: int
    reason: str
    envelope: Mapping[str, object]

    def may_match(self, filters: Mapping[str, object]) -> bool:
        """Return whether a query with these filters may ask for the event.

        Filters by time, detail, text, and by the kind, name or namespace of a resource are ignored: they may match
        members of `event_data`.
        """
        wanted = {name: filters[name] for name in _EXACT_FILTERS if name in filters}
        wanted |= {name: filters[name] for name in _FILTERS_WITH_DEFAULTS if name in filters and name in self.envelope}
        return all(self.envelope.get(name) == value for name, value in wanted.items())


@dataclass(frozen=True, slots=True)
class FlushResult:
    """Result of a flush.

    Attributes:
        ok: Whether all events recorded before the call are delivered, except for rejected ones that an earlier flush
            or close reported. The first flush after a rejection is not ok, a later one without news is.
        delivered: Events delivered since the previous flush.
        rejected: Events recorded before the call and rejected, that no earlier flush reported.
        pending: Events recorded before the call that still wait for their delivery.
        error: Reason for `ok=False`; None otherwise.
        rejections: Events recorded before the call and rejected, reported or not; at most the newest 10 000.
        omitted: Events that the store has omitted since it was made; see `AuditStats`. They spoil no `ok`.
    """

    ok: bool
    delivered: int
    rejected: int
    pending: int
    error: str | None
    rejections: tuple[EventRejection, ...] = ()
    omitted: int = 0

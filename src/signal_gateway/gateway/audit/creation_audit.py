"""Record each creation, and those whose record may be missing once more, under ids that make it the same event."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from signal_gateway.audit.event import AuditEvent
from signal_gateway.gateway.audit import events
from signal_gateway.gateway.audit.recorder import Journal
from signal_gateway.gateway.remediation.manifest import created_from, mark_in
from signal_gateway.kubernetes import RemediationRecord

__all__ = ["CreationRecord"]

_MOST_EXPECTED: Final = 10_000
_PLACES: Final = {events.SIGNAL_RECEIVED: 0, events.CRD_CREATED: 1}


class CreationRecord:
    """Sees to it that the creation of each RemediationRequest of a gateway is in the audit trail.

    Between a create and its record a gateway may be killed, or give up since every answer was lost. The sender has no
    answer then, and sends again. So a gateway that finds an object by such a repetition records its creation, from the
    object, if it may be one of its own creates that it gave up, or was there before the gateway started. It can't know
    whether that was done before: the events' ids are derived from the object's uid, and DataStorage keeps the first of
    an id.

    Args:
        journal: Where events go.
        inherited: uids of the active RemediationRequests that were there before.
    """

    def __init__(self, journal: Journal, *, inherited: Iterable[str]) -> None:
        self._journal = journal
        self._inherited = set(inherited)
        self._expected: dict[str, str] = {}  # names by mark, in order: creates under way, and those given up

    def expect(self, name: str, mark: str) -> None:
        """Take note that a create is about to be sent.

        Args:
            name: The object's.
            mark: Unique to the signal of the request that it is for.
        """
        self._expected[mark] = name
        if len(self._expected) > _MOST_EXPECTED:
            del self._expected[next(iter(self._expected))]

    def withdraw(self, mark: str) -> None:
        """Take note that the create of this mark was certainly not carried out."""
        self._expected.pop(mark, None)

    def record(self, drafts: Iterable[AuditEvent], record: RemediationRecord, *, mark: str, at: datetime) -> None:
        """Record a creation.

        Args:
            drafts: What `events.created_events` returned.
            record: What was created.
            mark: For which signal.
            at: When the API answered.

        Raises:
            AuditUnavailable: The store did not take it.
        """
        self._journal.record(
            *(
                events.with_uid(draft, record.uid, event_id=_event_id(draft.event_type, record), at=at)
                for draft in drafts
            )
        )
        self.withdraw(mark)
        self._inherited.discard(record.uid)

    def is_in_doubt(self, record: RemediationRecord) -> bool:
        """Say whether an object may be one whose creation this gateway has to see to."""
        return record.uid in self._inherited or record.name in self._expected.values()

    def make_sure(self, request: Mapping[str, Any]) -> None:
        """Record the creation of an object if this gateway has to see to that, and does not know that it is recorded.

        Args:
            request: A RemediationRequest as the API sent it.

        Raises:
            AuditUnavailable: The store did not take it.
        """
        mark = mark_in(request)
        if mark is None or (request["metadata"]["uid"] not in self._inherited and mark not in self._expected):
            return
        record, created = RemediationRecord.from_object(request), created_from(request)
        drafts = events.created_events(
            created.signal,
            signal_type=created.signal_type,
            name=record.name,
            namespace=record.namespace,
            at=created.decided_at,
        )
        self.record(drafts, record, mark=mark, at=max(created.decided_at, record.created_at))


def _event_id(event_type: str, record: RemediationRecord) -> str:
    """Return a UUIDv7 (RFC 9562, 5.7) whose random part is a hash; the events of a creation sort in their order."""
    milliseconds = int(record.created_at.timestamp() * 1000)
    digest = sha256(f"{record.uid}:{event_type}".encode()).digest()
    tail = int.from_bytes(digest[:8], "big") >> 2
    return str(UUID(int=milliseconds << 80 | 7 << 76 | _PLACES[event_type] << 64 | 0b10 << 62 | tail))

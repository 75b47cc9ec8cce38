"""RecordedIds: the ids of the events that one server recorded, in 16 bytes each."""

from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

from signal_gateway.audit.event import AuditEvent
from signal_gateway.errors import AuditError

__all__ = ["MAX_RECORDED_IDS", "RecordedIds"]

MAX_RECORDED_IDS: Final = 1_000_000
"""The default limit: 16 MB of ids."""

_ID_BYTES: Final = 16

_Event = TypeVar("_Event", bound=AuditEvent)


class RecordedIds:
    """Notes event ids, and selects the events that have one of them.

    All methods may be called from any thread. Beyond the limit no more ids are kept, and `select` raises: a part of the
    events is never returned as the whole.

    Args:
        limit: Maximum number of ids. Each one takes 16 bytes.
    """

    def __init__(self, *, limit: int = MAX_RECORDED_IDS) -> None:
        self._limit = limit
        self._ids = bytearray()
        self._is_complete = True

    def __len__(self) -> int:
        """Return the number of ids. An id that was noted twice counts twice."""
        return len(self._ids) // _ID_BYTES

    @property
    def size_bytes(self) -> int:
        """The memory of the ids."""
        return len(self._ids)

    def add(self, event_id: str) -> None:
        """Note the id of an event.

        Args:
            event_id: A UUID in canonical text form.
        """
        if len(self._ids) < self._limit * _ID_BYTES:
            self._ids.extend(bytes.fromhex(event_id.replace("-", "")))  # one step for other threads
        else:
            self._is_complete = False

    def select(self, events: Sequence[_Event]) -> list[_Event]:
        """Return the events whose ids were noted, in their order.

        Raises:
            AuditError: More ids were noted than the limit.
        """
        noted = self.noted(event.event_id for event in events)
        return [event for event in events if event.event_id in noted]

    def noted(self, event_ids: Iterable[str]) -> set[str]:
        """Return the ids that were noted.

        Args:
            event_ids: UUIDs in canonical text form.

        Raises:
            AuditError: More ids were noted than the limit.
        """
        if not self._is_complete:
            raise AuditError(
                f"the server recorded more than {self._limit} events, and its audit trail keeps the ids of that many:"
                " query gateway_audit_trail with a correlation_id instead"
            )
        wanted = {bytes.fromhex(event_id.replace("-", "")): event_id for event_id in event_ids}
        ids = bytes(self._ids)
        noted = wanted.keys() & (ids[start : start + _ID_BYTES] for start in range(0, len(ids), _ID_BYTES))
        return {wanted[one] for one in noted}

"""Which items of a batch were there before, and whether they say the same: the same rule for every database."""

from collections.abc import Mapping, Sequence

from signal_gateway.datastorage.backend import Duplicate, EventRow, StoredRecord
from signal_gateway.datastorage.record import has_same_content

__all__ = ["duplicates", "first_of_each_id"]


def first_of_each_id(rows: Sequence[EventRow]) -> dict[str, EventRow]:
    """Return the rows that may be stored: the first of each `event_id`, in their order."""
    first: dict[str, EventRow] = {}
    for row in rows:
        first.setdefault(row.event_id, row)
    return first


def duplicates(
    rows: Sequence[EventRow], first: Mapping[str, EventRow], stored: Mapping[str, StoredRecord]
) -> list[Duplicate]:
    """Compare a batch with what was there before its rows.

    Args:
        rows: The batch.
        first: Its `first_of_each_id`.
        stored: By id, the events that were stored before the batch.
    """
    if len(first) == len(rows) and not stored:
        return []
    found = []
    for index, row in enumerate(rows):
        original = stored.get(row.event_id) or first[row.event_id]
        if original is not row:
            found.append(Duplicate(index, row.event_id, has_same_content(original, row)))
    return found

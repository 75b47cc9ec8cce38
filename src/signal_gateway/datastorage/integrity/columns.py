"""RepeatedColumns: the comparison of the columns of a row with the envelope that they repeat."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

__all__ = ["RepeatedColumns"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MICROSECONDS_PER_DAY = timedelta(days=1) // _MICROSECOND

_NOT_REPEATED = frozenset(("sequence", "event_timestamp", "received_at", "expires_at", "envelope", "event_data"))


class RepeatedColumns:
    """Compares columns with the envelope.

    Every column repeats the member of the envelope with its name; a missing member is NULL. Apart from those, the
    timestamp is in microseconds, and the end of retention follows from the time of arrival and `retention_days`.

    Args:
        columns: The names of the columns of a row, in order.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._repeated = [(index, name) for index, name in enumerate(columns) if name not in _NOT_REPEATED]
        self._envelope = columns.index("envelope")
        self._event_timestamp = columns.index("event_timestamp")
        self._received_at = columns.index("received_at")
        self._expires_at = columns.index("expires_at")

    def first_different(self, row: Sequence[Any]) -> str | None:
        """Return the first column that differs from the envelope of the row; None if there is none."""
        try:
            envelope = orjson.loads(row[self._envelope])
            happened = (datetime.fromisoformat(envelope["event_timestamp"]) - _EPOCH) // _MICROSECOND
        except (ValueError, KeyError, TypeError):
            return "envelope"
        for index, name in self._repeated:
            if row[index] != envelope.get(name):
                return name
        if row[self._event_timestamp] != happened:
            return "event_timestamp"
        days = envelope.get("retention_days")
        expires_at = None if days is None else row[self._received_at] + days * _MICROSECONDS_PER_DAY
        return "expires_at" if row[self._expires_at] != expires_at else None

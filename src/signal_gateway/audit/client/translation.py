"""Translation: the events of a batch in the form that another implementation of the audit API takes."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import orjson

from signal_gateway.audit.event import MAX_EVENT_DATA_BYTES
from signal_gateway.errors import ConfigurationError

__all__ = ["KUBERNAUT_EVENT_TYPES", "KUBERNAUT_PROBLEMS", "Translation"]

KUBERNAUT_EVENT_TYPES: Final[Mapping[str, str | None]] = MappingProxyType(
    {
        "gateway.signal.resolved": "gateway.signal.deduplicated",
        "gateway.signal.rejected": "gateway.crd.failed",
        "gateway.crd.conflict": "gateway.crd.failed",
    }
)
"""The event types of a gateway that kubernaut's DataStorage does not know, and the names that it stores them under."""

KUBERNAUT_PROBLEMS: Final = "https://kubernaut.ai/problems/"
"""The beginning of the `type` of each problem (RFC 9457) of kubernaut's DataStorage."""

_MAX_TYPE_LENGTH = 100
_PARENT = ("parent_event_id", "parent_event_date")


class Translation:
    """Renames event types, and moves parents into `event_data`. Changes copies: the spool has the events as recorded.

    A renamed event has its own type as `event_data.recorded_event_type`, unless `event_data` would be too large or has
    such a member; the same goes for a parent.

    Args:
        event_types: The new name of each event type; None for a type that the DataStorage does not get.
        moves_parents: Whether parents move to `event_data`: a DataStorage that assigns ids does not know them.

    Attributes:
        event_types: The new name of each event type; None for a type that the DataStorage does not get.
        omitted: The event types that the DataStorage does not get. A store records none of them.
        is_needed: Whether `apply` changes any event at all.

    Raises:
        ConfigurationError: A name is no event type, or is renamed itself.
    """

    def __init__(self, event_types: Mapping[str, str | None], *, moves_parents: bool = False) -> None:
        _check(event_types)
        self.event_types = MappingProxyType(dict(event_types))
        self.omitted = frozenset(old for old, new in event_types.items() if new is None)
        self._moves_parents = moves_parents
        self._names = {old: new for old, new in event_types.items() if new is not None}
        needles = [b'"event_type":' + orjson.dumps(old) for old in self._names]
        if moves_parents:
            needles.append(b'"parent_event_id":')
        self.is_needed = bool(needles)
        self._changing = re.compile(b"|".join(map(re.escape, needles)))

    def apply(self, batch: bytes) -> bytes:
        """Return the translated batch: the same object if no event changes.

        Args:
            batch: JSON array of events.
        """
        if not self.is_needed or not self._changing.search(batch):
            return batch
        events = orjson.loads(batch)
        if not [event for event in events if self._changes(event)]:
            return batch
        return orjson.dumps(events)

    def _changes(self, event: dict[str, Any]) -> bool:
        """Translate an event in place; return whether it changed."""
        new = self._names.get(event["event_type"])
        if new is not None:
            old, event["event_type"] = event["event_type"], new
            event["event_data"]["event_type"] = new  # first: it has to fit
            _put(event, recorded_event_type=old)
        parent = {name: event.pop(name) for name in _PARENT if name in event} if self._moves_parents else {}
        _put(event, **parent)
        return new is not None or bool(parent)


def _put(event: dict[str, Any], **members: Any) -> None:
    """Add members to `event_data`, unless it has one of them or would be too large."""
    data = event["event_data"]
    if not members.keys() & data.keys() and len(orjson.dumps({**data, **members})) <= MAX_EVENT_DATA_BYTES:
        data.update(members)


def _check(event_types: Mapping[str, str | None]) -> None:
    for old, new in event_types.items():
        for name in (old, new):
            if name is not None and not (isinstance(name, str) and 0 < len(name) <= _MAX_TYPE_LENGTH):
                raise ConfigurationError(
                    f"event_types has {name!r:.50}, which is no event type: use a text of 1 to {_MAX_TYPE_LENGTH}"
                    " characters, or None for a type that is not sent"
                )
        if new in event_types:
            raise ConfigurationError(
                f"event_types renames {old!r} to {new!r}, which is itself renamed or not sent: give the last name"
            )

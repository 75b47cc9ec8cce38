"""EventView: a stored event as the pages show it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

import orjson

from signal_gateway.audit.event import AuditEvent
from signal_gateway.datastorage.backend import StoredRecord
from signal_gateway.datastorage.record import MAX_CLOCK_LEAD
from signal_gateway.datastorage.viewer.times import moment, rfc_3339, span_text

__all__ = ["MAX_PAYLOAD_CHARACTERS", "EventView", "Payload"]

MAX_PAYLOAD_CHARACTERS = 32 * 1024
"""How much of a payload a page shows; the API has the whole."""

_NOTABLE_DELAY = timedelta(minutes=1)


class Payload(NamedTuple):
    """An event's `event_data` as a page shows it.

    Attributes:
        text: Indented JSON, the whole or its beginning.
        is_cut: Whether it is a beginning.
        size: Of the whole as it is stored, in bytes.
    """

    text: str
    is_cut: bool
    size: int


@dataclass(frozen=True, slots=True)
class EventView:
    """A stored event, and how its parts are written.

    Attributes:
        stored: The event.
        envelope: Its wire members but `event_data`, with the server's defaults; None for what is not given.
    """

    stored: StoredRecord
    envelope: dict[str, Any]

    @classmethod
    def of(cls, stored: StoredRecord) -> "EventView":
        """Read an event."""
        return cls(stored, dict.fromkeys(AuditEvent.model_fields) | orjson.loads(stored.envelope))

    @property
    def anchor(self) -> str:
        """The id of its element on a timeline."""
        return f"event-{self.stored.sequence}"

    @property
    def clock_lead(self) -> str:
        """How far its clock was ahead when it came in; empty if that is no clock skew."""
        lead = moment(self.stored.event_timestamp) - moment(self.stored.received_at)
        return span_text(lead // timedelta(microseconds=1)) if lead > MAX_CLOCK_LEAD else ""

    @property
    def delay(self) -> str:
        """How much later it came in than it happened; empty if that is the usual moment."""
        delay = self.stored.received_at - self.stored.event_timestamp
        return span_text(delay) if delay > _NOTABLE_DELAY // timedelta(microseconds=1) else ""

    @property
    def payload(self) -> Payload:
        """Its `event_data`."""
        text = orjson.dumps(orjson.loads(self.stored.event_data), option=orjson.OPT_INDENT_2).decode()
        return Payload(
            text[:MAX_PAYLOAD_CHARACTERS], len(text) > MAX_PAYLOAD_CHARACTERS, len(self.stored.event_data.encode())
        )

    @property
    def json_url(self) -> str:
        """Where the API gives this event, and others of the same moment and correlation id."""
        at = rfc_3339(self.stored.event_timestamp)
        parameters = {"correlation_id": self.envelope["correlation_id"], "since": at, "until": at}
        return f"api/v1/audit/events?{urlencode(parameters)}"

"""EventView: a stored event with the texts that pages show."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

import orjson

from signal_gateway.audit.event import AuditEvent
from signal_gateway.audit.presentation.workload import workload_of
from signal_gateway.datastorage.backend import StoredRecord
from signal_gateway.datastorage.record import MAX_CLOCK_LEAD
from signal_gateway.datastorage.viewer.times import moment, rfc_3339, span_text

__all__ = ["MAX_PAYLOAD_CHARACTERS", "EventResource", "EventView", "Payload"]

MAX_PAYLOAD_CHARACTERS = 32 * 1024
"""The most characters of a payload on a page. The API returns the whole payload."""

_NOTABLE_DELAY = timedelta(minutes=1)


class Payload(NamedTuple):
    """The `event_data` of an event for a page.

    Attributes:
        text: Indented JSON, truncated to `MAX_PAYLOAD_CHARACTERS`.
        is_truncated: Whether `text` is incomplete.
        size: The size of the stored payload in bytes.
    """

    text: str
    is_truncated: bool
    size: int


class EventResource(NamedTuple):
    """The object that an event is about.

    Attributes:
        kind: Such as `Deployment`; empty if it is not known.
        name: With its namespace, such as `prod/payment-api`; empty if it is not known.
    """

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class EventView:
    """A stored event and the texts of its parts.

    Attributes:
        stored: The event.
        envelope: The wire members but `event_data`, with the server's defaults; None for an absent member.
        data: The `event_data`.
    """

    stored: StoredRecord
    envelope: dict[str, Any]
    data: dict[str, Any]

    @classmethod
    def of(cls, stored: StoredRecord) -> "EventView":
        """Parse an event."""
        envelope = dict.fromkeys(AuditEvent.model_fields) | orjson.loads(stored.envelope)
        return cls(stored, envelope, orjson.loads(stored.event_data))

    @property
    def alert(self) -> str:
        """The name of the alert or signal that a gateway's event is about; empty for other events."""
        name = self.data.get("signal_name")
        return name if isinstance(name, str) else ""

    @property
    def resource(self) -> EventResource:
        """The workload that the event is about, otherwise the resource of the envelope."""
        workload = workload_of(self.envelope | {"event_data": self.data})
        if workload is not None:
            return EventResource(workload.kind, f"{workload.namespace}/{workload.name}".removeprefix("/"))
        return EventResource(self.envelope["resource_type"] or "", self.envelope["resource_id"] or "")

    @property
    def anchor(self) -> str:
        """The id of the event's element on a timeline."""
        return f"event-{self.stored.sequence}"

    @property
    def clock_lead(self) -> str:
        """The lead of the event's clock at its arrival; empty without clock skew."""
        lead = moment(self.stored.event_timestamp) - moment(self.stored.received_at)
        return span_text(lead // timedelta(microseconds=1)) if lead > MAX_CLOCK_LEAD else ""

    @property
    def delay(self) -> str:
        """The time from the event to its arrival; empty below a minute."""
        delay = self.stored.received_at - self.stored.event_timestamp
        return span_text(delay) if delay > _NOTABLE_DELAY // timedelta(microseconds=1) else ""

    @property
    def payload(self) -> Payload:
        """The `event_data` of the event."""
        text = orjson.dumps(self.data, option=orjson.OPT_INDENT_2).decode()
        return Payload(
            text[:MAX_PAYLOAD_CHARACTERS], len(text) > MAX_PAYLOAD_CHARACTERS, len(self.stored.event_data.encode())
        )

    @property
    def json_url(self) -> str:
        """The API's URL for the events with the same time and correlation id."""
        at = rfc_3339(self.stored.event_timestamp)
        parameters = {"correlation_id": self.envelope["correlation_id"], "since": at, "until": at}
        return f"api/v1/audit/events?{urlencode(parameters)}"

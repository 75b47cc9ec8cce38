"""Wrong events, filters and stores. Each line with the comment `# error` is one, and no other line is."""

from signal_gateway.audit import AuditEvent, AuditStore, AuditTrail
from signal_gateway.testing import LiveGateway


def record(store: AuditStore) -> None:
    store.record("no event")  # error: not an AuditEvent
    store.flush()  # error: not every store can flush
    AuditEvent(event_typ="a.b", event_type="a.b", event_category="c", event_action="d", event_outcome="success", correlation_id="x", event_data={})  # error: misspelt field # fmt: skip # noqa: E501
    AuditEvent(event_type="a.b", event_category="c", event_action="d", event_outcome="succes", correlation_id="x", event_data={})  # error: misspelt outcome # fmt: skip # noqa: E501
    AuditEvent(event_type="a.b", event_category="c", event_action="d", event_outcome="success", event_data={})  # error: no correlation id # fmt: skip # noqa: E501


def trail(gateway: LiveGateway, gateway_audit_trail: AuditTrail) -> None:
    gateway.audit_trail.one("gateway.crd.created", corelation_id="rr-1")  # error: misspelt filter
    gateway_audit_trail.events(event_type=7)  # error: not a text
    gateway.send_alert("X", status="fireing")  # error: misspelt status

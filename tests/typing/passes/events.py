"""Audit events, stores and trails."""

from signal_gateway.audit import AuditEvent, AuditStore, AuditTrail, BufferedAuditStore, StoredEvent
from signal_gateway.testing import LiveGateway, LiveService, RecordingAuditStore


def placed(order: str) -> AuditEvent:
    return AuditEvent(
        event_type="orders.order.placed",
        event_category="orders",
        event_action="placed",
        event_outcome="success",
        correlation_id=order,
        event_data={"item": "tea"},
    )


def record(store: AuditStore) -> None:
    if store.accepting:
        store.record(placed("o1"))


def stores(buffered: BufferedAuditStore) -> None:
    record(buffered)
    record(RecordingAuditStore())


def trails(gateway: LiveGateway, service: LiveService, gateway_audit_trail: AuditTrail) -> StoredEvent:
    gateway_audit_trail.none("orders.order.placed", event_outcome="failure")
    service.audit_trail.events(correlation_id="o1")
    return gateway.audit_trail.one("gateway.crd.created", correlation_id="rr-1")

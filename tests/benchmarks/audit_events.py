"""Audit events as a gateway makes them for duplicates, which are most of what it records."""

from signal_gateway.audit import AuditEvent

__all__ = ["duplicates", "wire_bytes"]


def duplicates(count: int) -> list[AuditEvent]:
    """Make so many events, each with an id and a correlation id of its own."""
    return [_duplicate(number) for number in range(count)]


def wire_bytes(events: list[AuditEvent]) -> int:
    """Say how long one of them is as JSON, on average."""
    return sum(len(event.to_wire()) for event in events) // len(events)


def _duplicate(number: int) -> AuditEvent:
    event_type = "gateway.signal.deduplicated"
    name = f"rr-{number:012x}"
    return AuditEvent(
        event_type=event_type,
        event_category="gateway",
        event_action="deduplicated",
        event_outcome="success",
        correlation_id=name,
        event_data={
            "event_type": event_type,
            "signal_name": "HighLatency",
            "fingerprint": f"{number:016x}",
            "remediation_request": f"prod/{name}",
            "deduplication_status": "duplicate",
            "occurrence_count": number,
        },
        actor_type="external",
        actor_id="prometheus",
        resource_type="Signal",
        resource_id=f"{number:016x}",
        namespace="prod",
        severity="critical",
    )

"""The events of the pictures have the envelope that a gateway of this release stores."""

from tests.e2e.audit_day import day, shown

from signal_gateway.audit.event import AuditEvent


def test_events_of_the_gateway_name_the_workload_of_their_signal():
    events = [event for event in (*day(), *shown()) if event["event_category"] == "gateway"]

    assert len(events) > 200
    for event in events:
        AuditEvent.model_validate({name: value for name, value in event.items() if value is not None})
        data = event["event_data"]
        path = f"{data['namespace']}/{data['resource_name']}".removeprefix("/")
        assert (event["resource_type"], event["resource_id"]) == (data["resource_kind"], path)
        assert event.get("namespace", "") == data["namespace"]
        assert (event["actor_type"], event["actor_id"]) == ("external", "alertmanager")

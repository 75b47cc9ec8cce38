"""RecordedIds: the ids of one server's events in a bounded memory."""

import pytest

from signal_gateway.audit import AuditTrail
from signal_gateway.audit.recorded_ids import MAX_RECORDED_IDS, RecordedIds
from signal_gateway.errors import AuditError


def test_recorded_events_are_selected_in_their_order(make_event):
    events = [make_event(number) for number in range(5)]
    recorded = RecordedIds()
    for event in (events[3], events[1]):
        recorded.add(event.event_id)

    assert recorded.select(events) == [events[1], events[3]]


def test_repeated_id_selects_its_event_once(make_event):
    event = make_event()
    recorded = RecordedIds()
    recorded.add(event.event_id)
    recorded.add(event.event_id)

    assert recorded.select([event]) == [event]


def test_ids_of_no_event_select_nothing(make_event):
    assert RecordedIds().select([make_event()]) == []


def test_id_costs_16_bytes_and_the_whole_16_megabytes():
    recorded = RecordedIds()
    recorded.add("01932c3e-8a00-7000-8000-000000000000")

    assert (recorded.size_bytes, MAX_RECORDED_IDS * recorded.size_bytes) == (16, 16_000_000)


def test_trail_beyond_the_limit_is_an_error_and_not_an_absence(store, make_event):
    recorded = RecordedIds(limit=2)
    trail = AuditTrail(store.client, barrier=store.flush, recorded=recorded)
    events = [make_event(number) for number in range(3)]
    for event in events[:2]:
        store.record(event)
        recorded.add(event.event_id)
    assert len(trail.events()) == 2

    recorded.add(events[2].event_id)

    assert recorded.size_bytes == 32
    with pytest.raises(AuditError, match=r"more than 2 events.*gateway_audit_trail"):
        trail.none(correlation_id="order-1")

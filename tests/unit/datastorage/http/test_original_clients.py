"""The forms that the generated clients of the original DataStorage send are taken."""

from datetime import UTC, datetime, timedelta

import pytest

from signal_gateway.datastorage.query import event_query

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
BATCH = "/api/v1/audit/events/batch"
EVENTS = "/api/v1/audit/events"


@pytest.mark.parametrize("member", ["namespace", "resource_id", "actor_ip", "severity", "error_code"])
def test_empty_optional_text_is_absent(client, make_wire_event, member):
    event = make_wire_event() | {member: ""}

    assert (client.post(EVENTS, json=event)).status_code == 201
    assert (client.post(BATCH, json=[make_wire_event(), make_wire_event() | {member: ""}])).status_code == 201

    stored = (client.get(EVENTS)).json()["data"]
    assert len(stored) == 3
    assert all(one.get(member) != "" for one in stored)


@pytest.mark.parametrize("member", ["event_type", "correlation_id", "event_category"])
def test_empty_required_text_is_refused(client, make_wire_event, member):
    assert (client.post(EVENTS, json=make_wire_event() | {member: ""})).status_code == 400


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("2026-11-30T01:30:00+02:00", "2026-11-29"),
        ("2026-11-30T00:00:00+02:00", "2026-11-29"),
        ("2026-11-29T22:00:00-02:00", "2026-11-30"),
        ("2026-11-30T00:00:00Z", "2026-11-30"),
        ("2026-11-30T12:00:00", "2026-11-30"),
        ("2026-11-30", "2026-11-30"),
    ],
)
def test_date_time_of_the_parent_is_its_date_in_utc_by_either_route(client, make_wire_event, sent, stored):
    event = make_wire_event() | {"parent_event_date": sent}

    assert client.post(BATCH, json=[event]).json()["accepted"] == 1
    again = client.post(EVENTS, json=event)

    assert again.json()["message"] == "An event with this event_id is already stored."
    assert client.get(EVENTS).json()["data"][0]["parent_event_date"] == stored


def test_version_has_up_to_20_characters(client, make_wire_event):
    assert client.post(EVENTS, json=make_wire_event() | {"version": "2026.11-preview.1"}).status_code == 201
    assert client.post(EVENTS, json=make_wire_event() | {"version": "x" * 21}).status_code == 400


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ("1h30m", NOW - timedelta(minutes=90)),
        ("1.5h", NOW - timedelta(minutes=90)),
        ("90s", NOW - timedelta(seconds=90)),
        ("1h2m3.5s", NOW - timedelta(hours=1, minutes=2, seconds=3.5)),
        ("250ms", NOW - timedelta(milliseconds=250)),
        ("7d", NOW - timedelta(days=7)),
        ("2026-11-29T10:00:00", datetime(2026, 11, 29, 10, tzinfo=UTC)),
        ("2026-11-29T10:00:00+02:00", datetime(2026, 11, 29, 8, tzinfo=UTC)),
        ("2026-11-29", datetime(2026, 11, 29, tzinfo=UTC)),
    ],
)
def test_durations_and_times_without_a_zone(since, expected):
    assert event_query([("since", since)], now=NOW).since == expected


@pytest.mark.parametrize("name", ["event_type", "correlation_id", "event_outcome", "severity", "since", "until"])
def test_empty_filter_is_as_if_left_out(name):
    assert event_query([(name, "")], now=NOW) == event_query([], now=NOW)


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
def test_probes_of_the_original_are_answered(client, path):
    assert (client.get(path)).status_code == 200

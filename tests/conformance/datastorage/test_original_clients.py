"""DataStorage as the clients see it that are generated from the document of the Go original."""

import re
import uuid
from pathlib import Path

import httpx
import pytest
from tests.support.original_datastorage import GATEWAY_EVENT_TYPES, OriginalDataStorage, check_schema, gateway_event

ROOT = Path(__file__).parents[3]
EVENTS = "/api/v1/audit/events"


@pytest.fixture
def call(gateway_datastorage):
    with httpx.Client(base_url=gateway_datastorage.url, trust_env=False) as client:
        yield client


def wire(event, **changes):
    """Return an event as such a client sends it: it knows no `event_id`."""
    document = event.model_dump(mode="json", exclude_none=True, exclude={"event_id"}) | changes
    return document | {"event_data": event.event_data}


@pytest.mark.parametrize("event_type", GATEWAY_EVENT_TYPES)
def test_event_of_a_generated_client_is_stored_and_read_as_it_was_sent(call, event_type):
    correlation_id = f"rr-{uuid.uuid4()}"
    sent = wire(gateway_event(7, event_type=event_type, correlation_id=correlation_id))

    stored = call.post(EVENTS, json=sent)
    batch = call.post(f"{EVENTS}/batch", json=[sent, sent])
    read = call.get(EVENTS, params={"correlation_id": correlation_id, "event_type": event_type}).json()

    assert (stored.status_code, batch.status_code) == (201, 201)
    assert stored.json().keys() >= {"event_id", "event_timestamp", "message"}
    ids = [stored.json()["event_id"], *batch.json()["event_ids"]]
    assert len({uuid.UUID(one) for one in ids}) == 3
    assert {event["event_id"] for event in read["data"]} == set(ids)
    assert read["pagination"].keys() >= {"limit", "offset", "total", "has_more"}
    for event in read["data"]:
        check_schema(event)
        assert event["event_data"] == sent["event_data"]


def test_events_of_our_gateway_have_what_a_generated_client_requires(gateway, call):
    name = gateway.send_alert("HighLatency", namespace="prod", deployment="api").json()["remediationRequestName"]
    gateway.send_alert("HighLatency", namespace="prod", deployment="api")
    gateway.settle()

    read = [
        event
        for event_type in GATEWAY_EVENT_TYPES[:3]
        for event in call.get(EVENTS, params={"correlation_id": name, "event_type": event_type}).json()["data"]
    ]

    assert [event["event_type"] for event in read] == list(GATEWAY_EVENT_TYPES[:3])
    for event in read:
        check_schema(event)


def test_page_with_a_type_beyond_the_closed_list_is_why_a_generated_client_asks_by_type(gateway, call):
    gateway.send_alert("Gone", status="resolved", job=(job := uuid.uuid4().hex))
    gateway.settle()

    params = {"event_type": "gateway.signal.resolved", "limit": "1000"}
    [event] = [
        one
        for one in call.get(EVENTS, params=params).json()["data"]
        if one["event_data"]["signal_labels"]["job"] == job
    ]

    with pytest.raises(Exception, match="schema"):
        check_schema(event)


def test_mistake_is_a_problem_with_the_members_of_the_original(call):
    answer = call.post(EVENTS, json={"version": "1.0"})

    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json().keys() >= {"type", "title", "status"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/audit/notifications"),
        ("POST", "/api/v1/audit/verify-chain"),
        ("GET", "/api/v1/audit/legal-hold"),
        ("POST", "/api/v1/audit/remediation-requests/rr-1/reconstruct"),
        ("GET", "/api/v1/effectiveness/rr-1"),
        ("GET", "/api/v1/remediation-history/context"),
    ],
)
def test_endpoint_of_the_original_alone_is_404(call, method, path):
    assert call.request(method, path).status_code == 404


def test_export_is_lines_here_and_one_document_there(call):
    with OriginalDataStorage() as original:
        there = httpx.get(f"{original.url}/api/v1/audit/export", headers={"X-Auth-Request-User": "me"}, trust_env=False)
        refused = httpx.get(f"{original.url}/api/v1/audit/export", trust_env=False)

    here = call.get("/api/v1/audit/export", params={"correlation_id": "nothing"})

    assert here.headers["content-type"].startswith("application/x-ndjson")
    assert there.json().keys() >= {"export_metadata", "events"}
    assert refused.status_code == 401


def test_each_row_of_the_page_names_tests_that_exist():
    page = (ROOT / "docs" / "interoperability.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("|") and "`test_" in line]
    named = [name for row in rows for name in re.findall(r"`(test_\w+)`", row)]
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))

    assert len(rows) >= 27
    assert [name for name in named if f"def {name}(" not in tests] == []

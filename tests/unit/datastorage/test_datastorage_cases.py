"""Cases: one row for each correlation id, whichever of its events matches."""

import contextlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from signal_gateway.audit.client.client import DataStorageClient
from signal_gateway.audit.presentation.workload import workload_of
from signal_gateway.audit.trail import AuditTrail

CASES = "/api/v1/audit/cases"
MakeEvent = Callable[..., dict[str, Any]]

WORKLOAD = {"resource_type": "Deployment", "resource_id": "prod/payment-api", "namespace": "prod"}
SIGNAL = {"signal_name": "HighLatency", "resource_kind": "Deployment", "resource_name": "payment-api"}
GATEWAY_DATA = SIGNAL | {"namespace": "prod"}


def at(second: int) -> str:
    return f"2026-01-31T12:00:{second:02}Z"


@pytest.fixture
def stored(client: httpx.Client, make_wire_event: MakeEvent) -> httpx.Client:
    """Three cases: rr-1 failed, rr-2 is pending, and rr-3, of which no event names a workload, succeeded."""
    documents = [
        make_wire_event(correlation_id="rr-1", event_timestamp=at(1), severity="critical", detail=GATEWAY_DATA)
        | WORKLOAD,
        make_wire_event(correlation_id="rr-2", event_timestamp=at(2), event_category="controller", actor_id="mira"),
        make_wire_event(correlation_id="rr-2", event_timestamp=at(3), detail={"signal_name": "NodeDown"})
        | {"resource_type": "Node", "resource_id": "worker-1"},
        make_wire_event(correlation_id="rr-1", event_timestamp=at(4), event_outcome="failure"),
        make_wire_event(correlation_id="rr-3", event_timestamp=at(5), event_category="controller"),
        make_wire_event(correlation_id="rr-1", event_timestamp=at(6), event_outcome="pending"),
        make_wire_event(correlation_id="rr-2", event_timestamp=at(7), event_outcome="pending"),
        make_wire_event(correlation_id="rr-3", event_timestamp=at(8), event_category="controller"),
    ]
    client.post("/api/v1/audit/events/batch", json=documents).raise_for_status()
    return client


def cases(client: httpx.Client, **parameters: Any) -> list[dict[str, Any]]:
    answer = client.get(CASES, params=parameters)
    assert answer.status_code == 200, answer.text
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


def ids(client: httpx.Client, **parameters: Any) -> list[str]:
    return [case["correlation_id"] for case in cases(client, **parameters)]


def test_case_has_its_times_its_outcome_and_the_names_of_the_gateway(stored: httpx.Client) -> None:
    third, second, first = cases(stored)

    assert first == {
        "correlation_id": "rr-1",
        "first": "2026-01-31T12:00:01+00:00",
        "last": "2026-01-31T12:00:06+00:00",
        "events": 3,
        "failures": 1,
        "outcome": "failure",
        "workload_kind": "Deployment",
        "workload_namespace": "prod",
        "workload_name": "payment-api",
        "signal_name": "HighLatency",
        "severity": "critical",
    }
    assert (second["events"], second["outcome"]) == (3, "pending")
    assert (second["workload_kind"], second["workload_namespace"], second["workload_name"]) == (
        "Node", None, "worker-1",
    )  # fmt: skip
    assert (third["events"], third["outcome"], third["signal_name"]) == (2, "success", None)
    assert (third["workload_kind"], third["workload_namespace"], third["workload_name"]) == (None, None, None)


def test_workload_of_an_event_of_an_older_release_is_that_of_its_data(
    client: httpx.Client, make_wire_event: MakeEvent
) -> None:
    event = make_wire_event(resource_type="Signal", resource_id="9c41" * 16, namespace="prod", detail=GATEWAY_DATA)
    client.post("/api/v1/audit/events", json=event).raise_for_status()

    [case] = cases(client)

    assert (case["workload_kind"], case["workload_namespace"], case["workload_name"]) == (
        "Deployment", "prod", "payment-api",
    )  # fmt: skip


# envelopes of events about the Deployment prod/payment-api: of this release, of older ones, and of other services
ENVELOPES: dict[str, dict[str, Any]] = {
    "gateway": WORKLOAD | {"detail": GATEWAY_DATA},
    "fingerprint": {
        "resource_type": "Signal", "resource_id": "9c41" * 16, "namespace": "prod", "detail": GATEWAY_DATA,
    },
    "request": {"resource_type": "RemediationRequest", "resource_id": "system/rr-request", "detail": GATEWAY_DATA},
    "defaults": {"detail": GATEWAY_DATA},
    "bare-namespace": {"resource_type": "Deployment", "resource_id": "payment-api", "namespace": "prod"},
    "no-namespace": {"resource_type": "Deployment", "resource_id": "prod/payment-api"},
}  # fmt: skip


@pytest.mark.parametrize("form", ENVELOPES)
def test_case_is_found_by_the_workload_that_its_row_shows(
    client: httpx.Client, make_wire_event: MakeEvent, form: str
) -> None:
    other = {"namespace": "staging", "resource_kind": "StatefulSet", "resource_name": "orders-db"}
    documents = [
        make_wire_event(correlation_id=f"rr-{form}", **ENVELOPES[form]),
        make_wire_event(correlation_id="rr-other", resource_type="Signal", resource_id="payment", detail=other),
    ]
    client.post("/api/v1/audit/events/batch", json=documents).raise_for_status()
    row = next(case for case in cases(client) if case["correlation_id"] == f"rr-{form}")
    shown = {
        "resource_type": row["workload_kind"],
        "namespace": row["workload_namespace"],
        "resource_name": row["workload_name"],
    }

    assert shown == {"resource_type": "Deployment", "namespace": "prod", "resource_name": "payment-api"}
    for filters in (shown, *({name: value} for name, value in shown.items()), {"text": "PAYMENT-API"}):
        assert ids(client, **filters) == [f"rr-{form}"], filters
        assert len(client.get("/api/v1/audit/export", params=filters).content.splitlines()) == 1


@pytest.mark.parametrize(
    "filters",
    [
        {"namespace": "pro"},
        {"namespace": "prod/x"},
        {"namespace": "7"},
        {"namespace": "true"},
        {"resource_type": "Deploy"},
        {"resource_name": "payment-ap"},
        {"resource_name": "api"},
    ],
)
def test_part_of_a_workload_and_a_member_that_is_no_text_find_no_case(
    client: httpx.Client, make_wire_event: MakeEvent, filters: dict[str, str]
) -> None:
    documents = [make_wire_event(correlation_id=f"rr-{form}", **members) for form, members in ENVELOPES.items()]
    documents += [make_wire_event(detail={"namespace": 7}), make_wire_event(detail={"namespace": True})]
    documents += [make_wire_event(resource_type="Deployment", resource_id="prod/x/payment")]
    client.post("/api/v1/audit/events/batch", json=documents).raise_for_status()

    assert ids(client, **filters) == []


def test_case_and_its_event_show_the_same_workload(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    identifiers = ["payment-api", "prod/payment-api", "apps/prod/payment-api", "/payment-api"]
    members: list[dict[str, Any]] = [
        *({"resource_type": "Deployment", "resource_id": identifier} for identifier in identifiers),
        {"resource_type": "Deployment", "resource_id": "prod/payment-api", "namespace": "prod"},
        {"resource_type": "RemediationRequest", "resource_id": "system/rr"},
        *ENVELOPES.values(),
    ]
    documents = [make_wire_event(correlation_id=f"rr-{number}", **more) for number, more in enumerate(members)]
    client.post("/api/v1/audit/events/batch", json=documents).raise_for_status()

    with contextlib.closing(DataStorageClient(str(client.base_url))) as reader:
        of_cases = {case.correlation_id: case.workload for page in reader.case_pages() for case in page.cases}
        found = {event["correlation_id"]: workload_of(event) for event in reader.events()}

    assert of_cases == {case: workload and workload.path for case, workload in found.items()}
    assert set(of_cases) == {f"rr-{number}" for number in range(len(members))}


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, ["rr-3", "rr-2", "rr-1"]),
        ({"order": "asc"}, ["rr-1", "rr-2", "rr-3"]),
        ({"event_outcome": "failure"}, ["rr-1"]),
        ({"event_outcome": "pending"}, ["rr-2", "rr-1"]),
        ({"event_outcome": "pending", "event_type": "gateway.signal.received"}, ["rr-2", "rr-1"]),
        ({"actor_id": "mira"}, ["rr-2"]),
        ({"resource_name": "payment-api", "namespace": "prod"}, ["rr-1"]),
        ({"text": "nodedown"}, ["rr-2"]),
        ({"since": at(5)}, ["rr-3", "rr-2", "rr-1"]),
        ({"until": at(4)}, ["rr-1", "rr-2"]),
        ({"since": at(4), "until": at(5)}, ["rr-3", "rr-1"]),
        ({"correlation_id": "rr-2"}, ["rr-2"]),
        ({"detail_key": "signal_name", "detail_value": "HighLatency"}, ["rr-1"]),
        ({"severity": "info"}, []),
        ({"text": "a\0"}, []),
    ],
)
def test_case_matches_if_one_of_its_events_does(
    stored: httpx.Client, filters: dict[str, str], found: list[str]
) -> None:
    page = stored.get(CASES, params=filters).json()

    assert [case["correlation_id"] for case in page["data"]] == found
    assert page["pagination"].items() >= {"total": len(found), "total_is_exact": True, "has_more": False}.items()
    assert all(case["events"] in (2, 3) for case in page["data"])  # all events, not only those that match


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_have_each_case_once(client: httpx.Client, make_wire_event: MakeEvent, order: str) -> None:
    documents = [
        make_wire_event(correlation_id=f"rr-{number % 7}", event_timestamp=at(number % 13)) for number in range(50)
    ]
    client.post("/api/v1/audit/events/batch", json=documents).raise_for_status()
    everything = ids(client, order=order)
    by_cursor: list[str] = []
    parameters: dict[str, Any] = {"limit": 3, "order": order}

    while True:
        page = client.get(CASES, params=parameters).json()
        by_cursor += [case["correlation_id"] for case in page["data"]]
        if not page["pagination"]["has_more"]:
            break
        parameters["cursor"] = page["pagination"]["next_cursor"]

    assert sorted(everything) == [f"rr-{number}" for number in range(7)]
    assert by_cursor == everything
    assert [case for start in (0, 3, 6) for case in ids(client, order=order, limit=3, offset=start)] == everything


def test_wrong_parameter_of_cases_is_refused(client: httpx.Client) -> None:
    answer = client.get(CASES, params={"corelation_id": "x"})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "corelation_id")


def test_client_and_trail_list_cases(stored: httpx.Client) -> None:
    with contextlib.closing(DataStorageClient(str(stored.base_url))) as client:
        pages = list(client.case_pages(limit=2))
        found = AuditTrail(client, barrier=None).cases(event_outcome="pending")

    assert [case.correlation_id for page in pages for case in page.cases] == ["rr-3", "rr-2"]
    assert (pages[0].total, pages[0].total_is_exact, pages[0].has_more) == (3, True, True)
    assert [(case.correlation_id, case.workload) for case in found] == [
        ("rr-1", "prod/Deployment/payment-api"),
        ("rr-2", "Node/worker-1"),
    ]

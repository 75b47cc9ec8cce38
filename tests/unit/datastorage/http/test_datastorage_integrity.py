"""The endpoints for auditors: what a hold, a release and a verification must name."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

HOLDS = "/api/v1/audit/holds"
RELEASE = "/api/v1/audit/holds/release"
VERIFY = "/api/v1/audit/verify"
HOLD = {"correlation_id": "rr-1", "reason": "claim 4711", "by": "ada"}


@pytest.fixture(autouse=True)
def workload_event(request: pytest.FixtureRequest, make_wire_event: Callable[..., dict[str, Any]]) -> None:
    """Store an event of the case, if the test is about holds."""
    if "hold" in request.node.name:
        data = {"event_type": "gateway.signal.received", "resource_kind": "Deployment", "resource_name": "payment-api"}
        event = make_wire_event(correlation_id="rr-1", event_data=data | {"namespace": "prod"})
        request.getfixturevalue("client").post("/api/v1/audit/events", json=event).raise_for_status()


@pytest.mark.parametrize("path", [HOLDS, RELEASE])
@pytest.mark.parametrize(
    ("member", "value"),
    [
        *((member, value) for member in HOLD for value in (None, "", 5, "x" * 1001, "a\0b")),
        ("reason", " \t"),
        ("by", " \t"),
    ],
)
def test_hold_and_release_name_case_reason_and_person(client: httpx.Client, path: str, member: str, value: Any) -> None:
    client.post(HOLDS, json=HOLD).raise_for_status()

    response = client.post(path, json=HOLD | {member: value})

    assert response.status_code == 400, response.text
    assert [error["field"] for error in response.json()["errors"]] == [member]
    assert [(hold["reason"], hold["by"]) for hold in client.get(HOLDS).json()["holds"]] == [("claim 4711", "ada")]


def test_hold_and_its_release_are_events_with_person_and_reason(client: httpx.Client) -> None:
    client.post(HOLDS, json=HOLD).raise_for_status()
    released = client.post(RELEASE, json=HOLD | {"reason": "settled", "by": "bob"})

    events = client.get("/api/v1/audit/events", params={"correlation_id": "rr-1"}).json()["data"]
    assert released.json() == {"holds": []}
    found = sorted(
        (event["event_type"], event["actor_id"], event["event_data"]["reason"])
        for event in events
        if event["event_category"] == "datastorage"
    )
    assert found == [
        ("datastorage.hold.placed", "ada", "claim 4711"),
        ("datastorage.hold.released", "bob", "settled"),
    ]


def test_same_hold_again_is_the_hold_that_exists(client: httpx.Client) -> None:
    first = client.post(HOLDS, json=HOLD)

    again = client.post(HOLDS, json=HOLD)

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    events = client.get("/api/v1/audit/events", params={"correlation_id": "rr-1"}).json()["data"]
    assert [event["event_type"] for event in events].count("datastorage.hold.placed") == 1


@pytest.mark.parametrize("change", [{"reason": "appeal"}, {"by": "bob"}, {"reason": "x" * 1000, "by": "y" * 255}])
def test_other_hold_of_a_case_on_hold_is_refused_with_the_first_one(
    client: httpx.Client, change: dict[str, str]
) -> None:
    first = client.post(HOLDS, json=HOLD).json()

    refused = client.post(HOLDS, json=HOLD | change)

    assert refused.status_code == 409
    detail = refused.json()["detail"]
    assert [word for word in ("'rr-1'", first["placed_at"], "'ada'", "'claim 4711'") if word not in detail] == []
    assert "Release that hold first" in detail
    assert [(hold["reason"], hold["by"]) for hold in client.get(HOLDS).json()["holds"]] == [("claim 4711", "ada")]


def test_refusal_of_a_hold_with_long_texts_fits_one_message(client: httpx.Client) -> None:
    long = {"correlation_id": "'c\n" * 80, "reason": "r" * 1000, "by": "p" * 255}
    client.post(HOLDS, json=long | {"allow_unknown": True}).raise_for_status()

    already = client.post(HOLDS, json=long | {"by": "bob"})
    unknown = client.post(HOLDS, json=long | {"correlation_id": "'d\n" * 80})

    assert (already.status_code, unknown.status_code) == (409, 400)
    assert max(len(refused.json()["detail"]) for refused in (already, unknown)) <= 300


def test_hold_says_how_many_events_of_which_workload_it_keeps(client: httpx.Client) -> None:
    placed = client.post(HOLDS, json=HOLD).json()
    again = client.post(HOLDS, json=HOLD).json()

    (case,) = client.get("/api/v1/audit/cases", params={"correlation_id": "rr-1"}).json()["data"]
    assert again == placed
    assert placed["events"] == case["events"] == 2, "the event of the hold is on hold, too"
    workload = {name: value for name, value in placed.items() if name.startswith("workload")}
    assert workload == {
        "workload_kind": "Deployment",
        "workload_namespace": "prod",
        "workload_name": "payment-api",
    }


@pytest.mark.parametrize("further", [{}, {"allow_unknown": False}])
def test_hold_of_an_id_without_events_is_refused_and_holds_nothing(
    client: httpx.Client, further: dict[str, bool]
) -> None:
    refused = client.post(HOLDS, json=HOLD | {"correlation_id": "rr-nope"} | further)

    assert refused.status_code == 400
    assert [error["field"] for error in refused.json()["errors"]] == ["correlation_id"]
    assert "'rr-nope'" in refused.json()["detail"]
    assert "allow_unknown" in refused.json()["detail"]
    assert client.get(HOLDS).json() == {"holds": []}
    assert client.get("/api/v1/audit/events", params={"correlation_id": "rr-nope"}).json()["data"] == []


def test_hold_of_an_unknown_id_is_placed_if_the_request_allows_it(client: httpx.Client) -> None:
    placed = client.post(HOLDS, json=HOLD | {"correlation_id": "rr-later", "allow_unknown": True})

    assert placed.status_code == 201
    assert (placed.json()["events"], placed.json()["workload_name"]) == (1, None)
    assert [hold["correlation_id"] for hold in client.get(HOLDS).json()["holds"]] == ["rr-later"]


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_hold_with_another_allow_unknown_than_a_boolean_is_refused(client: httpx.Client, value: object) -> None:
    refused = client.post(HOLDS, json=HOLD | {"allow_unknown": value})

    assert refused.status_code == 400
    assert [error["field"] for error in refused.json()["errors"]] == ["allow_unknown"]


@pytest.mark.parametrize("name", ["HoldRequest", "ReleaseRequest"])
def test_limits_of_a_hold_are_described(client: httpx.Client, name: str) -> None:
    schema = client.get("/openapi.json").json()["components"]["schemas"][name]["properties"]

    lengths = {name: (member["minLength"], member["maxLength"]) for name, member in schema.items() if name in HOLD}
    assert lengths == {"correlation_id": (1, 255), "reason": (1, 1000), "by": (1, 255)}
    assert ("allow_unknown" in schema) == (name == "HoldRequest")


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ([("since", "soon")], "since"),
        ([("checkpoint", "{}")], "checkpoint"),
        ([("checkpoint", "{}"), ("checkpoint", "{}")], "checkpoint"),
        ([("order", "asc")], "order"),
    ],
)
def test_verification_refuses_parameters_that_it_does_not_know(
    client: httpx.Client, params: list[tuple[str, str | int | float | bool | None]], field: str
) -> None:
    response = client.get(VERIFY, params=params)

    assert response.status_code == 400
    assert field in [error["field"] for error in response.json()["errors"]]


def test_verification_of_a_window_counts_compared_and_all_events(
    client: httpx.Client, make_wire_event: Callable[..., dict[str, Any]]
) -> None:
    client.post("/api/v1/audit/events/batch", json=[make_wire_event() for _ in range(3)]).raise_for_status()

    whole = client.get(VERIFY).json()
    window = client.get(VERIFY, params={"until": "1h"}).json()

    assert (whole["unaltered"], whole["events"], whole["all_events"]) == (True, 3, 3)
    assert (window["unaltered"], window["events"], window["all_events"]) == (True, 0, 3)


def test_verification_over_http_names_the_end_that_it_confirms(
    client: httpx.Client, make_wire_event: Callable[..., dict[str, Any]]
) -> None:
    client.post("/api/v1/audit/events/batch", json=[make_wire_event() for _ in range(3)]).raise_for_status()

    first = client.get(VERIFY).json()
    again = client.get(VERIFY, params={"checkpoint": str(first["checkpoint"]).replace("'", '"')}).json()

    assert (first["unaltered"], first["events"], first["links"], first["finding"]) == (True, 3, 1, None)
    assert again == first

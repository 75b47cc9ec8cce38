"""The endpoints for auditors: what a hold, a release and a verification must name."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

HOLDS = "/api/v1/audit/holds"
RELEASE = "/api/v1/audit/holds/release"
VERIFY = "/api/v1/audit/verify"
HOLD = {"correlation_id": "rr-1", "reason": "claim 4711", "by": "ada"}


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
    found = sorted((event["event_type"], event["actor_id"], event["event_data"]["reason"]) for event in events)
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
    long = {"correlation_id": "c" * 255, "reason": "r" * 1000, "by": "p" * 255}
    client.post(HOLDS, json=HOLD | long).raise_for_status()

    refused = client.post(HOLDS, json=HOLD | long | {"by": "bob"})

    assert refused.status_code == 409
    assert len(refused.json()["detail"]) <= 300


def test_limits_of_a_hold_are_described(client: httpx.Client) -> None:
    schema = client.get("/openapi.json").json()["components"]["schemas"]["HoldRequest"]["properties"]

    lengths = {name: (member["minLength"], member["maxLength"]) for name, member in schema.items()}
    assert lengths == {"correlation_id": (1, 255), "reason": (1, 1000), "by": (1, 255)}


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


def test_verification_over_http_names_the_end_that_it_confirms(
    client: httpx.Client, make_wire_event: Callable[..., dict[str, Any]]
) -> None:
    client.post("/api/v1/audit/events/batch", json=[make_wire_event() for _ in range(3)]).raise_for_status()

    first = client.get(VERIFY).json()
    again = client.get(VERIFY, params={"checkpoint": str(first["checkpoint"]).replace("'", '"')}).json()

    assert (first["unaltered"], first["events"], first["links"], first["finding"]) == (True, 3, 1, None)
    assert again == first

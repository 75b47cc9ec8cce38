"""Filters by the names that people know: the workload, its namespace, the actor, and a part of a name."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import httpx
import orjson
import pytest

from signal_gateway.audit.client.client import DataStorageClient
from signal_gateway.audit.trail import AuditTrail

EVENTS = "/api/v1/audit/events"
MakeEvent = Callable[..., dict[str, Any]]

FOUND = {
    "api": {
        "resource_type": "Deployment", "resource_id": "prod/payment-api", "namespace": "prod",
        "actor_type": "user", "actor_id": "mira",
    },
    "staging": {"resource_type": "Deployment", "resource_id": "staging/payment-api", "namespace": "staging"},
    "node": {"resource_type": "Node", "resource_id": "payment-api", "actor_id": "prometheus"},
    "longer": {"resource_type": "Pod", "resource_id": "prod/payment-api-7c9", "namespace": "prod"},
    "request": {"resource_type": "RemediationRequest", "resource_id": "system/Deployment/payment-api"},
    "bare": {},
}  # fmt: skip


@pytest.fixture
def stored(client: httpx.Client, make_wire_event: MakeEvent) -> httpx.Client:
    """A DataStorage with the events of `FOUND`, each with its own correlation id and signal."""
    documents = [
        make_wire_event(correlation_id=f"rr-{name}", detail={"name": name, "signal_name": f"Signal{name.title()}"})
        | members
        for name, members in FOUND.items()
    ]
    client.post(f"{EVENTS}/batch", json=documents).raise_for_status()
    return client


def names(client: httpx.Client, **filters: str) -> set[str]:
    answer = client.get(EVENTS, params=filters)
    assert answer.status_code == 200, answer.text
    page = answer.json()
    assert page["pagination"]["total"] == len(page["data"])
    return {event["event_data"]["name"] for event in page["data"]}


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"namespace": "prod"}, {"api", "longer"}),
        ({"namespace": "PROD"}, set()),
        ({"resource_type": "Deployment"}, {"api", "staging"}),
        ({"resource_id": "prod/payment-api"}, {"api"}),
        ({"resource_id": "rr-bare"}, {"bare"}),
        ({"resource_name": "payment-api"}, {"api", "staging", "node", "request"}),
        ({"resource_name": "payment-ap_"}, set()),
        ({"resource_name": "prod/payment-api"}, {"api"}),
        ({"actor_id": "mira"}, {"api"}),
        ({"actor_id": "gateway-service"}, {"staging", "longer", "request", "bare"}),
        ({"actor_type": "user"}, {"api"}),
        ({"actor_type": "User"}, set()),
        ({"actor_type": "use"}, set()),
        ({"actor_type": "service"}, set(FOUND) - {"api"}),
        ({"actor_type": "user", "actor_id": "prometheus"}, set()),
        ({"namespace": "prod", "resource_name": "payment-api", "resource_type": "Deployment"}, {"api"}),
        ({"namespace": "prod", "event_type": "gateway.signal.received", "severity": "critical"}, set()),
        ({"namespace": "x' OR '1'='1"}, set()),
        ({"namespace": ""}, set(FOUND)),
        ({"actor_id": "a\0"}, set()),
        ({"correlation_id": "a\0", "severity": "critical"}, set()),  # of two filters, the rarest is counted first
    ],
)
def test_resource_namespace_and_actor_are_exact_filters(
    stored: httpx.Client, filters: dict[str, str], found: set[str]
) -> None:
    assert names(stored, **filters) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("payment-api", {"api", "staging", "node", "longer", "request"}),
        ("PAYMENT-api-7", {"longer"}),
        ("rr-b", {"bare"}),
        ("RR-B", {"bare"}),
        ("signalnode", {"node"}),
        ("Prometheus", {"node"}),
        ("payment%", set()),
        ("payment_api", set()),
        ("gateway.signal", set()),
        ("", set(FOUND)),
        ("a\0", set()),
    ],
)
def test_text_is_a_part_of_a_name_in_any_case(stored: httpx.Client, text: str, found: set[str]) -> None:
    assert names(stored, text=text) == found


def test_letters_beyond_a_to_z_match_in_their_own_case_in_both_databases(
    client: httpx.Client, make_wire_event: MakeEvent
) -> None:
    document = make_wire_event(actor_id="Zoë ÄRGER", detail={"name": "umlaut"})
    client.post(EVENTS, json=document).raise_for_status()

    assert names(client, text="zoë Ärger") == names(client, text="ÄrGeR") == {"umlaut"}
    assert names(client, text="ZOË") == names(client, text="ärger") == set()
    assert names(client, actor_id="Zoë ÄRGER") == {"umlaut"}


@pytest.mark.parametrize("actor", ['DOMAIN\\user "x"', "a/b\nc", "\\", "é", "ops@example.org", "\u2028"])
def test_name_that_json_escapes_is_found(client: httpx.Client, make_wire_event: MakeEvent, actor: str) -> None:
    document = make_wire_event(actor_id=actor, detail={"name": "escaped", "signal_name": f"x{actor}"})
    client.post(EVENTS, json=document).raise_for_status()

    assert names(client, actor_id=actor) == names(client, text=actor) == names(client, text=f"x{actor}") == {"escaped"}
    assert names(client, actor_id=f"{actor}x") == names(client, text=f"{actor}x") == set()


def test_signal_without_a_name_as_text_is_no_error(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    for value in (None, 7, {"a": "b"}, ["payment"]):
        document = make_wire_event(detail={"name": "odd", "signal_name": value})
        client.post(EVENTS, json=document).raise_for_status()

    assert names(client, text="missing") == set()


def test_export_has_the_same_filters(stored: httpx.Client) -> None:
    lines = stored.get("/api/v1/audit/export", params={"namespace": "prod", "text": "7C9"}).content.splitlines()
    of_people = stored.get("/api/v1/audit/export", params={"actor_type": "user"}).content.splitlines()

    assert [orjson.loads(line)["event_data"]["name"] for line in lines] == ["longer"]
    assert [orjson.loads(line)["event_data"]["name"] for line in of_people] == ["api"]


def test_client_and_trail_have_the_same_filters(stored: httpx.Client) -> None:
    with closing(DataStorageClient(str(stored.base_url))) as client:
        trail = AuditTrail(client, barrier=None)
        found = list(client.events(resource_name="payment-api", namespace="prod"))

        assert [event["event_data"]["name"] for event in found] == ["api"]
        assert trail.one(actor_id="mira").resource_id == "prod/payment-api"
        assert trail.one(actor_type="user").actor_id == "mira"
        assert [case.correlation_id for case in trail.cases(actor_type="user")] == ["rr-api"]
        assert {event.namespace for event in trail.events(text="payment-api-")} == {"prod"}
        trail.none(namespace="elsewhere")

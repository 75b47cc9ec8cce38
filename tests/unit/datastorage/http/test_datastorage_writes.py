"""What is stored, what is refused, and what is answered."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signal_gateway.audit.event import MAX_EVENT_DATA_BYTES, AuditEvent
from signal_gateway.web.problem import PROBLEM_JSON

EVENTS = "/api/v1/audit/events"
BATCH = "/api/v1/audit/events/batch"
MakeEvent = Callable[..., dict[str, Any]]
Serve = Callable[..., httpx.Client]


def stored(client: httpx.Client, **filters: str) -> list[dict[str, Any]]:
    answer = client.get(EVENTS, params={"order": "asc", "limit": "1000", **filters})
    assert answer.status_code == 200, answer.text
    page = answer.json()
    assert not page["pagination"]["has_more"]
    data: list[dict[str, Any]] = page["data"]
    return data


def test_single_event_is_stored_with_the_servers_defaults(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    document = make_wire_event()

    answer = client.post(EVENTS, json=document)

    assert answer.status_code == 201
    assert answer.json()["event_id"] == document["event_id"]
    assert answer.json()["event_timestamp"] == "2026-01-31T12:00:00+00:00"
    [event] = stored(client)
    assert event.pop("received_at")
    assert event == document | {
        "event_timestamp": "2026-01-31T12:00:00+00:00",
        "actor_type": "service",
        "actor_id": "gateway-service",
        "resource_type": "gateway",
        "resource_id": "rr-1",
        "event_date": "2026-01-31",
        "sequence": 1,
    }


def test_members_that_are_given_win_over_the_defaults(client: httpx.Client) -> None:
    event = AuditEvent(
        event_type="a.b",
        event_category="c",
        event_action="d",
        event_outcome="failure",
        correlation_id="x",
        event_data={"event_type": "a.b"},
        actor_type="user",
        actor_id="jane",
        actor_ip="::1",
        resource_type="Pod",
        resource_id="api-1",
        parent_event_id="01932c3e-8a00-7000-8000-000000000000",
        namespace="prod",
        cluster_id="east",
        severity="critical",
        duration_ms=7,
        error_code="E1",
        error_message="broken",
        retention_days=30,
        is_sensitive=True,
    )

    answer = client.post(EVENTS, content=event.to_wire(), headers={"Content-Type": "application/json"})

    assert answer.status_code == 201
    [found] = stored(client)
    for name in ("event_date", "received_at", "sequence"):
        del found[name]
    assert found == json.loads(event.to_wire())


def test_batch_is_stored_in_its_order(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    documents = [make_wire_event(detail={"n": n}) for n in range(1000)]

    answer = client.post(BATCH, json=documents)

    assert answer.status_code == 201
    assert answer.json()["event_ids"] == [document["event_id"] for document in documents]
    assert (answer.json()["accepted"], answer.json()["duplicates"]) == (1000, [])
    assert [event["event_data"]["n"] for event in stored(client)] == list(range(1000))


def test_event_without_id_gets_one(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    answer = client.post(EVENTS, json=make_wire_event(event_id=None))

    assert answer.status_code == 201
    assert [event["event_id"] for event in stored(client)] == [answer.json()["event_id"]]


def test_replayed_batch_is_acknowledged_and_stored_once(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    documents = [make_wire_event() for _ in range(3)]
    client.post(BATCH, json=documents[:2])

    answer = client.post(BATCH, json=documents)

    assert answer.status_code == 201
    assert answer.json()["event_ids"] == [document["event_id"] for document in documents]
    assert answer.json()["accepted"] == 1
    assert answer.json()["duplicates"] == [
        {"index": index, "event_id": documents[index]["event_id"], "different_content": False} for index in (0, 1)
    ]
    assert len(stored(client)) == 3


def test_first_content_wins_and_other_content_is_reported(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    first = make_wire_event(detail={"n": 1, "deep": {"a": 1, "b": 2}})
    client.post(EVENTS, json=first)
    reordered = first | {"event_data": {"deep": {"b": 2, "a": 1}, "n": 1, "event_type": first["event_type"]}}
    other_number = first | {"event_data": first["event_data"] | {"n": 1.0}}
    other_envelope = first | {"severity": "high"}

    answer = client.post(BATCH, json=[reordered, other_number, other_envelope])

    assert answer.status_code == 201
    assert [duplicate["different_content"] for duplicate in answer.json()["duplicates"]] == [False, True, True]
    [event] = stored(client)
    assert event["event_data"] == first["event_data"]
    assert "severity" not in event


def test_id_repeated_within_a_batch_is_a_duplicate_of_the_first(
    client: httpx.Client, make_wire_event: MakeEvent
) -> None:
    first = make_wire_event()
    changed = first | {"severity": "high"}

    answer = client.post(BATCH, json=[first, changed, first])

    assert answer.json()["accepted"] == 1
    assert [(d["index"], d["different_content"]) for d in answer.json()["duplicates"]] == [(1, True), (2, False)]
    assert "severity" not in stored(client)[0]


def test_single_duplicate_is_acknowledged(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    document = make_wire_event()
    client.post(EVENTS, json=document)

    same = client.post(EVENTS, json=document)
    other = client.post(EVENTS, json=document | {"severity": "high"})

    assert (same.status_code, other.status_code) == (201, 201)
    assert "already stored." in same.json()["message"]
    assert "different content" in other.json()["message"]
    assert len(stored(client)) == 1


def test_refused_batch_names_every_bad_item_and_stores_nothing(
    client: httpx.Client, make_wire_event: MakeEvent
) -> None:
    too_long = make_wire_event(severity="x" * 21, actor_ip="nowhere")
    without_type = {name: value for name, value in make_wire_event().items() if name != "event_type"}
    unversioned = {name: value for name, value in make_wire_event().items() if name != "version"}
    mismatched = make_wire_event() | {"event_data": {"event_type": "another"}}

    answer = client.post(
        BATCH, json=[make_wire_event(), too_long, 7, without_type, unversioned, mismatched, make_wire_event()]
    )

    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == PROBLEM_JSON
    problem = answer.json()
    assert (problem["status"], problem["title"]) == (400, "Bad Request")
    assert [(error["index"], error["event_id"], error["field"]) for error in problem["errors"]] == [
        (1, too_long["event_id"], "actor_ip"),
        (1, too_long["event_id"], "severity"),
        (2, None, None),
        (3, without_type["event_id"], "event_type"),
        (4, unversioned["event_id"], "version"),
        (5, mismatched["event_id"], "event_data"),
    ]
    assert all(error["reason"] for error in problem["errors"])
    assert stored(client) == []


def test_bad_single_event_names_the_field(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    answer = client.post(EVENTS, json=make_wire_event(event_outcome="maybe"))

    assert answer.status_code == 400
    assert [(error["index"], error["field"]) for error in answer.json()["errors"]] == [(0, "event_outcome")]
    assert stored(client) == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # it gets to no database
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[", b"\xff", b"nonsense", b"[NaN]", b'"\\ud800"', b"{}", b'"text"', b"null", b"[]", b"[" * 300],
)
def test_body_that_is_no_batch_is_refused(client: httpx.Client, body: bytes) -> None:
    answer = client.post(BATCH, content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == PROBLEM_JSON


def test_batch_above_the_limit_is_refused(serve: Serve, make_wire_event: MakeEvent) -> None:
    client = serve(max_batch_events=2)

    answer = client.post(BATCH, json=[make_wire_event() for _ in range(3)])

    assert answer.status_code == 400
    assert "3 events" in answer.json()["detail"]
    assert client.get("/api/v1/audit/limits").json()["max_batch"] == 2
    assert stored(client) == []


def test_whole_number_that_json_would_lose_is_refused(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    answer = client.post(BATCH, json=[make_wire_event(detail={"n": 2**64})])

    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["event_data"]


def test_largest_event_data_is_taken_and_one_byte_more_is_not(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    room = MAX_EVENT_DATA_BYTES - len(orjson.dumps(make_wire_event(detail={"fill": ""})["event_data"]))

    fits = client.post(EVENTS, json=make_wire_event(detail={"fill": "x" * room}))
    too_large = client.post(EVENTS, json=make_wire_event(detail={"fill": "x" * (room + 1)}))

    assert (fits.status_code, too_large.status_code) == (201, 400)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # it gets to no database
@pytest.mark.parametrize("announced", [True, False])
def test_body_above_the_limit_is_413(serve: Serve, announced: bool) -> None:
    client = serve(max_body_bytes=100_000)
    chunks = (b" " * 10_000 for _ in range(30))
    body = b"".join(chunks) if announced else chunks

    answer = client.post(BATCH, content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 413
    assert answer.headers["Content-Type"] == PROBLEM_JSON
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # it gets to no database
@pytest.mark.parametrize("content_type", ["text/plain", "application/jsonp", "application/x-ndjson", ""])
@pytest.mark.parametrize("path", [EVENTS, BATCH])
def test_other_content_type_is_415(client: httpx.Client, path: str, content_type: str) -> None:
    answer = client.post(path, content=b"[]", headers={"Content-Type": content_type})

    assert answer.status_code == 415
    assert answer.headers["Content-Type"] == PROBLEM_JSON


def test_content_type_may_have_parameters(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}

    answer = client.post(EVENTS, content=json.dumps(make_wire_event()), headers=headers)

    assert answer.status_code == 201


@pytest.mark.parametrize("timestamp", ["0001-01-01T00:00:00Z", "2020-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
def test_event_is_never_refused_for_its_age(client: httpx.Client, make_wire_event: MakeEvent, timestamp: str) -> None:
    answer = client.post(EVENTS, json=make_wire_event(event_timestamp=timestamp))

    assert answer.status_code == 201
    [event] = stored(client)
    assert event["event_timestamp"].removesuffix("+00:00") == timestamp.removesuffix("Z")
    assert event["event_date"] == timestamp[:10]


def test_concurrent_writers_lose_and_mix_nothing(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    def write(writer: int) -> None:
        for start in range(0, 100, 20):
            batch = [make_wire_event(correlation_id=f"w-{writer}", detail={"n": n}) for n in range(start, start + 20)]
            answer = client.post(BATCH, json=batch)
            assert answer.status_code == 201, answer.text

    with ThreadPoolExecutor(8) as writers:
        list(writers.map(write, range(8)))

    for writer in range(8):
        events = stored(client, correlation_id=f"w-{writer}")
        assert [event["event_data"]["n"] for event in events] == list(range(100))


def test_same_batch_sent_by_many_at_once_is_stored_once(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    batch = [make_wire_event() for _ in range(50)]
    together = Barrier(6, timeout=60)

    def send(_: int) -> dict[str, Any]:
        together.wait()
        answer: dict[str, Any] = client.post(BATCH, json=batch).raise_for_status().json()
        return answer

    with ThreadPoolExecutor(6) as senders:
        answers = list(senders.map(send, range(6)))

    assert sorted(answer["accepted"] for answer in answers) == [0, 0, 0, 0, 0, 50]
    assert not any(duplicate["different_content"] for answer in answers for duplicate in answer["duplicates"])
    assert len(stored(client)) == 50


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
)
keys = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=8)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(detail=st.dictionaries(keys.filter(lambda key: key != "event_type"), values))
@pytest.mark.slow
def test_event_data_is_read_as_it_was_sent(
    client: httpx.Client, make_wire_event: MakeEvent, detail: dict[str, Any]
) -> None:
    document = make_wire_event(detail=detail)

    answer = client.post(EVENTS, content=orjson.dumps(document), headers={"Content-Type": "application/json"})
    if answer.status_code == 400:  # deeper than the model allows
        assert "nested" in answer.json()["detail"]
        return

    last = client.get(EVENTS, params={"limit": 1000, "order": "desc"})
    [found] = [event for event in json.loads(last.content)["data"] if event["event_id"] == document["event_id"]]
    assert repr(found["event_data"]) == repr(document["event_data"])


json_bodies = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(sorted(AuditEvent.model_fields)), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary() | json_bodies.map(orjson.dumps) | st.lists(json_bodies, min_size=1).map(orjson.dumps))
@pytest.mark.slow
def test_no_body_makes_the_server_fail(client: httpx.Client, body: bytes) -> None:
    for path in (EVENTS, BATCH):
        answer = client.post(path, content=body, headers={"Content-Type": "application/json"})

        assert answer.status_code == 400, answer.text
        assert answer.headers["Content-Type"] == PROBLEM_JSON


def test_message_of_a_batch_agrees_with_its_numbers(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    events = [make_wire_event() for _ in range(3)]

    messages = [client.post(BATCH, json=batch).json()["message"] for batch in (events[:1], events, events[:1])]

    assert messages == [
        "1 event is stored, 0 were already stored.",
        "2 events are stored, 1 was already stored.",
        "0 events are stored, 1 was already stored.",
    ]


def test_refusal_of_one_event_agrees_with_its_number(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    refused = client.post(BATCH, json=[make_wire_event(), make_wire_event(event_outcome="?")])

    assert refused.json()["detail"].startswith("1 of 2 events is not valid, nothing was stored")

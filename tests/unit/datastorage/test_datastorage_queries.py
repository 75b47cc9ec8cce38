"""What a query finds, in which order, page by page."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.datastorage_backends import opened

from signal_gateway.clock import MovableClock
from signal_gateway.datastorage.query import EventQuery
from signal_gateway.datastorage.record import rows_of
from signal_gateway.datastorage.select import count_statement, histogram_statement, page_statement
from signal_gateway.datastorage.sqlite.connection import connect
from signal_gateway.datastorage.sqlite.queries import SQLITE, rarest_filter
from signal_gateway.datastorage.sqlite.schema import prepare
from signal_gateway.web.problem import PROBLEM_JSON

EVENTS = "/api/v1/audit/events"
BATCH = "/api/v1/audit/events/batch"
MakeEvent = Callable[..., dict[str, Any]]
Serve = Callable[..., httpx.Client]


def at(second: int) -> str:
    return f"2026-01-31T12:00:{second:02}Z"


def store(client: httpx.Client, *documents: dict[str, Any]) -> None:
    client.post(BATCH, json=documents).raise_for_status()


def names(client: httpx.Client, **parameters: Any) -> list[str]:
    answer = client.get(EVENTS, params=parameters)
    assert answer.status_code == 200, answer.text
    page = answer.json()
    if not {"limit", "offset", "cursor"} & parameters.keys():
        assert page["pagination"]["total"] == len(page["data"])
    return [event["event_data"]["name"] for event in page["data"]]


def test_newest_come_first_and_asc_turns_it_round(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    order = {"b": 2, "d": 4, "a": 1, "c": 3}
    store(
        client, *(make_wire_event(event_timestamp=at(second), detail={"name": name}) for name, second in order.items())
    )

    assert names(client) == ["d", "c", "b", "a"]
    assert names(client, order="desc") == ["d", "c", "b", "a"]
    assert names(client, order="asc") == ["a", "b", "c", "d"]


def test_events_of_one_moment_keep_the_order_of_storing(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(client, *(make_wire_event(detail={"name": name}) for name in "cab"))

    assert names(client, order="asc") == ["c", "a", "b"]
    assert names(client) == ["b", "a", "c"]


@pytest.mark.parametrize("column", ["correlation_id", "event_type", "event_category", "severity"])
def test_filter_matches_exactly(client: httpx.Client, make_wire_event: MakeEvent, column: str) -> None:
    for value in ("one", "ONE", "one ", "on_", "%"):
        store(client, make_wire_event(**{column: value}, detail={"name": value}))
    store(client, make_wire_event(detail={"name": "unset"}))

    assert names(client, **{column: "one"}) == ["one"]
    assert names(client, **{column: "%"}) == ["%"]
    assert names(client, **{column: "x' OR '1'='1"}) == []


def test_outcome_is_filtered(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(client, *(make_wire_event(event_outcome=o, detail={"name": o}) for o in ("success", "failure", "pending")))

    assert names(client, event_outcome="failure") == ["failure"]


def test_filters_are_combined_with_and(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    wanted = {
        "correlation_id": "rr-9",
        "event_type": "t",
        "event_category": "c",
        "event_outcome": "failure",
        "severity": "s",
    }
    store(client, make_wire_event(**wanted, detail={"name": "all"}))
    for column in wanted:
        other = "success" if column == "event_outcome" else "other"
        store(client, make_wire_event(**(wanted | {column: other}), detail={"name": column}))

    assert names(client, **wanted) == ["all"]
    assert names(client, **wanted, detail_key="name", detail_value="all", since=at(0), until=at(0)) == ["all"]
    assert names(client, **wanted, since=at(1)) == []


def test_since_and_until_include_their_moment(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(client, *(make_wire_event(event_timestamp=at(second), detail={"name": str(second)}) for second in range(5)))

    assert names(client, since=at(3), order="asc") == ["3", "4"]
    assert names(client, until=at(1), order="asc") == ["0", "1"]
    assert names(client, since=at(1), until=at(3), order="asc") == ["1", "2", "3"]
    assert names(client, since="2026-01-31T13:00:03+01:00", order="asc") == ["3", "4"]
    assert names(client, since="2026-01-31T12:00:03.000001z", order="asc") == ["4"]


def test_a_date_is_its_first_moment_in_utc(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(
        client,
        make_wire_event(event_timestamp="2026-01-30T23:59:59Z", detail={"name": "before"}),
        make_wire_event(event_timestamp="2026-01-31T00:00:00Z", detail={"name": "midnight"}),
        make_wire_event(event_timestamp="2026-01-31T00:00:01Z", detail={"name": "after"}),
    )

    assert names(client, since="2026-01-31", order="asc") == ["midnight", "after"]
    assert names(client, until="2026-01-31", order="asc") == ["before", "midnight"]


@pytest.mark.parametrize(
    ("since", "found"), [("90s", ["1m"]), ("30m", ["1m"]), ("24h", ["1m", "2h"]), ("7d", ["1m", "2h", "3d"])]
)
def test_relative_time_is_before_now(serve: Serve, make_wire_event: MakeEvent, since: str, found: list[str]) -> None:
    client = serve(clock=MovableClock(datetime(2026, 1, 31, 12, tzinfo=UTC)))
    times = {
        "1m": "2026-01-31T11:59:00Z",
        "2h": "2026-01-31T10:00:00Z",
        "3d": "2026-01-28T12:00:00Z",
        "9d": "2026-01-22T12:00:00Z",
    }
    store(client, *(make_wire_event(event_timestamp=time, detail={"name": name}) for name, time in times.items()))

    assert names(client, since=since) == found


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("plain", "text"),
        ("number", "3"),
        ("float", "0.30000000000000004"),
        ("large", "9007199254740993"),
        ("true", "true"),
        ("false", "false"),
        ("null", "null"),
        ('we"ird', "1"),
        ("back\\slash", "1"),
        ("$.dotted.path[0]", "1"),
        ("ключ", "значение"),
        ("' OR 1=1 --", "' OR 1=1 --"),
    ],
)
def test_detail_matches_a_top_level_member(
    client: httpx.Client, make_wire_event: MakeEvent, key: str, value: str
) -> None:
    details: dict[str, Any] = {
        "plain": "text",
        "number": 3,
        "float": 0.1 + 0.2,
        "large": 9007199254740993,
        "true": True,
        "false": False,
        "null": None,
        'we"ird': "1",
        "back\\slash": "1",
        "$.dotted.path[0]": "1",
        "ключ": "значение",
        "' OR 1=1 --": "' OR 1=1 --",
    }
    for name, detail in details.items():
        store(client, make_wire_event(detail={"name": name, name: detail}))
    store(client, make_wire_event(detail={"name": "nested", "inner": {key: value}, "list": [value]}))

    assert names(client, detail_key=key, detail_value=value) == [key]


@pytest.mark.parametrize(
    ("value", "stored"),
    [("1", True), ("0", False), ("true", 1), ("null", "none"), ("[1]", [1]), ('{"a":1}', {"a": 1}), ("1", "1.0")],
)
def test_detail_does_not_confuse_types(
    client: httpx.Client, make_wire_event: MakeEvent, value: str, stored: Any
) -> None:
    store(client, make_wire_event(detail={"name": "x", "member": stored}))

    assert names(client, detail_key="member", detail_value=value) == []


def test_pages_by_offset_cover_everything_once(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(client, *(make_wire_event(event_timestamp=at(n), detail={"name": str(n)}) for n in range(7)))

    pages = [client.get(EVENTS, params={"limit": 3, "offset": offset}).json() for offset in (0, 3, 6, 9)]

    assert [[event["event_data"]["name"] for event in page["data"]] for page in pages] == [
        ["6", "5", "4"],
        ["3", "2", "1"],
        ["0"],
        [],
    ]
    assert [page["pagination"]["has_more"] for page in pages] == [True, True, False, False]
    assert {page["pagination"]["total"] for page in pages} == {7}
    assert pages[1]["pagination"].items() >= {"limit": 3, "offset": 3}.items()


def test_a_full_last_page_has_no_more(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(client, *(make_wire_event() for _ in range(4)))

    pagination = client.get(EVENTS, params={"limit": 4}).json()["pagination"]

    assert pagination == {"limit": 4, "offset": 0, "total": 4, "has_more": False, "total_is_exact": True}


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_cursor_is_stable_while_events_come_in(client: httpx.Client, make_wire_event: MakeEvent, order: str) -> None:
    store(client, *(make_wire_event(event_timestamp=at(n // 2), detail={"name": str(n)}) for n in range(10)))
    expected = names(client, order=order)
    seen: list[str] = []
    parameters: dict[str, Any] = {"limit": 3, "order": order}

    while True:
        page = client.get(EVENTS, params=parameters).json()
        seen += [event["event_data"]["name"] for event in page["data"]]
        if not page["pagination"]["has_more"]:
            break
        parameters["cursor"] = page["pagination"]["next_cursor"]
        behind = "2026-01-01T00:00:00Z" if order == "asc" else "2026-02-28T00:00:00Z"
        store(client, make_wire_event(event_timestamp=behind, detail={"name": "late"}))

    assert seen == expected


def test_default_limit_is_fifty(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(client, *(make_wire_event() for _ in range(51)))

    page = client.get(EVENTS).json()

    assert len(page["data"]) == 50
    assert page["pagination"].items() >= {"limit": 50, "total": 51, "has_more": True}.items()


@pytest.mark.parametrize(
    ("ahead", "marked"),
    [("2026-01-31T13:00:00Z", False), ("2026-01-31T13:00:00.000001Z", True), ("2026-01-01T00:00:00Z", False)],
)
def test_event_from_far_ahead_is_marked(serve: Serve, make_wire_event: MakeEvent, ahead: str, marked: bool) -> None:
    client = serve(clock=MovableClock(datetime(2026, 1, 31, 12, tzinfo=UTC)))

    store(client, make_wire_event(event_timestamp=ahead))

    [event] = client.get(EVENTS).json()["data"]
    assert event["received_at"] == "2026-01-31T12:00:00+00:00"
    assert event.get("clock_skew", False) is marked


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # it gets to no database
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("corelation_id=x", "corelation_id"),
        ("correlation_id=a&correlation_id=b", "correlation_id"),
        ("cursor=", "cursor"),
        ("event_outcome=maybe", "event_outcome"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=1.5", "limit"),
        ("limit=%D9%A3", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("offset=-1", "offset"),
        (f"offset={2**63}", "offset"),
        ("order=up", "order"),
        ("since=yesterday", "since"),
        ("since=2026-01-31T12:00", "since"),
        ("since=2026-02-30", "since"),
        ("since=2026-01-31T12:00:00+01:00", "since"),
        ("until=999999999d", "until"),
        ("until=0001-01-01T00:00:00%2B23:00", "until"),
        ("since=1700000000", "since"),
        ("detail_key=a", "detail_value"),
        ("detail_value=a", "detail_key"),
        ("cursor=nonsense", "cursor"),
        ("cursor=asc.1.1&order=desc", "cursor"),
        ("cursor=asc.1.1&offset=1", "offset"),
    ],
)
def test_wrong_parameter_is_refused_by_name(client: httpx.Client, query: str, field: str) -> None:
    answer = client.get(f"{EVENTS}?{query}")

    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == PROBLEM_JSON
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert repr(field) in answer.json()["detail"]


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (EventQuery(), "by_time"),
        (EventQuery(since=datetime(2026, 1, 1, tzinfo=UTC)), "by_time"),
        (EventQuery(correlation_id="x", event_outcome="success"), "by_correlation"),
        (EventQuery(event_type="x", event_category="y", until=datetime(2026, 1, 1, tzinfo=UTC)), "by_type"),
        (EventQuery(severity="x", event_category="y"), "by_severity"),
        (EventQuery(event_category="y", event_outcome="failure"), "by_category"),
        (EventQuery(event_outcome="failure", detail=("a", "b")), "by_outcome"),
    ],
)
def test_rarest_filter_finds_its_events_by_index_and_in_order(tmp_path: Path, query: EventQuery, index: str) -> None:
    connection = connect(tmp_path / "audit.db", busy_timeout=1)
    try:
        prepare(connection, tmp_path / "audit.db")

        page_plan = plan_of(connection, *page_statement(query, SQLITE))
        count_plan = plan_of(connection, *count_statement(query, SQLITE))
    finally:
        connection.close()

    assert f"audit_events_{index} " in page_plan + " "
    assert "TEMP B-TREE" not in page_plan
    assert "INDEX audit_events_" in count_plan


@pytest.mark.parametrize(
    ("rare", "index"),
    [
        ({"event_outcome": "failure"}, "by_outcome"),
        ({"event_type": "gateway.crd.failed", "event_outcome": "failure"}, "by_type"),
        ({"severity": "critical"}, "by_severity"),
        ({"event_category": "workflow"}, "by_category"),
        ({"correlation_id": "rr-2"}, "by_correlation"),
    ],
)
@pytest.mark.asyncio
async def test_query_with_several_filters_reads_the_index_of_the_rarest(
    tmp_path: Path, make_wire_event: MakeEvent, rare: dict[str, str], index: str
) -> None:
    usual = {"severity": "info"}
    members = {"event_type": "gateway.signal.received", "event_outcome": "success", "event_category": "gateway"}
    wanted: dict[str, Any] = members | {"correlation_id": "rr-1"} | usual | rare
    documents = [make_wire_event(**usual) for _ in range(20)] + [make_wire_event(**usual | rare)]
    rows = rows_of(documents, received_at=0)
    assert rows is not None
    async with opened(f"sqlite:///{tmp_path}/audit.db") as backend:
        await backend.insert(rows)

        page = await backend.query(EventQuery(**wanted))
        exported = [event async for part in backend.export(EventQuery(**wanted, order="asc")) for event in part]

    assert (page.total, len(exported)) == (1, 1)
    with closing(connect(tmp_path / "audit.db", busy_timeout=1)) as connection:
        leading = rarest_filter(connection, EventQuery(**wanted), timeout=60)
        plan = plan_of(connection, *page_statement(EventQuery(**wanted), SQLITE, leading=leading))
    assert f"audit_events_{index} " in plan + " "


def test_histogram_without_filters_reads_an_index_alone(tmp_path: Path) -> None:
    query = EventQuery(since=datetime(2026, 1, 1, tzinfo=UTC), until=datetime(2026, 2, 1, tzinfo=UTC))
    with closing(connect(tmp_path / "audit.db", busy_timeout=1)) as connection:
        prepare(connection, tmp_path / "audit.db")

        plan = plan_of(connection, *histogram_statement(query, SQLITE, width=10))

    assert "USING COVERING INDEX audit_events_by_outcome" in plan


def plan_of(connection: sqlite3.Connection, statement: str, values: list[Any]) -> str:
    return "; ".join(step[3] for step in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values))

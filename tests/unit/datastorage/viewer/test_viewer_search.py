"""The search page of the viewer: what it finds, its links, its form, and what it says when there is nothing."""

import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from starlette.applications import Starlette
from tests.support.viewer_client import form_values, get, rows, search, store

from signal_gateway.clock import MovableClock, SystemClock
from signal_gateway.datastorage import create_datastorage
from signal_gateway.datastorage.backend import Page, QueryTooSlow
from signal_gateway.datastorage.query import EventQuery
from signal_gateway.datastorage.sqlite.backend import SqliteBackend
from signal_gateway.datastorage.verify import Verifications
from signal_gateway.datastorage.viewer import Viewer
from signal_gateway.testing import LiveServer

MakeEvent = Callable[..., dict[str, Any]]
Serve = Callable[..., httpx.Client]

FILTERS = {
    "correlation_id": "rr-9",
    "event_type": "t.wanted",
    "event_category": "c",
    "event_outcome": "failure",
    "severity": "s",
    "text": "NEEDLE",
    "resource_type": "Pod",
    "resource_name": "wanted-pod",
    "namespace": "prod",
    "actor_type": "user",
    "actor_id": "mira",
    "detail_key": "name",
    "detail_value": "this & that",
    "since": "2026-01-31T12:00:01Z",
    "until": "2026-01-31T12:00:01Z",
}


def wanted(make_event: MakeEvent, **members: Any) -> dict[str, Any]:
    exact = (
        "correlation_id",
        "event_type",
        "event_category",
        "event_outcome",
        "resource_type",
        "namespace",
        "actor_type",
        "actor_id",
    )
    plain = {name: FILTERS[name] for name in exact} | {"resource_id": "prod/wanted-pod"}
    return make_event(
        **(
            plain
            | {
                "severity": "s",
                "event_timestamp": FILTERS["since"],
                "detail": {"name": "this & that", "signal_name": "A needle"},
            }
            | members
        )
    )


def at(second: int) -> str:
    return f"2026-01-31T12:{second // 60:02}:{second % 60:02}Z"


def many(make_event: MakeEvent, count: int) -> list[dict[str, Any]]:
    return [make_event(event_type=f"t.{n}", event_timestamp=at(n // 3)) for n in range(count)]


def test_newest_come_first_and_lead_to_their_timeline(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(
        client,
        make_wire_event(event_type="t.old", event_timestamp=at(1), correlation_id="rr/1"),
        make_wire_event(event_type="t.new", event_timestamp=at(2), correlation_id="rr:2"),
    )

    page = search(client)

    assert rows(page) == ["t.new", "t.old"]
    assert page.one("h2", id="events-heading").words == "2 events"
    assert [time["datetime"] for row in page.all("td", class_="when") for time in row.all("time")] == [at(2), at(1)]
    links = page.all("a", class_="row")
    assert [get(client, link["href"].partition("#")[0]).one("h1").text for link in links] == ["rr:2", "rr/1"]


def test_actor_has_its_type(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(client, make_wire_event(actor_type="user", actor_id="mira.okafor"))

    assert [actor.words for actor in search(client).all("td", class_="actor")] == ["user mira.okafor"]


@pytest.mark.parametrize("name", [name for name in FILTERS if not name.startswith("detail")])
def test_each_filter_narrows_the_search_and_its_chip_takes_it_away(
    client: httpx.Client, make_wire_event: MakeEvent, name: str
) -> None:
    others: dict[str, dict[str, Any]] = {
        "since": {"event_timestamp": at(0)},
        "until": {"event_timestamp": at(2)},
        "event_outcome": {name: "pending"},
        "text": {"detail": {"name": "this & that"}},
        "resource_name": {"resource_id": "prod/other"},
    }
    other = others.get(name, {name: "other"})
    store(client, wanted(make_wire_event), wanted(make_wire_event, **{"event_type": "t.wanted"} | other))

    page = search(client, FILTERS)

    assert rows(page) == ["t.wanted"]
    chips = page.one("ul", class_="chips").all("a")
    without = [chip["href"] for chip in chips if name not in chip["href"] and chip["href"] != "./"]
    assert len(without) == 1
    assert len(rows(get(client, without[0]))) == 2


def test_payload_filter_is_one_chip(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(client, wanted(make_wire_event), wanted(make_wire_event, detail={"name": "other"}))

    page = search(client, detail_key="name", detail_value="this & that")

    assert len(rows(page)) == 1
    assert [chip.words for chip in page.one("ul", class_="chips").all("span")] == ["Payload name = this & that"]


def test_form_is_filled_with_what_was_asked_and_asks_it_again(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(client, wanted(make_wire_event), make_wire_event())

    page = search(client, FILTERS, limit="7")

    assert form_values(page) == FILTERS | {"limit": "7"}
    assert "open" in page.one("details", class_="more").attributes
    again = search(client, form_values(page))
    assert rows(again) == ["t.wanted"]


def test_empty_fields_of_a_form_are_no_filters(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(client, make_wire_event())

    page = search(client, dict.fromkeys(FILTERS, ""))

    assert len(rows(page)) == 1
    assert not page.all("ul", class_="chips")
    assert "open" not in page.one("details", class_="more").attributes


def test_pages_turn_to_the_end_and_back(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(client, *many(make_wire_event, 25))
    seen = [page := search(client, limit="10")]
    while older := page.all("a", rel="next"):
        seen.append(page := get(client, older[0]["href"]))

    back = [rows(page)]
    while newer := page.all("a", rel="prev"):
        back.append(rows(page := get(client, newer[0]["href"])))

    assert [len(rows(page)) for page in seen] == [10, 10, 5]
    assert [name for page in seen for name in rows(page)] == [f"t.{n}" for n in reversed(range(25))]
    assert all(page.one("h2", id="events-heading").words == "25 events" for page in seen)
    assert list(reversed(back)) == [rows(page) for page in seen]


def test_turning_back_to_the_start_shows_a_full_page(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(client, *many(make_wire_event, 12))
    second = get(client, search(client, limit="10").one("a", rel="next")["href"])
    store(client, *[make_wire_event(event_type="t.late", event_timestamp=at(200 + n)) for n in range(3)])

    first = get(client, second.one("a", rel="prev")["href"])
    newest = get(client, first.one("a", rel="prev")["href"])

    assert rows(first) == [f"t.{n}" for n in reversed(range(2, 12))]
    assert rows(newest) == ["t.late"] * 3 + [f"t.{n}" for n in reversed(range(5, 12))]
    assert not newest.all("a", rel="prev")


def test_page_past_the_last_event_leads_to_the_newest(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(client, make_wire_event())

    page = search(client, cursor="desc.0.0")

    assert page.one("section", class_="state").one("h2").text == "No older events"
    assert len(rows(get(client, page.one("section", class_="state").one("a")["href"]))) == 1


def test_relative_times_and_ranges(serve: Serve, make_wire_event: MakeEvent) -> None:
    client = serve(clock=MovableClock(datetime(2026, 1, 31, 12, 30, tzinfo=UTC)))
    store(
        client,
        make_wire_event(event_type="t.old", event_timestamp=at(1)),
        make_wire_event(event_timestamp="2026-01-31T12:29:00Z"),
    )

    page = search(client, since="15m", severity="")

    assert rows(page) == ["gateway.signal.received"]
    ranges = page.one("nav", class_="ranges").all("a")
    assert [link.words for link in ranges if "aria-current" in link.attributes] == ["15 min"]
    assert len(rows(get(client, ranges[1]["href"]))) == 2


def test_a_clock_that_was_ahead_is_shown(serve: Serve, make_wire_event: MakeEvent) -> None:
    client = serve(clock=MovableClock(datetime(2026, 1, 31, 12, tzinfo=UTC)))
    store(
        client,
        make_wire_event(event_timestamp="2026-01-31T14:30:00Z"),
        make_wire_event(event_timestamp="2026-01-31T12:30:00Z"),
    )

    page = search(client)

    assert [badge.words for badge in page.all("span", class_="warn")] == ["clock 2 h 30 min ahead"]


@pytest.mark.parametrize(
    ("parameters", "field", "says"),
    [
        ("since=yesterday&severity=s", "since", "Since (UTC) must be an RFC 3339 time"),
        ("until=2026-02-30&severity=s", "until", "Until (UTC) is not a valid time"),
        ("event_outcome=maybe&severity=s", "event_outcome", "Outcome must be one of success, failure, pending"),
        ("detail_key=a&severity=s", "detail_value", "Payload value is missing"),
        ("limit=0&severity=s", None, "'limit' must be a whole number from 1 to 1000"),
        ("cursor=x&severity=s", None, "'cursor' must be"),
        ("colour=red&severity=s", None, "'colour' is not a parameter of this page"),
        ("self=1&severity=s", None, "'self' is not a parameter of this page"),
        ("order=asc&severity=s", None, "'order' is not a parameter of this page"),
        ("severity=s&severity=t", "severity", "Severity is given more than once"),
    ],
)
def test_wrong_parameter_is_refused_and_the_form_keeps_what_was_given(
    client: httpx.Client, make_wire_event: MakeEvent, parameters: str, field: str | None, says: str
) -> None:
    store(client, make_wire_event(severity="s"))

    page = get(client, f"?{parameters}", status=400)

    assert page.one("section", role="alert").words.count(says) == 1
    assert form_values(page)["severity"] in ("s", "t")
    marked = [element["name"] for tag in ("input", "select") for element in page.all(tag, **{"aria-invalid": "true"})]
    assert marked == ([field] if field else [])
    if field:
        assert says in page.one("p", id=f"{field}-fault").text
        assert form_values(page)[field] == dict(parse_qsl(parameters)).get(field, "")
    get(client, page.one("section", role="alert").one("a")["href"])


def test_empty_datastorage_says_how_to_send_an_event(client: httpx.Client) -> None:
    page = search(client, since="24h", event_outcome="failure")

    assert page.one("section", class_="state").one("h2").text == "No events yet"
    command = page.one("pre", id="example").text
    assert command.startswith(f"curl {client.base_url}/api/v1/audit/events ".replace("//api", "/api"))
    event = json.loads(command.partition("-d '")[2].removesuffix("'"))
    assert client.post("/api/v1/audit/events", json=event).status_code == 201
    assert rows(search(client)) == ["example.greeting.sent"]


def test_no_match_says_which_filter_to_drop(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(client, *(make_wire_event(severity="s") for _ in range(3)))

    page = search(client, severity="s", correlation_id="rr-1", event_outcome="failure")

    remedies = page.one("section", class_="state").all("li")
    assert [remedy.words for remedy in remedies] == ["without Outcome failure there are 3 events"]
    assert len(rows(get(client, remedies[0].one("a")["href"]))) == 3


def test_no_match_through_several_filters_offers_to_clear_them(
    client: httpx.Client, make_wire_event: MakeEvent
) -> None:
    store(client, make_wire_event())

    page = search(client, severity="x", correlation_id="y")

    assert page.one("section", class_="state").one("a")["href"] == "./"


def test_broken_database_is_a_page_that_keeps_the_form(tmp_path: Path, make_wire_event: MakeEvent) -> None:
    app = create_datastorage(f"sqlite:///{tmp_path}/audit.db").app
    with LiveServer(app, name="DataStorage", lifespan="on") as server:
        store(server.client, make_wire_event())
        sqlite3.connect(tmp_path / "audit.db").execute("DROP TABLE audit_events").connection.close()

        answer = server.client.get("/?severity=a%26b")
        page = search(server.client, severity="a&b", status=503)
        get(server.client, "correlations?correlation_id=x", status=503)
        api = server.client.get("/api/v1/audit/events")

    assert answer.headers["Retry-After"] == "1"
    assert form_values(page)["severity"] == "a&b"
    assert page.one("section", role="alert").one("a")["href"] == "?severity=a%26b"
    assert "audit_events" not in answer.text
    assert api.headers["Content-Type"] == "application/problem+json"


class SlowBackend(SqliteBackend):
    """One whose queries are all given up."""

    async def query(self, query: EventQuery) -> Page:
        raise QueryTooSlow(f"given up: {query}")


def test_slow_search_offers_a_shorter_time(tmp_path: Path) -> None:
    backend = SlowBackend(tmp_path / "audit.db")
    viewer = Viewer(backend=backend, clock=SystemClock(), verifications=Verifications(backend, clock=SystemClock()))
    with LiveServer(Starlette(routes=viewer.routes()), name="viewer") as server:
        page = search(server.client, severity="s", status=503)

    links = page.one("section", role="alert").all("a")
    assert [link["href"] for link in links] == ["./?severity=s&since=1h", "./?severity=s&since=24h"]


def test_datastorage_without_lifespan_says_so(tmp_path: Path) -> None:
    app = create_datastorage(f"sqlite:///{tmp_path}/audit.db").app
    answers = []

    async def without_lifespan(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await app(scope, receive, send)

    with LiveServer(without_lifespan, name="DataStorage", lifespan="auto") as server:
        answers.append(search(server.client, status=503))

    assert answers[0].one("section", role="alert").one("h2").text == "This DataStorage is not running"


def test_link_to_a_search_finds_the_same_events_later(serve: Serve, make_wire_event: MakeEvent) -> None:
    clock = MovableClock(datetime(2026, 1, 31, 12, 10, tzinfo=UTC))
    client = serve(clock=clock)
    store(client, *(make_wire_event(event_type=f"t.{n}", event_timestamp=at(60 * n)) for n in (0, 5, 8)))
    page = search(client, since="6m", event_outcome="success")
    clock.advance(3600)
    store(client, make_wire_event(event_type="t.later", event_timestamp="2026-01-31T13:09:00Z"))

    link = page.one("a", id="permalink")["href"]

    assert rows(page) == ["t.8", "t.5"]
    assert rows(get(client, link)) == ["t.8", "t.5"]
    assert rows(search(client, since="6m", event_outcome="success")) == ["t.later"]


def test_link_to_a_search_without_since_ends_now(serve: Serve, make_wire_event: MakeEvent) -> None:
    client = serve(clock=MovableClock(datetime(2026, 1, 31, 12, 10, tzinfo=UTC)))
    store(client, make_wire_event(event_timestamp="2026-01-31T12:11:00Z"))  # of a clock that is ahead

    link = search(client).one("a", id="permalink")["href"]

    assert dict(parse_qsl(link.partition("?")[2])) == {"until": "2026-01-31T12:11:00Z"}
    assert len(rows(get(client, link))) == 1

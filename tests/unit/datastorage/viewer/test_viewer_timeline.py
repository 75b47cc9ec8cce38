"""One correlation id as a timeline."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from tests.support.viewer_client import form_values, get, search, store, timeline

from signal_gateway.clock import MovableClock
from signal_gateway.datastorage.viewer.times import span_text

MakeEvent = Callable[..., dict[str, Any]]
Serve = Callable[..., httpx.Client]


@pytest.fixture
def viewer(serve: Serve) -> httpx.Client:
    return serve(clock=MovableClock(datetime(2026, 1, 31, 12, 0, 10, tzinfo=UTC)))


def test_oldest_come_first_with_the_time_since_the_first(viewer: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(
        viewer,
        make_wire_event(event_type="t.c", event_timestamp="2026-01-31T12:00:09.25Z", event_outcome="failure"),
        make_wire_event(event_type="t.a", event_timestamp="2026-01-31T12:00:00Z"),
        make_wire_event(event_type="t.b", event_timestamp="2026-01-31T12:00:00.018Z"),
        make_wire_event(event_type="t.other", correlation_id="rr-2"),
    )

    page = timeline(viewer, "rr-1")

    assert [title.words for title in page.one("ol", class_="timeline").all("h2")] == ["t.a", "t.b", "t.c"]
    assert [offset.words for offset in page.all("p", class_="offset")] == ["+0 s", "+18 ms", "+9.2 s"]
    facts = {one.one("dt").words: one.one("dd").words for one in page.all("dl", class_="facts")[0].all("div")}
    assert facts["Events"] == "3"
    assert facts["Outcomes"] == "failure 1 success 2"
    assert facts["Span"] == "9.2 s"


@pytest.mark.parametrize(
    "correlation_id",
    ["a/b/../c", "a:b", "Ω-ü-日本-🚑", "?#&=%+;", " padded ", "%2F%00", '"><script>x</script>', "x" * 255, "'", "self"],
)
def test_any_correlation_id_has_its_page(viewer: httpx.Client, make_wire_event: MakeEvent, correlation_id: str) -> None:
    store(viewer, make_wire_event(correlation_id=correlation_id), make_wire_event())

    link = search(viewer, correlation_id=correlation_id).one("a", class_="row")["href"]
    page = get(viewer, link.partition("#")[0])

    assert page.one("h1").text == correlation_id
    assert link.partition("#")[2] in [item.attributes.get("id") for item in page.one("ol", class_="timeline").all("li")]


@pytest.mark.slow
def test_thousands_of_events_come_in_pages_both_ways(viewer: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(viewer, *(make_wire_event(event_type=f"t.{n}") for n in range(2345)))
    seen = [page := timeline(viewer, "rr-1", limit="1000")]
    while later := page.all("a", rel="next"):
        seen.append(page := get(viewer, later[0]["href"]))
    titles = [[title.words for title in page.one("ol", class_="timeline").all("h2")] for page in seen]

    earlier = get(viewer, seen[-1].one("a", rel="prev")["href"])

    assert [len(page) for page in titles] == [1000, 1000, 345]
    assert [title for page in titles for title in page] == [f"t.{n}" for n in range(2345)]
    assert [title.words for title in earlier.one("ol", class_="timeline").all("h2")] == titles[1]


def test_actor_resource_and_error_are_shown(viewer: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(
        viewer,
        make_wire_event(
            event_outcome="failure", actor_type="user", actor_id="mira", actor_ip="10.0.0.7", resource_type="Pod",
            resource_id="prod/api-1", namespace="prod", cluster_id="eu-1", severity="critical", duration_ms=1500,
            error_code="Timeout", error_message="no answer", parent_event_id="01932c3e-8a00-7000-8000-000000000000",
        ),
    )  # fmt: skip

    article = timeline(viewer, "rr-1").one("article")

    facts = {one.one("dt").words: one.one("dd").words for one in article.one("dl").all("div")}
    assert facts["Actor"] == "user mira 10.0.0.7"
    assert facts["Resource"] == "Pod prod/api-1"
    assert (facts["Namespace"], facts["Cluster"], facts["Took"]) == ("prod", "eu-1", "1.5 s")
    assert facts["Caused by event"] == "01932c3e-8a00-7000-8000-000000000000"
    assert article.one("p", class_="error").words == "Timeout no answer"


def test_payload_is_indented_json_behind_a_fold(viewer: httpx.Client, make_wire_event: MakeEvent) -> None:
    event = make_wire_event(detail={"text": "<b>&amp;</b>", "list": [1, 2.5, None], "deep": {"ü": True}})
    store(viewer, event)

    payload = timeline(viewer, "rr-1").one("details", class_="payload")

    assert json.loads(payload.one("pre").text) == event["event_data"]
    assert '\n  "deep": {\n    "ü": true\n  }' in payload.one("pre").text
    assert "open" not in payload.attributes
    assert payload.one("button")["data-copy"] == payload.one("pre")["id"]


def test_sensitive_payload_is_behind_a_note(viewer: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(viewer, make_wire_event(is_sensitive=True), make_wire_event(is_sensitive=False), make_wire_event())

    payloads = timeline(viewer, "rr-1").all("details", class_="payload")

    assert ["data-sensitive" in payload.attributes for payload in payloads] == [True, False, False]
    assert ["sensitive" in payload.one("summary").text for payload in payloads] == [True, False, False]
    assert not any("open" in payload.attributes for payload in payloads)


def test_long_payload_is_cut_and_leads_to_the_whole(viewer: httpx.Client, make_wire_event: MakeEvent) -> None:
    event = make_wire_event(correlation_id="a/b&c", detail={"text": "x" * 200_000})
    store(viewer, event)

    payload = timeline(viewer, "a/b&c").one("details", class_="payload")

    assert len(payload.one("pre").text) == 32 * 1024
    answer = viewer.get("/" + payload.one("a")["href"]).json()
    assert [found["event_data"] for found in answer["data"]] == [event["event_data"]]


def test_late_arrival_and_a_clock_ahead_are_shown(viewer: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(
        viewer,
        make_wire_event(event_type="t.late", event_timestamp="2026-01-31T09:00:00Z"),
        make_wire_event(event_type="t.prompt", event_timestamp="2026-01-31T12:00:09Z"),
        make_wire_event(event_type="t.ahead", event_timestamp="2026-01-31T15:00:10Z"),
    )

    late, prompt, ahead = timeline(viewer, "rr-1").all("article")

    assert "Received 2026-01-31 12:00:10.000, 3 h later" in late.one("dl").words
    assert "Received" not in prompt.one("dl").words
    assert "Received 2026-01-31 12:00:10.000" in ahead.one("dl").words
    assert ahead.one("span", class_="warn").words == "clock 3 h ahead"


def test_unknown_correlation_is_a_404_page(viewer: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(viewer, make_wire_event())

    page = timeline(viewer, "rr-<2>", status=404)

    assert page.one("section", class_="state").one("p", class_="id").words == "rr-<2>"
    assert form_values(page)["correlation_id"] == "rr-<2>"
    timeline(viewer, "with\0nul", status=404)
    timeline(viewer, "x" * 300, status=404)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("", "Correlation id is missing"),
        ("correlation_id=", "Correlation id is missing"),
        ("correlation_id=a&correlation_id=b", "Correlation id is given more than once"),
        ("correlation_id=a&since=1h", "Since (UTC) is not a parameter of this page"),
        ("correlation_id=a&cursor=never", "'cursor' must be"),
    ],
)
def test_wrong_timeline_is_refused(viewer: httpx.Client, query: str, says: str) -> None:
    page = get(viewer, f"correlations?{query}", status=400)

    assert says in page.one("section", role="alert").words


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (0, "0 s"), (7, "7 µs"), (18_400, "18 ms"), (999_999, "999 ms"), (1_240_000, "1.2 s"), (59_999_999, "59.9 s"),
        (60_000_000, "1 min"), (151_000_000, "2 min 31 s"), (3_600_000_000, "1 h"), (7_980_000_000, "2 h 13 min"),
        (90_000_000_000, "1 d 1 h"), (86_400_000_000 * 400, "400 d"), (-1_500_000, "\N{MINUS SIGN}1.5 s"),
    ],
)  # fmt: skip
def test_spans_have_two_units_at_the_most(microseconds: int, text: str) -> None:
    assert span_text(microseconds) == text


def test_workload_and_alert_of_a_gateways_event_are_named(viewer: httpx.Client, make_wire_event: MakeEvent) -> None:
    detail = {
        "signal_name": "HighLatency", "resource_kind": "Deployment", "resource_name": "payment-api", "namespace": "prod"
    }  # fmt: skip
    store(viewer, make_wire_event(resource_type="Signal", resource_id="5f" * 32, detail=detail))

    found, page = search(viewer), timeline(viewer, "rr-1")

    assert found.one("td", class_="resource").words == "Deployment prod/payment-api"
    assert found.one("span", class_="alert").words == "HighLatency"
    for facts in page.all("dl", class_="facts"):
        named = {one.one("dt").words: one.one("dd").words for one in facts.all("div")}
        assert (named["Resource"], named["Alert"]) == ("Deployment prod/payment-api", "HighLatency")


def test_payload_that_names_no_workload_leaves_the_resource(viewer: httpx.Client, make_wire_event: MakeEvent) -> None:
    detail = {"signal_name": 7, "resource_kind": ["Deployment"], "resource_name": "payment-api"}
    store(viewer, make_wire_event(resource_type="Order", resource_id="o-1", detail=detail))

    found = search(viewer)

    assert found.one("td", class_="resource").words == "Order o-1"
    assert found.all("span", class_="alert") == []

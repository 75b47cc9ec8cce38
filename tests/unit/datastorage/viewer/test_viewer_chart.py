"""The chart over time: its numbers, its links, and what it says to those who don't see it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from tests.support.viewer_client import get, rows, search, store

from signal_gateway.clock import MovableClock
from signal_gateway.datastorage.viewer import chart, pages

MakeEvent = Callable[..., dict[str, Any]]
Serve = Callable[..., httpx.Client]

NOW = datetime(2026, 1, 31, 13, tzinfo=UTC)


@pytest.fixture
def viewer(serve: Serve) -> httpx.Client:
    return serve(clock=MovableClock(NOW))


def hour(make_event: MakeEvent) -> list[dict[str, Any]]:
    """120 events of an hour, some on the edges of columns; every third is a failure, some are pending."""
    return [
        make_event(
            event_timestamp=f"2026-01-31T12:{n // 2:02}:{n % 2 * 30:02}Z",
            event_outcome="failure" if n % 3 == 0 else "pending" if n % 5 == 0 else "success",
        )
        for n in range(120)
    ]


def test_columns_count_every_event_and_lead_to_exactly_theirs(viewer: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(viewer, *hour(make_wire_event), make_wire_event(severity="other"))

    page = search(viewer, since="1h", event_category="gateway", limit="1000")
    table = [
        [cell.words for cell in (*row.all("th"), *row.all("td"))]
        for row in page.one("table", class_="numbers").all("tr")
    ]
    links = page.one("svg", role="group").all("a")

    assert table[0] == ["From (UTC)", "success", "pending", "failure", "all"]
    numbers = [[int(cell) for cell in row[1:]] for row in table[1:]]
    assert [sum(column) for column in zip(*numbers, strict=True)] == [65, 16, 40, 121]
    for link, row in zip(links, numbers, strict=True):
        narrowed = get(viewer, link["href"])
        assert len(rows(narrowed)) == row[-1]
        narrowed.one("section", class_="chart")
        outcomes = [cell.words for cell in narrowed.all("td", class_="what-came")]
        assert [outcomes.count(name) for name in table[0][1:4]] == row[:3]


def test_heights_are_in_proportion_and_stacked_from_the_ground(
    viewer: httpx.Client, make_wire_event: MakeEvent
) -> None:
    outcomes = ["success"] * 6 + ["failure"] * 2
    store(
        viewer,
        *(make_wire_event(event_timestamp="2026-01-31T12:30:00Z", event_outcome=outcome) for outcome in outcomes),
    )

    svg = search(viewer, since="1h").one("svg", role="group")
    parts = [(int(part["y"]), int(part["height"])) for part in svg.one("a").all("rect")[1:]]

    assert parts == [(76, 24), (4, 72)]


def test_one_failure_among_thousands_is_visible(viewer: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(
        viewer,
        *(make_wire_event() for _ in range(1999)),
        make_wire_event(event_outcome="failure"),
        make_wire_event(event_outcome="pending"),
    )

    parts = search(viewer).one("svg", role="group").one("a").all("rect")[1:]

    assert [int(part["height"]) for part in parts] == [2, 2, 96]
    assert min(int(part["y"]) for part in parts) >= 0


def test_chart_has_a_title_a_description_and_named_links(viewer: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(viewer, *hour(make_wire_event))

    svg = search(viewer, since="1h").one("svg", role="group")

    assert svg["aria-labelledby"] == "chart-title chart-desc"
    assert svg.one("title", id="chart-title").words == "Number of events over time"
    described = svg.one("desc", id="chart-desc").words
    assert described.startswith(
        "2026-01-31 12:00:00.000 to 2026-01-31 13:00:00.000 UTC, in bars of 2 min. The highest has 4 events"
    )
    assert "40 failure, 16 pending, 64 success." in described
    assert all("event" in link["aria-label"] and link.one("title").words for link in svg.all("a"))


def test_chart_without_since_begins_with_the_first_event(viewer: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(viewer, make_wire_event(event_timestamp="2024-01-31T12:00:00Z"), *hour(make_wire_event))

    chart_section = search(viewer, severity="").one("section", class_="chart")

    assert chart_section.one("p", class_="axis-labels").all("span")[0].text == "2024-01-31 12:00:00.000 UTC"
    assert [row.all("td")[-1].words for row in chart_section.one("table").all("tr")[1:]] == ["1", "120"]


def test_chart_goes_on_to_an_event_of_a_clock_that_is_a_little_ahead(
    viewer: httpx.Client, make_wire_event: MakeEvent
) -> None:
    store(viewer, *hour(make_wire_event), make_wire_event(event_timestamp="2026-01-31T13:00:01Z"))

    section = search(viewer, since="1h").one("section", class_="chart")

    assert section.one("p", class_="axis-labels").all("span")[1].text == "2026-01-31 13:00:01.000 UTC"
    assert section.one("table").all("tr")[-1].all("td")[-1].words == "1"


def test_events_far_ahead_are_told_apart(viewer: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(viewer, *hour(make_wire_event), make_wire_event(event_timestamp="9999-12-31T00:00:00Z"))

    section = search(viewer, since="1h").one("section", class_="chart")

    assert section.one("p", class_="axis-labels").all("span")[1].text == "2026-01-31 13:00:00.000 UTC"
    told = section.one("p", class_="warn").words
    assert told == "Not in the chart: 1 event with a time in the future, from a clock that was ahead."


def test_events_later_than_now_only_have_no_chart(viewer: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(viewer, make_wire_event(event_timestamp="2027-01-31T12:00:00Z"))

    page = search(viewer, since="1h")

    assert len(rows(page)) == 1
    assert not page.all("section", class_="chart")


def test_too_many_events_have_no_chart_but_a_hint(
    viewer: httpx.Client, make_wire_event: MakeEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MAX_CHARTED_EVENTS", 119)
    store(viewer, *hour(make_wire_event))

    page = search(viewer)

    assert not page.all("svg", role="group")
    assert "Choose a time range" in page.one("div", id="results").text


@pytest.mark.parametrize(
    "span", [0, 1, 999, 10**6, 59 * 10**6, 3_600_000_000, 86_400_000_000, 9998 * 31_556_952 * 10**6]
)
def test_no_span_makes_more_columns_than_can_be_seen(span: int) -> None:
    width = chart._width(span)

    assert span // width < 60
    assert width == 1000 or span // width >= 17 or span < 60_000


def test_outer_columns_stay_within_the_search(viewer: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(viewer, *hour(make_wire_event))

    links = search(viewer, since="2026-01-31T12:03:17Z", until="2026-01-31T12:57:01Z").one("svg", role="group").all("a")

    assert "since=2026-01-31T12%3A03%3A17Z" in links[0]["href"]
    assert "until=2026-01-31T12%3A57%3A01Z" in links[-1]["href"]


def test_keyboard_meets_one_bar_of_the_chart_before_the_events(
    viewer: httpx.Client, make_wire_event: MakeEvent
) -> None:
    store(viewer, *hour(make_wire_event))

    bars = search(viewer, since="1h").one("svg", role="group").all("a")

    assert len(bars) == 30
    assert [bar["tabindex"] for bar in bars] == ["-1"] * (len(bars) - 1) + ["0"]

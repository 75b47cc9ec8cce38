"""The list of cases in the viewer: one row for each correlation id, filters, and the way to the timeline."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from tests.support.html_tree import Element
from tests.support.viewer_client import get, search, store

MakeEvent = Callable[..., dict[str, Any]]


def at(second: int) -> str:
    return f"2026-01-31T12:{second // 60:02}:{second % 60:02}Z"


def of_a_gateway(make_event: MakeEvent, correlation_id: str, second: int, **members: Any) -> dict[str, Any]:
    """An event as a gateway sends it, about the Deployment prod/payment-api."""
    return make_event(
        **{
            "correlation_id": correlation_id,
            "event_timestamp": at(second),
            "resource_type": "Deployment",
            "resource_id": "prod/payment-api",
            "namespace": "prod",
            "severity": "critical",
            "detail": {"signal_name": "HighLatency"},
            **members,
        }
    )


def cells(page: Element) -> list[list[str]]:
    return [[cell.words for cell in row.all("td")] for row in page.one("table", class_="cases").one("tbody").all("tr")]


def cases(client: httpx.Client, **parameters: str) -> Element:
    return get(client, str(httpx.URL("cases", params=parameters)))


def test_case_is_one_row_with_its_workload_and_its_failures(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(
        client,
        of_a_gateway(make_wire_event, "rr-1", 0),
        of_a_gateway(make_wire_event, "rr-1", 90, event_outcome="failure"),
        make_wire_event(correlation_id="order-7", event_timestamp=at(30), resource_type="Order", resource_id="7"),
    )

    page = cases(client)

    assert page.one("h2", id="cases-heading").words == "2 cases"
    rows = cells(page)
    assert [row[-1] for row in rows] == ["rr-1", "order-7"]
    assert rows[0][1:5] == ["failure", "Deployment prod/payment-api", "HighLatency critical", "2 1 failure"]
    assert rows[0][5].endswith("1 min 30 s before")
    assert [row[1] for row in rows] == ["failure", "success"]


def test_row_leads_to_the_timeline_of_the_case(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(client, make_wire_event(correlation_id="a/b?&=1"), make_wire_event(correlation_id="a/b?&=1"))

    page = get(client, cases(client).one("a", class_="row")["href"])

    assert page.one("h1").text == "a/b?&=1"


def test_filters_of_the_search_find_cases_and_the_lists_lead_to_each_other(
    client: httpx.Client, make_wire_event: MakeEvent
) -> None:
    store(client, of_a_gateway(make_wire_event, "rr-1", 0), make_wire_event(correlation_id="rr-2"))

    found = search(client, text="PAYMENT")
    page = get(client, found.one("nav", class_="lists").all("a")[1]["href"])
    back = get(client, page.one("nav", class_="lists").all("a")[0]["href"])

    assert [row[-1] for row in cells(page)] == ["rr-1"]
    assert page.one("ul", class_="chips").all("span")[0].words == "Name contains PAYMENT"
    assert page.one("form", class_="search")["action"] == "cases"
    assert back.one("h2", id="events-heading").words == "1 event"


def test_many_cases_come_in_pages(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(client, *(make_wire_event(correlation_id=f"rr-{n}", event_timestamp=at(n)) for n in range(25)))

    seen = [page := cases(client, limit="10")]
    while older := page.all("a", rel="next"):
        seen.append(page := get(client, older[0]["href"]))

    assert [row[-1] for page in seen for row in cells(page)] == [f"rr-{n}" for n in reversed(range(25))]
    latest = get(client, seen[-1].one("nav", class_="turn").one("a")["href"])
    assert cells(latest)[0][-1] == "rr-24"


def test_no_case_says_which_filter_to_remove(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(client, make_wire_event())

    page = cases(client, namespace="elsewhere")

    assert page.one("section", class_="state").one("h2").words == "No event matches"


@pytest.mark.parametrize("given", [{"since": "yesterday"}, {"nonsense": "1"}])
def test_invalid_search_of_cases_is_refused(client: httpx.Client, given: dict[str, str]) -> None:
    page = get(client, str(httpx.URL("cases", params=given)), status=400)

    assert page.one("section", role="alert").one("h2").words == "Invalid search"

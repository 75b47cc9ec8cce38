"""The verification of the trail on the pages of the viewer."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from tests.support.html_tree import Element
from tests.support.sealed_events import sql
from tests.support.viewer_client import get, search, store, timeline

from signal_gateway.clock import MovableClock

MakeEvent = Callable[..., dict[str, Any]]
Serve = Callable[..., httpx.Client]

NOW = datetime(2026, 1, 31, 13, tzinfo=UTC)


@pytest.fixture
def viewer(serve: Serve) -> httpx.Client:
    return serve(clock=MovableClock(NOW))


def said(page: Element) -> str:
    return page.one("a", class_="verification").words


def verify(client: httpx.Client) -> Element:
    answer = client.get("/integrity?verify=now", follow_redirects=False)
    assert answer.status_code == 303
    return get(client, answer.headers["location"])


def test_trail_that_was_never_verified_is_not_called_complete(viewer: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(viewer, make_wire_event())

    assert said(search(viewer)) == "trail not verified yet"
    assert get(viewer, "integrity").one("section").one("h2").words == "Not verified yet"


def test_each_page_says_up_to_when_the_trail_is_complete(viewer: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(viewer, make_wire_event(), make_wire_event())

    page = verify(viewer)

    assert page.one("section").one("h2").words == "Complete and unaltered"
    facts = {one.one("dt").words: one.one("dd").words for one in page.one("dl", class_="facts").all("div")}
    assert facts["Events"] == "2"
    for shown in (page, search(viewer), timeline(viewer, "rr-1")):
        assert said(shown) == "trail complete and unaltered up to 2026-01-31 13:00:00 UTC, verified 13:00 UTC"


def test_each_page_says_when_the_trail_was_verified(serve: Serve, make_wire_event: MakeEvent) -> None:
    clock = MovableClock(NOW)
    client = serve(clock=clock)
    store(client, make_wire_event())
    clock.advance(20 * 60)
    verify(client)
    clock.advance(24 * 3600)  # nothing was verified since

    today = said(search(client))
    verify(client)
    later = said(search(client))

    assert today == "trail complete and unaltered up to 2026-01-31 13:00:00 UTC, verified 13:20 UTC"
    assert later == "trail complete and unaltered up to 2026-01-31 13:00:00 UTC, verified 2026-02-01 13:20 UTC"


def test_checkpoint_of_the_page_is_the_one_of_the_api(viewer: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(viewer, make_wire_event())

    checkpoint = verify(viewer).one("pre", id="checkpoint").text
    answer = viewer.get("/api/v1/audit/verify", params={"checkpoint": checkpoint}).json()

    assert answer["unaltered"] is True


def test_verification_by_the_api_is_shown_too(viewer: httpx.Client, make_wire_event: MakeEvent) -> None:
    store(viewer, make_wire_event())

    viewer.get("/api/v1/audit/verify").raise_for_status()

    assert said(search(viewer)).startswith("trail complete and unaltered up to")


def test_altered_event_is_on_every_page(viewer: httpx.Client, make_wire_event: MakeEvent, database: str) -> None:
    store(viewer, make_wire_event(event_outcome="failure"), make_wire_event())
    sql(database, "UPDATE audit_events SET event_outcome = 'success'")

    page = verify(viewer)

    assert "event_outcome" in page.one("section", role="alert").words
    assert said(search(viewer)) == "The trail was altered, verified 2026-01-31 13:00 UTC"


def test_wrong_checkpoint_of_one_reader_is_no_alteration_for_all(
    viewer: httpx.Client, make_wire_event: MakeEvent
) -> None:
    store(viewer, make_wire_event())
    verify(viewer)
    checkpoint = viewer.get("/api/v1/audit/verify").json()["checkpoint"] | {"hash": "00" * 32}

    answer = viewer.get("/api/v1/audit/verify", params={"checkpoint": json.dumps(checkpoint)}).json()

    assert answer["unaltered"] is False
    assert said(search(viewer)).startswith("trail complete and unaltered")


def test_empty_trail_is_complete(viewer: httpx.Client) -> None:
    assert said(verify(viewer)) == "trail complete and unaltered, verified 2026-01-31 13:00 UTC"

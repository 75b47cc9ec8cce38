"""The total of a query: exact up to a number of events that are read for it, and a lower bound beyond."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
import pytest_asyncio

from signal_gateway.datastorage.backend import Backend
from signal_gateway.datastorage.query import EventQuery, Position
from signal_gateway.datastorage.record import rows_of

MakeEvent = Callable[..., dict[str, Any]]


@pytest_asyncio.fixture
async def filled(backend: Backend, make_wire_event: MakeEvent) -> Backend:
    """Twelve events: six of each type, every third a failure, every fourth in the namespace prod."""
    documents = [
        make_wire_event(
            event_type="odd" if number % 2 else "even",
            event_outcome="failure" if number % 3 == 0 else "success",
            namespace="prod" if number % 4 == 0 else "test",
            event_timestamp=f"2026-01-31T12:00:{number:02}Z",
            detail={"number": number},
        )
        for number in range(12)
    ]
    rows = rows_of(documents, received_at=0)
    assert rows is not None
    await backend.insert(rows)
    return backend


async def total(backend: Backend, **query: Any) -> tuple[int, bool]:
    page = await backend.query(EventQuery(**query))
    return page.total, page.total_is_exact


@pytest.mark.parametrize(
    ("filters", "matches"),
    [
        ({}, 12),
        ({"event_type": "odd"}, 6),
        ({"event_type": "odd", "event_outcome": "failure"}, 2),
        ({"namespace": "prod"}, 3),
        ({"event_type": "even", "namespace": "prod", "event_outcome": "failure"}, 1),
        ({"detail": ("number", "7")}, 1),
        ({"text": "rr-"}, 12),
        ({"event_type": "none"}, 0),
    ],
)
@pytest.mark.asyncio
async def test_total_is_exact_up_to_the_limit_and_without_one(
    filled: Backend, filters: dict[str, Any], matches: int
) -> None:
    assert await total(filled, **filters) == (matches, True)
    assert await total(filled, **filters, count_limit=24) == (matches, True)
    assert await total(filled, **filters, count_limit=None) == (matches, True)


@pytest.mark.asyncio
async def test_total_of_one_filter_ends_at_the_limit(filled: Backend) -> None:
    assert await total(filled, count_limit=11, limit=3) == (11, False)
    assert await total(filled, event_type="odd", count_limit=5, limit=3) == (5, False)
    assert await total(filled, event_type="odd", count_limit=6, limit=3) == (6, True)


@pytest.mark.asyncio
async def test_total_examines_the_events_of_the_rarest_filter(filled: Backend) -> None:
    wanted: dict[str, Any] = {"event_type": "odd", "event_outcome": "failure", "limit": 1}

    assert await total(filled, **wanted, count_limit=8) == (2, True)  # four failures are read, of six odd events


@pytest.mark.asyncio
async def test_total_beyond_the_limit_is_never_less_than_what_was_read(filled: Backend) -> None:
    wanted: dict[str, Any] = {"namespace": "test", "order": "asc"}

    assert await total(filled, **wanted, count_limit=4) == (9, False)
    assert await total(filled, **wanted, count_limit=4, limit=4) == (5, False)
    assert await total(filled, **wanted, count_limit=4, limit=2, offset=4) == (7, False)
    assert await total(filled, **wanted, count_limit=4, after=Position(2**60, 1)) == (2, False)


@pytest.mark.asyncio
async def test_page_is_the_same_with_every_limit(filled: Backend) -> None:
    wanted: dict[str, Any] = {"event_outcome": "success", "namespace": "test"}
    pages = [await filled.query(EventQuery(**wanted, count_limit=limit)) for limit in (1, 5, None)]

    assert pages[0].events == pages[1].events == pages[2].events
    assert {page.has_more for page in pages} == {False}


def test_api_says_whether_a_total_is_exact(client: httpx.Client, make_wire_event: MakeEvent) -> None:
    batch = [make_wire_event() for _ in range(1000)]
    for number in range(11):
        fresh = [document | {"event_id": f"{number:08x}-0000-7000-8000-{at:012x}"} for at, document in enumerate(batch)]
        client.post("/api/v1/audit/events/batch", json=fresh).raise_for_status()

    bounded = client.get("/api/v1/audit/events", params={"limit": 1}).json()["pagination"]
    exact = client.get("/api/v1/audit/events", params={"limit": 1, "total": "exact"}).json()["pagination"]

    assert (bounded["total"], bounded["total_is_exact"], bounded["has_more"]) == (10_000, False, True)
    assert (exact["total"], exact["total_is_exact"]) == (11_000, True)
    assert client.get("/api/v1/audit/events", params={"total": "some"}).status_code == 400
    assert "11,000 events" in client.get("/").text  # the viewer counts as many as a chart shows

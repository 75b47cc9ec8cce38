"""Legal holds in the database: the first hold of a case stays until its release, whichever replica gets the next."""

import asyncio

import pytest
from tests.support.datastorage_backends import opened
from tests.support.sealed_events import sealed_row

from signal_gateway.datastorage.backend import Backend, LegalHold
from signal_gateway.datastorage.query import EventQuery

pytestmark = pytest.mark.asyncio

FIRST = LegalHold("c-1", "a claim", "ada", 1)
OTHER = LegalHold("c-1", "an appeal", "bob", 2)


async def events_of(backend: Backend, correlation_id: str) -> int:
    return (await backend.query(EventQuery(correlation_id=correlation_id))).total


async def test_second_hold_changes_nothing_and_returns_the_first(backend: Backend) -> None:
    await backend.insert([sealed_row(1)])

    first = await backend.place_hold(FIRST, sealed_row(11, correlation_id="c-1"))
    second = await backend.place_hold(OTHER, sealed_row(12, correlation_id="c-1"))

    assert first is not None
    assert second is not None
    assert (first.hold, first.is_new) == (FIRST, True)
    assert (second.hold, second.is_new) == (FIRST, False)
    assert await backend.holds() == [FIRST]
    assert await events_of(backend, "c-1") == 2


async def test_hold_after_a_release_is_new(backend: Backend) -> None:
    await backend.insert([sealed_row(1)])
    await backend.place_hold(FIRST, sealed_row(11, correlation_id="c-1"))
    await backend.release_hold("c-1", sealed_row(12, correlation_id="c-1"))

    again = await backend.place_hold(OTHER, sealed_row(13, correlation_id="c-1"))

    assert again is not None
    assert (again.hold, again.is_new) == (OTHER, True)
    assert await backend.holds() == [OTHER]


async def test_two_replicas_that_place_different_holds_agree_on_one(database: str) -> None:
    async with opened(database) as one, opened(database) as other:
        await one.insert([sealed_row(1)])

        placed = await asyncio.gather(
            one.place_hold(FIRST, sealed_row(11, correlation_id="c-1")),
            other.place_hold(OTHER, sealed_row(12, correlation_id="c-1")),
        )

        results = [result for result in placed if result is not None]
        assert sorted(result.is_new for result in results) == [False, True]
        assert [result.hold for result in results] == [*await one.holds()] * 2
        assert await events_of(one, "c-1") == 2


async def test_hold_of_a_case_without_events_stores_nothing(backend: Backend) -> None:
    await backend.insert([sealed_row(2)])

    placed = await backend.place_hold(FIRST, sealed_row(11, correlation_id="c-1"))

    assert placed is None
    assert await backend.holds() == []
    assert await events_of(backend, "c-1") == 0


async def test_events_of_earlier_holds_do_not_make_a_case_known(backend: Backend) -> None:
    note = sealed_row(11, correlation_id="c-1", event_type="datastorage.hold.placed")
    allowed = await backend.place_hold(FIRST, note, allow_unknown=True)
    await backend.release_hold("c-1", sealed_row(12, correlation_id="c-1", event_type="datastorage.hold.released"))

    placed = await backend.place_hold(OTHER, sealed_row(13, correlation_id="c-1"))

    assert allowed is not None
    assert allowed.is_new
    assert placed is None


async def test_hold_stays_known_when_its_case_has_no_events_any_more(backend: Backend) -> None:
    await backend.place_hold(FIRST, sealed_row(11, correlation_id="c-1"), allow_unknown=True)

    again = await backend.place_hold(OTHER, sealed_row(12, correlation_id="c-1"))

    assert again is not None
    assert (again.hold, again.is_new) == (FIRST, False)

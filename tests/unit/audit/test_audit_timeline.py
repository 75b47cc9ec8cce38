"""What a failing trail prints, and how it copes with very many events, against a real DataStorage."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.support.stored_events import order_event

from signal_gateway.audit import AuditStoreConfig, AuditTrail, AuditTrailMismatch, BufferedAuditStore, DataStorageClient
from signal_gateway.testing import EmbeddedDataStorage

START = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
MANY = 10_000


@pytest.fixture(scope="module")
def datastorage():
    with EmbeddedDataStorage() as datastorage:
        yield datastorage


@pytest.fixture(scope="module")
def store(datastorage):
    client = DataStorageClient(datastorage.url)
    with BufferedAuditStore(client, service="shop", config=AuditStoreConfig(durability="memory")) as store:
        yield store
    client.close()


@pytest.fixture(scope="module")
def trail(store):
    return AuditTrail(store.client, barrier=store.flush, timeout=60)


@pytest.fixture(scope="module")
def order(store):
    """An order of three events over two hours, which are recorded in the wrong order."""
    after = {"placed": timedelta(), "packed": timedelta(milliseconds=1234), "shipped": timedelta(hours=2)}
    events = {
        what: order_event(event_type=f"order.{what}", event_timestamp=START + offset, correlation_id="order-1")
        for what, offset in after.items()
    }
    for event in reversed(events.values()):
        store.record(event)
    return events


@pytest.fixture(scope="module")
def huge_order(store):
    events = [
        order_event(number, event_type=event_type, correlation_id="order-huge")
        for number, event_type in enumerate(["huge.begun", *["huge.counted"] * (MANY - 2), "huge.done"])
    ]
    for event in events:
        store.record(event)
    return events


def message(failure):
    return str(failure.value).splitlines()


def test_failure_is_a_table_with_offsets_and_arrows_to_what_fits(trail, order):
    with pytest.raises(AuditTrailMismatch) as failure:
        trail.sequence("order.placed", "order.packed", "order.packet", correlation_id="order-1")

    ids = [event.event_id for event in order.values()]
    assert message(failure) == [
        "wanted order.placed → order.packed → order.packet for order-1, found no order.packet behind order.packed"
        " (did you mean order.packed?)",
        "  time (UTC)       offset      event_type     outcome  correlation_id  event_id",
        f"→ 12:00:00.000000  +0.000s     order.placed   success  order-1         {ids[0]}",
        f"→ 12:00:01.234000  +1.234s     order.packed   success  order-1         {ids[1]}",
        f"  14:00:00.000000  +7200.000s  order.shipped  success  order-1         {ids[2]}",
    ]


@pytest.mark.usefixtures("order")
def test_nothing_found_shows_the_rest_of_the_matter(trail):
    with pytest.raises(AuditTrailMismatch) as failure:
        trail.one("order.shiped", correlation_id="order-1")

    first, *table = message(failure)
    assert first.endswith("found 0 (did you mean order.shipped?); there is, about order-1:")
    assert len(table) == 4


def test_nothing_found_about_the_matter_shows_the_type_elsewhere(trail, order):
    with pytest.raises(AuditTrailMismatch) as failure:
        trail.one("order.packed", correlation_id="order-2")

    first, _, *rows = message(failure)
    assert first.endswith("found 0; of this type there are elsewhere, the last 1:")
    (row,) = rows
    assert "order-1" in row
    assert order["packed"].event_id in row


@pytest.mark.usefixtures("order")
def test_nothing_found_anywhere_shows_the_last_events(trail):
    with pytest.raises(AuditTrailMismatch) as failure:
        trail.sequence("order.returned", correlation_id="order-2")

    assert "events of all:" in message(failure)[0]
    assert "order.shipped" in str(failure.value)


def test_nothing_stored_at_all_is_said():
    with EmbeddedDataStorage() as empty:
        client = DataStorageClient(empty.url)
        with pytest.raises(AuditTrailMismatch, match="there is no event at all"):
            AuditTrail(client, barrier=None).one("order.placed", correlation_id="order-1")
        client.close()


def test_ten_thousand_events_of_one_matter_are_all_there_in_order(trail, huge_order):
    found = trail.events(correlation_id="order-huge")

    assert [event.event_id for event in found] == [event.event_id for event in huge_order]
    first, last = trail.sequence("huge.begun", "huge.done", correlation_id="order-huge")
    assert (first.event_data["number"], last.event_data["number"]) == (0, MANY - 1)
    assert trail.one("huge.done", correlation_id="order-huge").event_id == huge_order[-1].event_id


def test_failure_about_ten_thousand_events_shows_both_ends_and_counts_the_rest(trail, huge_order):
    with pytest.raises(AuditTrailMismatch) as failure:
        trail.none(correlation_id="order-huge")

    lines = message(failure)
    assert lines[0].startswith(f"wanted no audit event with correlation_id='order-huge', found {MANY}; ")
    assert huge_order[0].event_id in lines[2]
    assert lines[32] == f"  … {MANY - 60} events between them are left out …"
    assert huge_order[-1].event_id in lines[-1]
    assert len(lines) == 2 + 60 + 1


def test_control_characters_are_escaped(store, trail):
    store.record(order_event(correlation_id="red\x1b[31m"))

    with pytest.raises(AuditTrailMismatch) as failure:
        trail.none(correlation_id="red\x1b[31m")

    assert "\x1b" not in str(failure.value)


@pytest.mark.asyncio
async def test_async_twins_fail_alike(trail, order):
    with pytest.raises(AuditTrailMismatch, match=r"did you mean order\.shipped"):
        await trail.aone("order.shiped", correlation_id="order-1")
    with pytest.raises(AuditTrailMismatch, match="wanted no"):
        await trail.anone(correlation_id="order-1")
    with pytest.raises(AuditTrailMismatch, match=r"behind order\.shipped"):
        await trail.asequence("order.shipped", "order.placed", correlation_id="order-1")
    assert [event.event_id for event in await trail.aevents(correlation_id="order-1")] == [
        event.event_id for event in order.values()
    ]

"""ServiceAuditStore: the store of the process as one live service sees it."""

import threading

import pytest

from signal_gateway.audit import (
    AuditEvent,
    AuditStoreClosed,
    AuditStoreConfig,
    AuditTrail,
    BufferedAuditStore,
    DataStorageClient,
    InvalidAuditEvent,
)
from signal_gateway.testing import EmbeddedDataStorage
from signal_gateway.testing.gateway.service_store import ServiceAuditStore

FOR_LIFETIME_ONLY = {"abandon", "forget"}


def placed(order="o1"):
    return AuditEvent(
        event_type="orders.order.placed",
        event_category="orders",
        event_action="placed",
        event_outcome="success",
        correlation_id=order,
        event_data={"event_type": "orders.order.placed"},
    )


@pytest.fixture(scope="module")
def datastorage():
    with EmbeddedDataStorage() as datastorage:
        yield datastorage


@pytest.fixture
def process_store(datastorage):
    client = DataStorageClient(datastorage.url)
    with BufferedAuditStore(client, service="orders", config=AuditStoreConfig(durability="memory")) as store:
        yield store


@pytest.fixture
def service_store(process_store):
    return ServiceAuditStore(process_store)


def test_service_store_is_a_buffered_audit_store_with_every_name_of_one(service_store):
    names = {name for name in vars(BufferedAuditStore) if not name.startswith("_")} - FOR_LIFETIME_ONLY

    assert isinstance(service_store, BufferedAuditStore)
    assert names - set(vars(ServiceAuditStore)) == set()


def test_service_store_has_the_values_of_the_store_of_the_process(service_store, process_store):
    service_store.record(placed())

    assert service_store.flush().ok
    assert service_store.client is process_store.client
    assert service_store.stats == process_store.stats
    assert service_store.stats.delivered == 1
    for name in ("service", "made_at", "durability", "free_bytes", "accepting", "closed"):
        assert getattr(service_store, name) == getattr(process_store, name)
    assert service_store.rejected_events() == ()
    assert "orders" in repr(service_store)


def test_trail_of_the_service_store_has_the_events_that_passed_it(service_store, process_store):
    trail = AuditTrail(process_store.client, barrier=service_store.flush, recorded=service_store.recorded)
    process_store.record(placed())
    mine = placed()

    service_store.record(mine)

    assert trail.one(correlation_id="o1").event_id == mine.event_id


def test_event_that_is_refused_is_not_noted(service_store):
    with pytest.raises(InvalidAuditEvent):
        service_store.record("no event")

    assert len(service_store.recorded) == 0


def test_events_of_many_threads_are_all_noted(service_store):
    threads = [threading.Thread(target=lambda: [service_store.record(placed()) for _ in range(250)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(service_store.recorded) == 1000


def test_close_by_a_service_leaves_the_store_of_the_process_open(service_store, process_store):
    service_store.record(placed())

    result = service_store.close()

    assert result.ok
    assert process_store.stats.delivered == 1
    assert service_store.closed
    assert not service_store.accepting
    assert process_store.accepting
    with pytest.raises(AuditStoreClosed, match="this service"):
        service_store.record(placed())
    process_store.record(placed())


@pytest.mark.asyncio
async def test_async_ends_of_a_service_store_leave_the_store_of_the_process_open(service_store, process_store):
    async with service_store as entered:
        entered.record(placed())
        assert (await entered.aflush()).ok

    assert service_store.closed
    assert (await service_store.aclose()).ok
    assert process_store.accepting
    with ServiceAuditStore(process_store) as second:
        assert second.accepting
    assert second.closed

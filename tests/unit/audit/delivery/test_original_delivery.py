"""Deliveries to a DataStorage with the rules of the Go original: its verdicts, limits and ids."""

from contextlib import contextmanager
from datetime import timedelta

import pytest
from tests.support.original_datastorage import OriginalDataStorage, gateway_event

from signal_gateway.audit import AuditStoreConfig, BufferedAuditStore, DataStorageClient
from signal_gateway.audit.event import new_event_id


@pytest.fixture
def original():
    with OriginalDataStorage(max_batch=100) as server:
        yield server


@pytest.fixture
def open_store(original, durability):
    @contextmanager
    def open_store():
        client = DataStorageClient(original.url, acknowledgement="event_count")
        config = AuditStoreConfig(**durability, initial_backoff=0.002, max_backoff=0.01)
        with BufferedAuditStore(client, service="shop", config=config) as store:
            yield store

    return open_store


def numbers(original):
    return [event["event_data"]["occurrence_count"] for event in original.stored]


def test_batch_beyond_the_limit_of_the_original_is_divided_and_loses_none(original, open_store):
    with open_store() as store:
        for number in range(1000):
            store.record(gateway_event(number))

        assert store.flush(60).ok

    assert numbers(original) == list(range(1000))


def test_event_that_the_original_declines_is_rejected_with_its_reason_and_the_others_are_stored(original, open_store):
    with open_store() as store:
        for number in range(50):
            store.record(gateway_event(number, age=timedelta(days=8) if number == 20 else timedelta()))

        result = store.flush(60)
        [rejected] = store.rejected_events()

    assert (result.delivered, result.rejected, result.pending) == (49, 1, 0)
    assert "too old" in rejected.reason
    assert numbers(original) == [number for number in range(50) if number != 20]


def test_event_of_an_unknown_type_holds_no_other_event_up(original, open_store):
    with open_store() as store:
        store.record(gateway_event(0, event_type="order.placed"))
        store.record(gateway_event(1))

        result = store.flush(60)

    assert (result.delivered, result.rejected, result.pending) == (1, 1, 0)
    assert numbers(original) == [1]


def test_event_with_a_parent_is_stored_without_it(original, open_store):
    parent = gateway_event(0)
    with open_store() as store:
        store.record(parent)
        store.record(gateway_event(1, parent_event_id=parent.event_id))
        store.record(gateway_event(2, parent_event_id=new_event_id(), parent_event_date="2026-01-31"))

        result = store.flush(60)

    assert result.ok, result.error
    assert [event["parent_event_id"] for event in original.stored] == [None] * 3

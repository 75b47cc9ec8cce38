"""Queries of a DataStorage with the rules of the Go original: newest first by offset, without order and cursor."""

from datetime import timedelta

import pytest
from tests.support.original_datastorage import OriginalDataStorage, gateway_event

from signal_gateway.audit import AuditTrail, DataStorageClient
from signal_gateway.errors import AuditError

MINUTE = timedelta(minutes=1)


@pytest.fixture
def original():
    with OriginalDataStorage() as server:
        yield server


@pytest.fixture
def client(original):
    client = DataStorageClient(original.url, acknowledgement="event_count")
    yield client
    client.close()


@pytest.fixture
def put(original):
    """Store events a second apart, the last one now; return their ids, oldest first."""

    def put(count, **fields):
        return original.put(*(gateway_event(n, age=timedelta(seconds=count - n), **fields) for n in range(count)))

    return put


def ids(events):
    return [event["event_id"] for event in events]


@pytest.mark.parametrize("count", [0, 1, 2, 999, 1000, 1001, 1999, 2000, 2500])
def test_events_are_all_there_once_and_oldest_first(client, put, count):
    stored = put(count)
    put(3, correlation_id="rr-2")

    assert ids(client.events(correlation_id="rr-1")) == stored
    assert ids(client.export(correlation_id="rr-1")) == stored


@pytest.mark.parametrize("limit", [1, 100, 1000, 1001, 2300])
def test_pages_give_the_newest_events_up_to_the_limit(client, put, limit):
    stored = put(2300)

    pages = list(client.pages(limit=limit))

    assert [one for page in pages for one in ids(page.events)] == stored[::-1][:limit]
    assert {page.total for page in pages} == {2300}


def test_no_page_is_larger_than_the_original_allows(original, client, put):
    put(2500)

    list(client.events())

    assert all("limit=1000" in request for request in original.requests)


def test_event_that_is_stored_during_a_query_neither_hides_nor_repeats_another(original, client, put):
    stored = put(2500)

    def grow(params):
        if params.get("offset"):
            original.stored.extend(
                dict(event, event_id=f"new-{len(original.stored)}") for event in original.stored[-2:]
            )

    original.before_page = grow

    found = ids(client.events())

    assert len(found) == len(set(found))
    assert [one for one in found if not one.startswith("new-")] == stored


def test_event_that_is_removed_during_a_query_is_an_error_and_no_gap(original, client, put):
    put(2500)

    def shrink(params):
        if params.get("offset"):
            original.stored.pop()

    original.before_page = shrink

    with pytest.raises(AuditError, match=r"events were removed from DataStorage .* repeat the query"):
        list(client.events())


def test_purge_of_the_oldest_events_during_a_query_hides_no_other(original, client, put):
    stored = put(2500)

    def purge(params):
        if params.get("offset"):
            del original.stored[:100]

    original.before_page = purge

    found = ids(client.events())

    assert found == stored[-len(found) :]
    assert len(found) >= 2300


@pytest.mark.parametrize("ask", ["events", "export", "pages"])
def test_filter_that_the_original_ignores_is_an_error_that_names_it(client, put, ask):
    put(1)

    with pytest.raises(AuditError, match="does not filter by detail_key, detail_value"):
        list(getattr(client, ask)(detail_key="signal_name", detail_value="x"))


def test_filter_that_the_original_ignores_is_right_about_an_empty_trail(client):
    assert list(client.events(detail_key="signal_name", detail_value="x")) == []


def test_audit_trail_queries_the_original(original, client):
    kept = original.put(
        gateway_event(event_type="gateway.signal.received", age=2 * MINUTE),
        gateway_event(event_type="gateway.crd.created", age=MINUTE),
        gateway_event(event_type="gateway.crd.created", correlation_id="rr-2"),
    )
    trail = AuditTrail(client, barrier=None)

    assert [event.event_id for event in trail.events()] == kept
    assert trail.one("gateway.crd.created", correlation_id="rr-1").event_id == kept[1]
    trail.sequence("gateway.signal.received", "gateway.crd.created", correlation_id="rr-1")
    trail.none("gateway.crd.failed")


def test_check_takes_the_original_for_a_datastorage(client):
    client.check()
    client.check_delivery()
    assert client.limits() is None

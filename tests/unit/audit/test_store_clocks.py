"""Clocks that are wrong, old events, and a machine that does not say which run it is in: all is delivered."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from signal_gateway.audit import AuditStoreConfig, AuditTrail, BufferedAuditStore, DataStorageClient
from signal_gateway.clock import MovableClock
from signal_gateway.testing import EmbeddedDataStorage

DEADLINE = 60.0
MONTH = timedelta(days=30)
AHEAD = timedelta(hours=2)


@pytest.fixture(scope="module")
def datastorage():
    with EmbeddedDataStorage() as datastorage:
        yield datastorage


@pytest.fixture
def client(datastorage):
    client = DataStorageClient(datastorage.url)
    yield client
    client.close()


@pytest.fixture
def open_real_store(datastorage, spool_directory):
    """Open a store on the directory that delivers to a DataStorage; who opens one closes it."""

    def open_real_store(clock=None):
        return BufferedAuditStore(
            DataStorageClient(datastorage.url),
            service="shop",
            config=AuditStoreConfig(spool_directory=spool_directory),
            clock=clock,
        )

    return open_real_store


@pytest.fixture
def stored(client):
    def stored(correlation_id):
        return AuditTrail(client, barrier=None).events(correlation_id=correlation_id)

    return stored


def test_spool_of_30_days_ago_is_delivered(leave_behind, open_real_store, stored, monkeypatch):
    then = datetime.now(UTC) - MONTH
    with monkeypatch.context() as a_month_ago:
        a_month_ago.setattr(time, "time", lambda: then.timestamp())
        a_month_ago.setattr(time, "monotonic", lambda: 1e9)  # of a machine that had run for long
        ids = leave_behind(25, event_timestamp=then, correlation_id="order-of-last-month")

    with open_real_store() as store:
        pass

    events = stored("order-of-last-month")
    assert [event.event_id for event in events] == ids
    assert {event.event_date for event in events} == {then.date()}
    assert all(abs(event.event_timestamp - then) < timedelta(milliseconds=1) for event in events)
    assert not any(event.clock_skew for event in events)
    assert (store.stats.recovered.delivered, store.stats.recovered.rejected) == (25, 0)


def test_event_of_a_clock_that_is_ahead_is_marked_and_hurts_no_other(open_real_store, make_event, stored):
    now = datetime.now(UTC)
    moments = [now, now + AHEAD, now - MONTH, now + timedelta(days=3650), now]
    events = [
        make_event(number, correlation_id="order-of-many-clocks", event_timestamp=moment)
        for number, moment in enumerate(moments)
    ]

    with open_real_store() as store:
        for event in events:
            store.record(event)
        result = store.flush(timeout=DEADLINE)

    found = {event.event_id: bool(event.clock_skew) for event in stored("order-of-many-clocks")}
    assert (result.ok, result.delivered, result.rejected) == (True, 5, 0)
    assert [found[event.event_id] for event in events] == [False, True, False, True, False]


def test_events_of_a_wrong_clock_in_an_orphaned_spool_hurt_no_other(leave_behind, open_real_store, stored):
    fine = leave_behind(5, correlation_id="order-of-two-stores")
    ahead = leave_behind(5, correlation_id="order-of-two-stores", event_timestamp=datetime.now(UTC) + AHEAD)

    with open_real_store() as store:
        pass

    skewed = {event.event_id: bool(event.clock_skew) for event in stored("order-of-two-stores")}
    assert skewed == {**dict.fromkeys(fine, False), **dict.fromkeys(ahead, True)}
    assert store.stats.recovered.delivered == 10


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_wall_clock_that_jumps_between_recording_and_delivery_changes_nothing(
    fault_server, open_store, make_event, monkeypatch, jump
):
    store = open_store(linger=3600)
    event = make_event()
    store.record(event)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump)

    result = store.flush(timeout=DEADLINE)

    assert result.ok
    assert list(fault_server.stored) == [event.event_id]
    assert 0 <= store.stats.oldest_pending_age < DEADLINE


def test_clock_that_stands_still_delivers(fault_server, make_event, open_store):
    store = open_store(clock=MovableClock(datetime(2026, 1, 1, tzinfo=UTC)))
    event = make_event()

    store.record(event)

    assert store.flush(timeout=DEADLINE).ok
    assert list(fault_server.stored) == [event.event_id]


@pytest.mark.parametrize("content", [None, "", "not a boot id"])
def test_machine_that_does_not_tell_its_boot_id(
    fault_server, leave_behind, open_store, make_event, monkeypatch, tmp_path, content
):
    boot_id = tmp_path / "boot_id"
    if content is not None:
        boot_id.write_text(content)
    monkeypatch.setattr("signal_gateway.audit.wal.directory._BOOT_ID", boot_id)
    ids = leave_behind(4)
    store = open_store()
    event = make_event()
    store.record(event)

    result = store.close(timeout=DEADLINE)

    assert result.ok
    assert store.stats.recovered.delivered == 4
    assert fault_server.stored.keys() == {*ids, event.event_id}

"""Follower: each event once, in the order of storing, however late it arrives."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.support.original_datastorage import OriginalDataStorage, gateway_event
from tests.support.stored_events import order_event, store_events

from signal_gateway.audit import DataStorageClient, DataStorageUnavailable
from signal_gateway.clock import MovableClock
from signal_gateway.commands import follow
from signal_gateway.commands.follow import Follower
from signal_gateway.errors import ConfigurationError
from signal_gateway.testing import EmbeddedDataStorage


@pytest.fixture
def datastorage():
    with EmbeddedDataStorage() as datastorage:
        yield datastorage


@pytest.fixture
def client(datastorage):
    client = DataStorageClient(datastorage.url)
    yield client
    client.close()


@pytest.fixture
def clock():
    return MovableClock(datetime.now(UTC))


@pytest.fixture
def follower(client, clock):
    def make(**filters):
        follower = Follower(client, filters, clock=clock)
        follower.start()
        return follower

    return make


def ids(events):
    return [event["event_id"] for event in events]


def test_what_is_stored_before_the_start_is_not_new(client, follower):
    store_events(client, order_event(), order_event(age=timedelta(hours=3)))

    assert follower().new_events() == []


def test_each_event_is_new_once_and_in_the_order_of_storing(client, follower):
    followed = follower()
    stored = store_events(client, order_event(), order_event(age=timedelta(minutes=5)), order_event())

    assert ids(followed.new_events()) == stored
    assert followed.new_events() == []


def test_late_event_is_found_behind_newer_ones(client, follower, monkeypatch):
    store_events(client, *(order_event(number) for number in range(2500)))
    followed = follower()
    late = store_events(client, order_event(age=timedelta(minutes=59)))
    monkeypatch.setattr(client, "export", None)  # the pages have it

    assert ids(followed.new_events()) == late


def test_event_that_is_later_than_the_pages_reach_is_found_by_reading_everything(client, follower, monkeypatch):
    monkeypatch.setattr(follow, "_PAGES", 1)
    store_events(client, *(order_event(number) for number in range(1500)))
    followed = follower()
    late = store_events(client, order_event(age=timedelta(minutes=59)), order_event())

    assert ids(followed.new_events()) == late
    assert followed.new_events() == []


def test_event_from_before_the_window_is_not_looked_for_and_hides_no_other(client, follower):
    followed = follower()
    store_events(client, order_event(age=timedelta(minutes=61)))
    fresh = store_events(client, order_event())

    assert ids(followed.new_events()) == fresh


def test_since_widens_the_window(client, follower):
    followed = follower(since="3d")
    late = store_events(client, order_event(age=timedelta(days=2)))

    assert ids(followed.new_events()) == late


@pytest.mark.parametrize("since", ["1h30m", "1.5h", "5400s"])
def test_since_of_several_units_is_a_lookback_that_moves(client, clock, follower, since):
    followed = follower(since=since)
    stored = store_events(client, order_event(age=timedelta(minutes=89)))
    store_events(client, order_event(age=timedelta(minutes=91)))
    assert ids(followed.new_events()) == stored

    clock.advance(91 * 60)
    store_events(client, order_event(age=timedelta(minutes=2)))

    assert followed.new_events() == []


def test_fixed_since_is_taken_as_it_is(client, follower):
    followed = follower(since="2026-01-01")
    late = store_events(client, order_event(event_timestamp="2026-01-02T00:00:00Z"))
    store_events(client, order_event(event_timestamp="2025-12-31T00:00:00Z"))

    assert ids(followed.new_events()) == late


def test_window_moves_on_and_shows_nothing_twice(client, follower, clock):
    followed = follower()
    first = store_events(client, order_event(), order_event(event_timestamp=clock.now() + timedelta(minutes=61)))
    assert ids(followed.new_events()) == first

    clock.advance(3601)
    second = store_events(client, order_event(event_timestamp=clock.now() - timedelta(minutes=30)))
    store_events(client, order_event(event_timestamp=clock.now() - timedelta(minutes=61)))

    assert ids(followed.new_events()) == second
    assert followed.new_events() == []


def test_events_that_left_the_window_do_not_hide_late_ones(client, follower, clock):
    ahead = clock.now() + timedelta(minutes=90)
    store_events(client, *(order_event(number, event_timestamp=ahead) for number in range(1000)))
    store_events(client, order_event(), order_event())
    followed = follower()

    clock.advance(3601)
    late = store_events(client, *(order_event(event_timestamp=clock.now()) for _ in range(2)))

    assert ids(followed.new_events()) == late


def test_filters_hold(client, follower):
    followed = follower(event_outcome="failure", detail_key="shop", detail_value="s-1")
    events = [order_event(number, event_outcome=outcome) for number in (0, 1) for outcome in ("success", "failure")]
    store_events(client, *events)

    assert ids(followed.new_events()) == [events[3].event_id]


def test_look_that_fails_takes_nothing_away(client, datastorage, follower):
    followed = follower()
    stored = store_events(client, order_event(), order_event())
    datastorage.stop()
    with pytest.raises(DataStorageUnavailable):
        followed.new_events()

    datastorage.start()

    assert ids(followed.new_events()) == stored


def test_count_that_went_wrong_is_counted_again(client, follower):
    followed = follower()
    followed._count = 7  # as a purge would have it
    stored = store_events(client, order_event(), order_event())

    assert ids(followed.new_events()) == stored
    assert ids(followed.new_events()) == []


def test_known_sequences_stay_few(client, follower, monkeypatch):
    monkeypatch.setattr(follow, "_KEPT_SEQUENCES", 10)
    store_events(client, *(order_event(number) for number in range(100)))
    followed = follower()
    stored = store_events(client, *(order_event(number) for number in range(50)))

    assert ids(followed.new_events()) == stored
    assert followed.new_events() == []
    assert len(followed._known._above) <= 20


def test_datastorage_without_sequences_and_cursors_is_followed_by_event_id(clock):
    with OriginalDataStorage() as original:
        client = DataStorageClient(original.url)
        original.put(*(gateway_event(number) for number in range(1500)))
        followed = Follower(client, {}, clock=clock)
        followed.start()

        late, fresh = original.put(gateway_event(age=timedelta(minutes=50)), gateway_event())
        found = ids(followed.new_events())
        many = original.put(*(gateway_event(number, age=timedelta(minutes=1)) for number in range(1200)))

        assert found == [late, fresh]
        assert set(ids(followed.new_events())) == set(many)
        assert followed.new_events() == []
        client.close()


def test_lookback_longer_than_any_calendar_is_refused(client, clock):
    with pytest.raises(ConfigurationError, match="calendar"):
        Follower(client, {"since": "999999999d"}, clock=clock)

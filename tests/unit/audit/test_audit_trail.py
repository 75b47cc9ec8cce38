"""AuditTrail: a barrier, an exact query, and a timeline when the claim is wrong."""

import pytest

from signal_gateway.audit import AuditTrail, AuditTrailMismatch, DataStorageClient, FlushResult
from signal_gateway.audit.recorded_ids import RecordedIds
from signal_gateway.audit.stats import EventRejection
from signal_gateway.errors import AuditError


@pytest.fixture
def trail(store):
    return AuditTrail(store.client, barrier=store.flush)


@pytest.fixture
def order(store, make_event):
    """An order that was placed, packed twice and shipped, beside one that was only placed."""
    events = [
        make_event(n, event_type=f"order.{what}") for n, what in enumerate(["placed", "packed", "packed", "shipped"])
    ]
    for event in [*events, make_event(9, event_type="order.placed", correlation_id="order-2")]:
        store.record(event)
    return events


def test_events_are_found_without_waiting_or_asking_twice(trail, order):
    found = trail.events(correlation_id="order-1")

    assert [event.event_id for event in found] == [event.event_id for event in order]
    assert found[0].event_data == order[0].event_data
    assert found[0].event_timestamp == order[0].event_timestamp


def test_events_are_oldest_first_from_a_server_that_knows_no_order(fault_server, store, make_event):
    events = [make_event(number) for number in range(3)]
    fault_server.keep([event.model_dump(mode="json", exclude_none=True) for event in reversed(events)])

    found = AuditTrail(store.client, barrier=None).events()

    assert [event.event_id for event in found] == [event.event_id for event in events]


def test_stored_event_has_what_the_server_added(fault_server, trail, store, make_event):
    event = make_event()
    store.record(event)
    store.flush()
    fault_server.stored[event.event_id] |= {
        "event_date": "2026-01-01",
        "sequence": 7,
        "received_at": "2026-01-01T00:00:00Z",
        "actor_type": "service",
        "something_new": 1,
    }

    stored = trail.one(event_type="order.placed")

    assert (stored.sequence, stored.event_date.isoformat(), stored.received_at.year) == (7, "2026-01-01", 2026)
    assert stored.actor_type == "service"


def test_one_gives_the_only_event(trail, order):
    assert trail.one(correlation_id="order-1", event_type="order.shipped").event_id == order[3].event_id


@pytest.mark.usefixtures("order")
def test_one_fails_with_the_events_found_when_there_are_more(trail):
    with pytest.raises(AssertionError, match=r"wanted one .*'order.packed', found 2; tests share the trail") as failure:
        trail.one(correlation_id="order-1", event_type="order.packed")

    assert str(failure.value).count("order.packed  success") == 2


@pytest.mark.usefixtures("order")
def test_one_fails_with_the_whole_timeline_when_there_is_none(trail):
    with pytest.raises(AuditTrailMismatch, match="found 0") as failure:
        trail.one(correlation_id="order-1", event_type="order.returned")

    for event_type in ["order.placed", "order.packed", "order.shipped"]:
        assert event_type in str(failure.value)
    assert "order-2" not in str(failure.value)


@pytest.mark.usefixtures("order")
def test_none_proves_absence(trail):
    trail.none(correlation_id="order-2", event_type="order.shipped")

    with pytest.raises(AssertionError, match=r"wanted no .*found 1"):
        trail.none(correlation_id="order-1", event_type="order.shipped")


@pytest.mark.usefixtures("order")
def test_sequence_gives_the_first_events_in_this_order(trail):
    found = trail.sequence("order.placed", "order.packed", "order.shipped", correlation_id="order-1")

    assert [event.event_data["number"] for event in found] == [0, 1, 3]
    assert len(trail.sequence("order.packed", "order.packed", correlation_id="order-1")) == 2


@pytest.mark.usefixtures("order")
@pytest.mark.parametrize(
    ("types", "said"),
    [
        (["order.shipped", "order.placed"], "found no order.placed behind order.shipped"),
        (["order.returned"], "found no order.returned"),
        (["order.placed", "order.placed"], "found no order.placed behind order.placed"),
    ],
)
def test_sequence_in_another_order_fails_with_the_timeline(trail, types, said):
    with pytest.raises(AuditTrailMismatch, match=said) as failure:
        trail.sequence(*types, correlation_id="order-1")

    assert str(failure.value).count("order-1") >= 4


def test_sequence_of_nothing_is_a_mistake(trail):
    with pytest.raises(ValueError, match="at least one"):
        trail.sequence(correlation_id="order-1")


def test_events_still_pending_are_an_error_and_not_an_absence(fault_server, store, make_event):
    trail = AuditTrail(store.client, barrier=store.flush, timeout=0.05)
    fault_server.always(fault_server.status(503))
    store.record(make_event())

    with pytest.raises(AuditError, match=r"1 event pending.*503") as failure:
        trail.none(correlation_id="order-1")

    assert not isinstance(failure.value, AssertionError)


def test_question_about_a_rejected_event_is_refused_each_time(fault_server, trail, store, make_event):
    fault_server.script(fault_server.problem(400, detail="bad severity"))
    store.record(make_event())
    assert not store.flush().ok  # reported, and nevertheless missing in the trail

    for question in ({}, {"correlation_id": "order-1"}, {"event_type": "order.placed", "event_outcome": "success"}):
        with pytest.raises(AuditError, match=r"rejected 1 event of the query.*bad severity") as failure:
            trail.events(**question)
        assert not isinstance(failure.value, AssertionError)


def test_question_that_no_rejected_event_matches_is_answered(fault_server, trail, store, make_event):
    fault_server.script(fault_server.problem(400, detail="bad severity"))
    store.record(make_event())
    store.flush()

    store.record(make_event(correlation_id="order-2", event_type="order.packed"))

    assert trail.one(correlation_id="order-2").event_data["number"] == 0
    assert trail.one("order.packed").correlation_id == "order-2"
    trail.none(correlation_id="order-1", event_type="order.packed")


def test_rejected_event_is_missing_in_the_trail_of_its_own_server_only(fault_server, store, make_event):
    one, other = RecordedIds(), RecordedIds()
    trails = {ids: AuditTrail(store.client, barrier=store.flush, recorded=ids) for ids in (one, other)}
    fault_server.script(fault_server.problem(400, detail="bad severity"))
    rejected, stored = make_event(), make_event()

    for ids, event in ((one, rejected), (other, stored)):
        store.record(event)
        ids.add(event.event_id)
        store.flush()

    with pytest.raises(AuditError, match=r"rejected 1 event of the query.*bad severity"):
        trails[one].events(correlation_id="order-1")
    assert trails[other].one(correlation_id="order-1").event_id == stored.event_id


def test_barrier_gets_the_timeout(store):
    asked = []

    def barrier(timeout):
        asked.append(timeout)
        return FlushResult(ok=True, delivered=0, rejected=0, pending=0, error=None)

    AuditTrail(store.client, barrier=barrier, timeout=1.5).events()

    assert asked == [1.5]


def test_trail_without_a_barrier_asks_at_once(fault_server, store, make_event):
    event = make_event()
    fault_server.keep([{**event.model_dump(mode="json", exclude_none=True)}])

    assert AuditTrail(store.client, barrier=None).one().event_id == event.event_id


def test_event_that_is_none_is_an_error(fault_server, store):
    fault_server.keep([{"event_id": "x"}])

    with pytest.raises(AuditError, match="returned an invalid event"):
        AuditTrail(store.client, barrier=None).events()


@pytest.mark.asyncio
async def test_async_twins_say_the_same(trail, order):
    assert len(await trail.aevents(correlation_id="order-1")) == 4
    assert (await trail.aone(event_type="order.shipped")).event_id == order[3].event_id
    await trail.anone(event_type="order.returned")
    assert len(await trail.asequence("order.placed", "order.shipped", correlation_id="order-1")) == 2
    with pytest.raises(AuditTrailMismatch):
        await trail.aone(event_type="order.packed")


@pytest.fixture
def translated(fault_server, make_store):
    """A store and a trail of a DataStorage that knows another name for one type, and does not get another."""
    event_types = {"order.placed": "order.made", "order.packed": None}
    store = make_store(client=DataStorageClient(fault_server.url, event_types=event_types))
    return store, AuditTrail(store.client, barrier=store.flush)


def test_question_about_a_renamed_type_names_the_type_to_ask_for(translated, make_event):
    store, trail = translated
    event = make_event()
    store.record(event)

    for ask in (trail.events, trail.one, trail.none):
        with pytest.raises(AuditError, match=r"'order\.placed' as 'order\.made'"):
            ask(event_type="order.placed")
    with pytest.raises(AuditError, match=r"order\.made"):
        trail.sequence("order.shipped", "order.placed", correlation_id="order-1")

    stored = trail.one("order.made")
    assert (stored.event_id, stored.event_data["recorded_event_type"]) == (event.event_id, "order.placed")


def test_question_that_an_omitted_event_may_match_is_refused(translated, make_event):
    store, trail = translated
    trail.none(correlation_id="order-1")
    store.record(make_event(event_type="order.packed"))

    with pytest.raises(AuditError, match="leaves out 1 event:"):
        trail.none(correlation_id="order-1")
    with pytest.raises(AuditError, match=r"no event of type 'order\.packed' is recorded"):
        trail.none("order.packed")
    trail.none("order.shipped")


def test_trail_of_one_server_is_refused_where_ids_are_assigned(fault_server, make_store):
    store = make_store(client=DataStorageClient(fault_server.url, acknowledgement="event_count"))

    with pytest.raises(AuditError, match="assigns ids of its own"):
        AuditTrail(store.client, barrier=store.flush, recorded=RecordedIds()).none("order.placed")


@pytest.mark.parametrize(
    ("filters", "may_match"),
    [
        ({"namespace": "prod", "resource_type": "Deployment"}, True),  # event_data may name the workload
        ({"namespace": "prod", "event_type": "gateway.signal.received"}, True),
        ({"namespace": "prod", "event_type": "gateway.crd.created"}, False),
        ({"resource_id": "prod/payment-api"}, False),
    ],
)
def test_rejected_event_may_match_what_its_payload_may_name(filters, may_match):
    envelope = {"event_type": "gateway.signal.received", "resource_type": "Signal", "resource_id": "9c41"}

    assert EventRejection(1, "too large", envelope).may_match(filters) is may_match

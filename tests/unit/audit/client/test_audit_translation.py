"""Translation: the events of a batch as another implementation of the audit API takes them."""

import orjson
import pytest

from signal_gateway.audit import AuditEvent, DataStorageClient
from signal_gateway.audit.client.translation import KUBERNAUT_EVENT_TYPES, Translation
from signal_gateway.errors import ConfigurationError

PARENT = "01932c3e-8a00-7000-8000-000000000000"


def event(event_type="order.placed", **fields):
    return AuditEvent(
        event_type=event_type,
        event_category="order",
        event_action="placed",
        event_outcome="success",
        correlation_id="order-1",
        event_data={"says": '"event_type":"order.placed"', **fields.pop("data", {})},
        **fields,
    )


def batch(*events):
    return b"[" + b",".join(one.to_wire() for one in events) + b"]"


def test_renamed_type_is_renamed_in_the_envelope_and_in_the_data():
    placed, shipped = event(), event("order.shipped")

    sent = orjson.loads(Translation({"order.placed": "order.made"}).apply(batch(placed, shipped)))

    assert [one["event_type"] for one in sent] == ["order.made", "order.shipped"]
    assert [one["event_data"]["event_type"] for one in sent] == ["order.made", "order.shipped"]
    assert [one["event_id"] for one in sent] == [placed.event_id, shipped.event_id]
    assert sent[1] == orjson.loads(shipped.to_wire())


def test_renamed_event_tells_its_type_and_changes_in_nothing_else():
    placed = event(namespace="prod", severity="critical")

    (sent,) = orjson.loads(Translation({"order.placed": "order.made"}).apply(batch(placed)))

    assert sent["event_data"].pop("recorded_event_type") == "order.placed"
    whole = orjson.loads(placed.to_wire())
    whole["event_type"] = whole["event_data"]["event_type"] = "order.made"
    assert sent == whole


def test_largest_event_is_renamed_without_growing_beyond_the_limit():
    largest = event(data={"padding": ""})
    room = 256 * 1024 - len(orjson.dumps(largest.event_data))
    largest = event(data={"padding": "x" * room})

    (sent,) = orjson.loads(Translation({"order.placed": "order.made"}).apply(batch(largest)))

    assert sent["event_type"] == "order.made"
    assert len(orjson.dumps(sent["event_data"])) <= 256 * 1024


@pytest.mark.parametrize("room", range(0, 160, 7))
def test_longer_name_does_not_grow_beyond_the_limit_with_the_recorded_one(room):
    new = "order." + "made" * 10
    event_data = {"padding": "x", "event_type": new}
    padding = "x" * (256 * 1024 - len(orjson.dumps(event_data)) - room)
    body = orjson.dumps([{"event_type": "o", "event_data": {"event_type": "o", "padding": padding}}])

    (sent,) = orjson.loads(Translation({"o": new}).apply(body))

    assert sent["event_data"]["event_type"] == new
    assert len(orjson.dumps(sent["event_data"])) <= 256 * 1024


def test_member_of_the_payload_is_not_replaced():
    own = {"recorded_event_type": "mine", "parent_event_id": "mine"}
    child = event(data=own, parent_event_id=PARENT, parent_event_date="2026-01-31")

    (sent,) = orjson.loads(Translation({"order.placed": "order.made"}, moves_parents=True).apply(batch(child)))

    assert {name: sent["event_data"][name] for name in own} == own


def test_batch_without_a_renamed_type_stays_the_same_bytes():
    body = batch(event("order.shipped"), event("order.placed.late"))

    assert Translation({"order.placed": "order.made"}).apply(body) is body
    assert Translation({}).apply(body) is body


def test_parent_of_an_event_moves_into_its_data_where_ids_are_assigned():
    child = event(parent_event_id=PARENT, parent_event_date="2026-01-31")

    (sent,) = orjson.loads(Translation({}, moves_parents=True).apply(batch(child)))

    assert not sent.keys() & {"parent_event_id", "parent_event_date"}
    assert sent["event_data"]["parent_event_id"] == PARENT
    assert sent["event_data"]["parent_event_date"] == "2026-01-31"


def test_parent_stays_where_ids_are_kept():
    body = batch(event(parent_event_id=PARENT))

    assert Translation({"other": "one"}).apply(body) is body


@pytest.mark.parametrize(
    ("event_types", "wrong"),
    [
        ({"": "a"}, "''"),
        ({"a": ""}, "''"),
        ({"a": "x" * 101}, "xxx"),
        ({"a": 1}, "1"),
        ({"a": "b", "b": "c"}, "'b'"),
        ({"a": "b", "b": None}, "'b'"),
        ({"a": "a"}, "'a'"),
    ],
)
def test_mapping_that_means_nothing_is_refused(event_types, wrong):
    with pytest.raises(ConfigurationError, match="event_types") as refusal:
        DataStorageClient("http://host", event_types=event_types)

    assert wrong in str(refusal.value)


def test_types_of_kubernaut_lose_no_event():
    assert None not in KUBERNAUT_EVENT_TYPES.values()

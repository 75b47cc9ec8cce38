"""What an AuditEvent makes of subclasses and of values that are not plain JSON: encoding can't fail later."""

import dataclasses
import datetime as dt
import enum
import subprocess
import sys
from collections import OrderedDict, namedtuple
from types import MappingProxyType
from uuid import UUID

import freezegun
import orjson
import pendulum
import pytest
import time_machine
from pydantic import ValidationError

from signal_gateway.audit import AuditEvent, InvalidAuditEvent

JANUARY = dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)
Point = namedtuple("Point", "x y")


class Text(str):
    pass


class Ratio(float):
    pass


class Day(dt.date):
    pass


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.StrEnum):
    YES = "yes"


class Id(UUID):
    pass


@dataclasses.dataclass
class Order:
    number: int
    day: dt.date


def event(event_data=None, **fields):
    return AuditEvent(
        event_type="order.placed",
        event_category="order",
        event_action="placed",
        event_outcome="success",
        **{"correlation_id": "order-1", **fields},
        event_data={"event_type": "order.placed", **(event_data or {})},
    )


def sent(event):
    return orjson.loads(event.to_wire())


def test_event_under_freezegun_has_the_frozen_time_as_a_plain_datetime():
    with freezegun.freeze_time(JANUARY):
        by_default = event()
        given = event(event_timestamp=dt.datetime.now(dt.UTC), parent_event_date=dt.date.today())
        wires = sent(by_default), sent(given)

    assert {type(one.event_timestamp) for one in (by_default, given)} == {dt.datetime}
    assert type(given.parent_event_date) is dt.date
    assert [wire["event_timestamp"] for wire in wires] == ["2026-01-31T12:00:00+00:00"] * 2
    assert wires[1]["parent_event_date"] == "2026-01-31"


def test_event_under_time_machine_has_the_time_of_the_traveller():
    with time_machine.travel(JANUARY, tick=False):
        assert sent(event())["event_timestamp"] == "2026-01-31T12:00:00+00:00"


def test_freezegun_imports_no_modules_and_others_may_be_imported_while_it_works():
    program = """
import sys
import freezegun
from signal_gateway.audit import AuditEvent
with freezegun.freeze_time("2026-01-31T12:00:00Z"):
    assert "signal_gateway.audit.trail" not in sys.modules
    from signal_gateway.audit import AuditTrail, StoredEvent
    event = AuditEvent(event_type="a.b", event_category="a", event_action="b", event_outcome="success",
                       correlation_id="c", event_data={"event_type": "a.b"})
    print(event.to_wire().decode())
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr
    assert orjson.loads(result.stdout)["event_timestamp"] == "2026-01-31T12:00:00+00:00"


def test_dates_of_pendulum_become_plain():
    moment = pendulum.datetime(2026, 1, 31, 13, tz="Europe/Paris")

    made = event({"at": moment, "on": moment.date()}, event_timestamp=moment, parent_event_date=moment.date())

    assert type(made.event_timestamp) is dt.datetime
    assert sent(made)["event_timestamp"] == "2026-01-31T12:00:00+00:00"
    assert sent(made)["event_data"]["at"] == "2026-01-31T13:00:00+01:00"
    assert sent(made)["event_data"]["on"] == sent(made)["parent_event_date"] == "2026-01-31"


@pytest.mark.parametrize(
    ("value", "json"),
    [
        (Text("a"), "a"),
        (Ratio(1.5), 1.5),
        (Level.LOW, 1),
        (Colour.RED, "red"),
        (Word.YES, "yes"),
        (Day(2026, 1, 31), "2026-01-31"),
        (dt.time(1, 2), "01:02:00"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Id(int=1), "00000000-0000-0000-0000-000000000001"),
        (Point(1, Ratio(2.0)), [1, 2.0]),
        ((1, (2, Text("c"))), [1, [2, "c"]]),
        (OrderedDict(a=Ratio(1.0)), {"a": 1.0}),
        (MappingProxyType({Text("a"): [Point(1, 2)]}), {"a": [[1, 2]]}),
        (Order(1, Day(2026, 1, 31)), {"number": 1, "day": "2026-01-31"}),
    ],
)
def test_value_is_sent_in_its_json_form(value, json):
    assert sent(event({"value": value}))["event_data"]["value"] == json


@pytest.mark.parametrize("value", [{1}, b"x", object(), dt.timedelta(1), float("nan"), Ratio("inf"), 2**70])
def test_value_without_a_json_form_is_refused_at_construction(value):
    with pytest.raises(ValidationError, match=r"event_data"):
        event({"order": {"items": [value]}})


def test_refusal_names_the_place_of_the_value():
    with pytest.raises(ValidationError, match=r"order\.items\[1\] is a set"):
        event({"order": {"items": [1, {2}]}})


def test_cycle_is_refused():
    cycle = {}
    cycle["again"] = [cycle]

    with pytest.raises(ValidationError, match="nested deeper than 10"):
        event(cycle)


def test_text_fields_take_subclasses_and_ids_take_uuids():
    made = event(correlation_id=Text("order-2"), severity=Word.YES, event_id=UUID(int=1), parent_event_id=Id(int=2))

    assert {type(value) for value in (made.correlation_id, made.severity, made.event_id)} == {str}
    assert made.parent_event_id == "00000000-0000-0000-0000-000000000002"
    assert sent(made)["correlation_id"] == "order-2"


def test_copy_with_changes_is_validated_and_keeps_the_rest():
    original = event(severity="high")
    with freezegun.freeze_time(JANUARY):
        changed = original.model_copy(update={"event_timestamp": dt.datetime.now(dt.UTC)})

    assert sent(changed) == sent(original) | {"event_timestamp": "2026-01-31T12:00:00+00:00"}
    assert sent(original.model_copy()) == sent(original)
    with pytest.raises(ValidationError, match="severity"):
        original.model_copy(update={"severity": {1}})


def test_error_of_a_change_without_validation_names_the_field(store):
    changed = AuditEvent.model_construct(**event().__dict__ | {"severity": {1}})

    with pytest.raises(InvalidAuditEvent, match=r"^severity of order\.placed"):
        store.record(changed)

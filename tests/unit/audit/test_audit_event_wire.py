"""What an event's data may be, and how an event is written for the wire."""

import math
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from signal_gateway.audit.event import (
    MAX_EVENT_DATA_BYTES,
    MAX_EVENT_DATA_DEPTH,
    REQUIRED_ON_THE_WIRE,
    AuditEvent,
    encoded_event_data,
    members_schema,
)
from signal_gateway.audit.timeline import StoredEvent


def event(**members: Any) -> AuditEvent:
    required: dict[str, Any] = {
        "event_type": "a.b",
        "event_category": "c",
        "event_action": "d",
        "event_outcome": "success",
        "correlation_id": "x",
        "event_data": {"event_type": "a.b"},
    }
    return AuditEvent(**(required | members))


def nested(depth: int, innermost: object = 1) -> dict[str, Any]:
    """A dict `depth` levels deep, of dicts and lists by turns, with a value on the last level."""
    value: Any = {"x": innermost} if depth % 2 else [innermost]
    for level in range(depth - 1, 0, -1):
        value = {"x": value} if level % 2 else [value]
    return {"x": innermost} if depth == 1 else value  # type: ignore[no-any-return]


class OneMemberMore(AuditEvent):
    """An event with a member that must be given and may be None."""

    remark: str | None


def test_event_data_is_encoded_as_it_is() -> None:
    event_data = {"text": "é\\u0000", "n": 2**64 - 1, "f": 0.1, "none": None, "null": "null", "list": [1, (2,), {}]}

    assert orjson.loads(encoded_event_data(event_data)) == event_data | {"list": [1, [2], {}]}


@pytest.mark.parametrize("depth", range(1, MAX_EVENT_DATA_DEPTH + 1))
def test_event_data_may_be_as_deep_as_the_limit(depth: int) -> None:
    assert encoded_event_data(nested(depth)) == orjson.dumps(nested(depth))


@pytest.mark.parametrize("depth", [MAX_EVENT_DATA_DEPTH + 1, MAX_EVENT_DATA_DEPTH + 2, 100, 500])
def test_deeper_event_data_is_refused(depth: int) -> None:
    with pytest.raises(ValueError, match=r"^is nested deeper than 10 levels$"):
        encoded_event_data(nested(depth))


def test_wide_event_data_is_not_deep() -> None:
    event_data = {"lists": [[] for _ in range(100)], "objects": [{} for _ in range(100)], "text": "[{" * 100}

    assert encoded_event_data(event_data) == orjson.dumps(event_data)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("depth", [1, 2, 3, MAX_EVENT_DATA_DEPTH])
def test_number_without_a_json_form_is_refused_on_every_level(value: float, depth: int) -> None:
    with pytest.raises(ValueError, match=f"^is not JSON: {value} has no JSON form$"):
        encoded_event_data(nested(depth, value))


@pytest.mark.parametrize("value", [{1, 2}, object(), 2**64, "\ud800", {1: 2}, b"bytes"])
def test_what_is_not_json_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"^is not JSON: "):
        encoded_event_data({"x": value})


@pytest.mark.parametrize("event_data", [{"x": "a\0"}, {"\0": 1}, {"x": [{"y": "\\\0"}]}, {"x": "\\\\\0"}])
def test_nul_character_is_refused(event_data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^must not contain a NUL character$"):
        encoded_event_data(event_data)


@pytest.mark.parametrize("text", ["\\u0000", "\\\\u0000", "a\\b", "\\"])
def test_backslash_is_no_nul_character(text: str) -> None:
    assert orjson.loads(encoded_event_data({"x": text})) == {"x": text}


def test_event_data_may_have_its_largest_size_and_no_byte_more() -> None:
    largest = {"x": "y" * (MAX_EVENT_DATA_BYTES - len(b'{"x":""}'))}

    assert len(encoded_event_data(largest)) == MAX_EVENT_DATA_BYTES
    with pytest.raises(ValueError, match=r"^is 262145 bytes of JSON, the limit is 262144$"):
        encoded_event_data({"x": largest["x"] + "y"})


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["null", "[[[", "\0", "\\u0000"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab\0"), inner),
    max_leaves=12,
)


def depth_of(value: object) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


def members_of(value: object) -> list[object]:
    if isinstance(value, dict):
        return [*value, *(member for inner in value.values() for member in members_of(inner))]
    return [member for inner in value for member in members_of(inner)] if isinstance(value, list) else [value]


@settings(deadline=None)
@given(event_data=st.dictionaries(st.sampled_from("abc"), values), levels=st.integers(0, 11))
def test_event_data_is_taken_exactly_if_it_is_shallow_finite_and_free_of_nul(
    event_data: dict[str, Any], levels: int
) -> None:
    for _ in range(levels):
        event_data = {"a": event_data}
    leaves = members_of(event_data)
    is_fit = (
        depth_of(event_data) <= MAX_EVENT_DATA_DEPTH
        and all(math.isfinite(leaf) for leaf in leaves if isinstance(leaf, float))
        and all(-(2**63) <= leaf < 2**64 for leaf in leaves if isinstance(leaf, int))
        and not any("\0" in leaf for leaf in leaves if isinstance(leaf, str))
    )

    if is_fit:
        assert encoded_event_data(event_data) == orjson.dumps(event_data)
    else:
        with pytest.raises(ValueError, match=r"^is nested deeper|^is not JSON: |^must not contain a NUL"):
            encoded_event_data(event_data)


def test_members_that_are_none_are_left_out_of_the_wire() -> None:
    minimal = event()

    members = orjson.loads(minimal.to_wire())

    assert sorted(members) == sorted([*REQUIRED_ON_THE_WIRE, "event_id"])
    assert AuditEvent.from_wire(members) == minimal


def test_members_that_are_given_are_on_the_wire_in_the_models_order() -> None:
    given_members = {
        "actor_type": "user",
        "actor_ip": "::1",
        "parent_event_date": date(2026, 1, 31),
        "duration_ms": 0,
        "error_message": "",
        "is_sensitive": False,
    }

    members = orjson.loads(event(**given_members, severity=None).to_wire())

    assert list(members) == [name for name in AuditEvent.model_fields if name in members]
    assert {name: members[name] for name in given_members} == given_members | {"parent_event_date": "2026-01-31"}
    assert "severity" not in members


def test_writing_an_event_leaves_it_as_it_is() -> None:
    one = event(severity="high")
    before = dict(one)

    assert one.to_wire() == one.to_wire()
    assert dict(one) == before
    assert one.actor_id is None


def test_members_of_a_subclass_that_are_none_are_left_out_too() -> None:
    fields = event().model_dump(exclude_none=True)

    assert b"remark" not in OneMemberMore(**fields, remark=None).to_wire()
    assert orjson.loads(OneMemberMore(**fields, remark="so").to_wire())["remark"] == "so"
    assert b"remark" not in event().to_wire()


@pytest.mark.parametrize("hours", [0, 2, -11])
def test_timestamp_is_kept_in_utc(hours: int) -> None:
    moment = datetime(2026, 1, 31, 12, tzinfo=UTC).astimezone(timezone(timedelta(hours=hours)))

    kept = event(event_timestamp=moment).event_timestamp

    assert kept.tzinfo is UTC
    assert kept == moment
    assert b'"2026-01-31T12:00:00+00:00"' in event(event_timestamp=moment).to_wire()


@pytest.mark.parametrize("name", REQUIRED_ON_THE_WIRE)
def test_each_required_member_must_be_on_the_wire(name: str) -> None:
    members = orjson.loads(event().to_wire())
    del members[name]

    with pytest.raises(ValidationError) as refusal:
        AuditEvent.from_wire(members)

    assert [(error["loc"], error["type"]) for error in refusal.value.errors()] == [((name,), "missing")]


def test_schema_of_the_members_has_every_field_and_no_validator_of_ours_but_the_address_check() -> None:
    fields = members_schema()["fields"]

    assert list(fields) == list(AuditEvent.model_fields)
    assert [name for name, field in fields.items() if field["required"]] == [
        name for name in AuditEvent.model_fields if name in REQUIRED_ON_THE_WIRE
    ]
    assert [name for name, field in fields.items() if field["schema"]["type"].startswith("function")] == ["actor_ip"]


def test_missing_event_type_is_filled_into_event_data_without_a_change_of_the_argument() -> None:
    given = {"item": "tea"}

    made = event(event_data=given)

    assert made.event_data == {"event_type": "a.b", "item": "tea"}
    assert orjson.loads(made.to_wire())["event_data"] == made.event_data
    assert given == {"item": "tea"}
    assert event(event_data={}).event_data == {"event_type": "a.b"}


@pytest.mark.parametrize("other", ["a.c", "", None, 1])
def test_different_event_type_in_event_data_is_refused(other: object) -> None:
    with pytest.raises(ValidationError, match=r"must repeat the event's event_type, 'a\.b'"):
        event(event_data={"event_type": other})


def test_filled_event_type_counts_for_the_limit_of_event_data() -> None:
    room = MAX_EVENT_DATA_BYTES - len(orjson.dumps({"event_type": "a.b", "x": ""}))

    assert len(orjson.dumps(event(event_data={"x": "x" * room}).event_data)) == MAX_EVENT_DATA_BYTES
    with pytest.raises(ValidationError, match=f"is {MAX_EVENT_DATA_BYTES + 1} bytes of JSON"):
        event(event_data={"x": "x" * (room + 1)})


@pytest.mark.parametrize("of", [AuditEvent, StoredEvent])
def test_event_on_the_wire_must_repeat_its_event_type(of: type[AuditEvent]) -> None:
    document = orjson.loads(event().to_wire()) | {"event_data": {"item": "tea"}}

    with pytest.raises(ValidationError, match="must repeat the event's event_type"):
        of.from_wire(document)

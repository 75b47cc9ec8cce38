"""Reading many events at once gives what reading them one by one gives, rows and refusals alike."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signal_gateway.audit.event import AuditEvent, new_event_id
from signal_gateway.datastorage.backend import EventRow
from signal_gateway.datastorage.http import api
from signal_gateway.datastorage.record import row_of, rows_of
from signal_gateway.web.problem import Problem

MakeEvent = Callable[..., dict[str, Any]]

UUID = "01932c3e-8a00-7000-8000-000000000000"
FULL = {
    "version": '"1.0"',
    "event_id": f'"{UUID}"',
    "event_type": '"a.b"',
    "event_timestamp": '"2026-01-31T12:00:00.123456+02:00"',
    "event_category": '"gateway"',
    "event_action": '"made"',
    "event_outcome": '"success"',
    "correlation_id": '"rr-1"',
    "event_data": '{"event_type":"a.b","n":1,"f":0.1}',
    "actor_type": '"user"',
    "actor_id": '"jane"',
    "actor_ip": '"::1"',
    "resource_type": '"Pod"',
    "resource_id": '"api-1"',
    "parent_event_id": f'"{UUID}"',
    "parent_event_date": '"2026-01-30"',
    "namespace": '"prod"',
    "cluster_id": '"east"',
    "severity": '"high"',
    "duration_ms": "7",
    "error_code": '"E1"',
    "error_message": '"broken"',
    "retention_days": "30",
    "is_sensitive": "true",
}
OPTIONAL = tuple(FULL)[9:]

# raw JSON: what a decoded value could not say, such as 1e999 or one key twice, must get through as well
SUSPECT_TEXTS = (
    '""', '" "', '"a\\u0000b"', '"a\\\\u0000b"', '"a\0b"', '"\\ud800"', '"\\u00e9"', '":null"', '"NaN"',
    *(f'"{"x" * length}"' for length in (10, 11, 20, 21, 36, 50, 51, 100, 101, 253, 254, 255, 256)),
)  # fmt: skip
SUSPECT_VALUES = (
    *SUSPECT_TEXTS,
    "null", "true", "0", "-1", "7", '"7"', "7.0", "7.5", "2555", "2556", "2147483648", "1" * 40, "NaN", "-Infinity",
    "1e999", "[]", "{}", "[1]", '"success"', '"Success"', '"yes"', f'"{UUID.upper()}"', f'"{UUID[:-1]}g"',
    f'"{UUID}\\n"', f'" {UUID}"',
    f'"{UUID.replace("-", "")}"', f'"{{{UUID}}}"', f'"urn:uuid:{UUID}"', '"10.0.0.1"', '"10.0.0.256"', '"fe80::1%eth0"',
    '"2026-01-31"', '"2026-01-31T12:00:00"', '"2026-01-31T12:00:00Z"', '"2026-01-31 12:00:00z"', '"1700000000"',
    '"2026-01-31T12:00:00.123456789Z"', '"0001-01-01T00:00:00+23:00"', '"9999-12-31T23:59:59-23:00"', "1700000000",
    '"2026-01-31T00:00:00Z"', '"2026-01-31T00:00:00+02:00"', '"2026-01-31T00:00:00-02:00"', '"2026-01-31T00:00:00"',
)  # fmt: skip
SUSPECT_DATA = (
    *SUSPECT_VALUES,
    '{"event_type":"c.d"}', '{"event_type":"c.d","event_type":"a.b"}', '{"event_type":"a.b","event_type":"c.d"}',
    '{"event_type":7}', '{"event_type":null}', '["event_type"]', '{"event_type":"a.b","\\u0000":1}',
    *(f'{{"event_type":"a.b","x":{value}}}' for value in SUSPECT_VALUES),
    *(f'{{"event_type":"a.b","x":{"[" * depth}{"]" * depth}}}' for depth in (9, 10, 11, 150)),
    *(f'{{"event_type":"a.b","x":[{",".join(["[]"] * length)}]}}' for length in (8, 9, 20)),
    f'{{"event_type":"a.b","x":[{"[NaN],"  * 20}1]}}', '{"event_type":"a.b","x":-0.0,"y":1E2,"z":18446744073709551615}',
    f'{{"event_type":"a.b","x":"{"x" * (256 * 1024 - 28)}"}}', f'{{"event_type":"a.b","x":"{"x" * (256 * 1024)}"}}',
)  # fmt: skip


def document(members: dict[str, str]) -> str:
    return "{" + ",".join(f'"{name}":{value}' for name, value in members.items()) + "}"


@st.composite
def wire_events(draw: st.DrawFn) -> str:
    """An event as JSON text: valid, or with a few members left out, spoiled, added or repeated."""
    left_out = draw(st.sets(st.sampled_from(OPTIONAL)))
    members = {name: value for name, value in FULL.items() if name not in left_out}
    members["event_id"] = draw(st.sampled_from([FULL["event_id"], f'"{new_event_id()}"']))
    for name in draw(st.lists(st.sampled_from([*FULL, "unknown"]), max_size=2)):
        spoiled = draw(st.sampled_from((None, *(SUSPECT_DATA if name == "event_data" else SUSPECT_VALUES))))
        if spoiled is None:
            members.pop(name, None)
        else:
            members[name] = spoiled
    text = document(members)
    if draw(st.integers(0, 9)) == 0:
        text = text[:-1] + f',"severity":{draw(st.sampled_from(SUSPECT_VALUES))}' + "}"
    return text


odd_items = st.sampled_from(["7", "null", "[]", "{}", '"text"', "NaN", '[{"version":"1.0"}]'])


class Read:
    """What became of a body: the rows, with ids made here left out, or the refusal."""

    def __init__(self, body: bytes) -> None:
        self.rows: Sequence[EventRow] = ()
        self.refusal: tuple[str, Any] | None = None
        try:
            self.rows = asyncio.run(api.read_batch(body, max_events=1000, received_at=5))
        except Problem as problem:
            self.refusal = (problem.detail, problem.members)

    def comparable(self, body: bytes) -> list[str]:
        sent = body.decode().lower()
        return [
            repr(row) if row.event_id == UUID or row.event_id in sent else repr(row).replace(row.event_id, "new")
            for row in self.rows
        ]


def one_by_one(body: bytes) -> Read:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "rows_of", lambda _items, **_: None)
        return Read(body)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(items=st.lists(wire_events() | odd_items, min_size=1, max_size=4))
@pytest.mark.slow
def test_batch_reads_the_same_at_once_and_one_by_one(items: list[str]) -> None:
    body = f"[{','.join(items)}]".encode()

    at_once, singly = Read(body), one_by_one(body)

    assert at_once.refusal == singly.refusal
    assert at_once.comparable(body) == singly.comparable(body)


@pytest.mark.parametrize("name", [*FULL, "unknown"])
def test_every_suspect_value_of_a_member_reads_the_same_both_ways(name: str) -> None:
    for value in SUSPECT_DATA if name == "event_data" else SUSPECT_VALUES:
        body = f"[{document(FULL | {name: value})}]".encode()

        at_once, singly = Read(body), one_by_one(body)

        assert at_once.refusal == singly.refusal, value[:80]
        assert at_once.comparable(body) == singly.comparable(body), value[:80]


@pytest.mark.parametrize("left_out", [(), OPTIONAL, *((name,) for name in OPTIONAL), ("event_id",)])
def test_ordinary_events_need_no_second_look(left_out: tuple[str, ...]) -> None:
    members = {name: value for name, value in FULL.items() if name not in left_out}
    items = json.loads(f"[{document(members)},{document(members | {'unknown': '1'})}]")

    assert rows_of(items, received_at=5) is not None


@pytest.mark.parametrize("name", [name for name in FULL if name not in (*OPTIONAL, "event_id")])
def test_event_without_a_required_member_gets_a_second_look(name: str) -> None:
    members = {member: value for member, value in FULL.items() if member != name}

    assert rows_of(json.loads(f"[{document(members)}]"), received_at=5) is None


def test_rows_are_those_of_the_events(make_wire_event: MakeEvent) -> None:
    documents = [make_wire_event(detail={"n": n}, severity="high" if n % 2 else None) for n in range(7)]

    rows = rows_of(documents, received_at=5)

    assert rows == [row_of(AuditEvent.from_wire(item), received_at=5) for item in documents]


def test_items_are_left_as_they_were(make_wire_event: MakeEvent) -> None:
    documents = [make_wire_event(detail={"deep": {"n": [1, 2]}})]
    before = orjson.dumps(documents)

    rows_of(documents, received_at=5)

    assert orjson.dumps(documents) == before


@pytest.mark.parametrize("size", [199, 200, 201, 1000])
def test_bad_items_are_named_by_their_place_wherever_they_are(make_wire_event: MakeEvent, size: int) -> None:
    documents = [make_wire_event() for _ in range(size)]
    bad = sorted({0, size // 2, size - 1})
    for index in bad:
        documents[index]["severity"] = "x" * 21

    read = Read(orjson.dumps(documents))

    assert read.refusal is not None
    detail, members = read.refusal
    assert detail.startswith(f"{len(bad)} of {size} events are not valid")
    assert [(error.index, error.event_id) for error in members["errors"]] == [
        (index, documents[index]["event_id"]) for index in bad
    ]


@pytest.mark.parametrize("size", [1, 199, 200, 201, 1000])
def test_rows_keep_the_order_of_the_batch_across_turns(make_wire_event: MakeEvent, size: int) -> None:
    documents = [make_wire_event() for _ in range(size)]
    documents[size // 2]["event_id"] = documents[size // 2]["event_id"].upper()

    read = Read(orjson.dumps(documents))

    assert [row.event_id for row in read.rows] == [item["event_id"].lower() for item in documents]

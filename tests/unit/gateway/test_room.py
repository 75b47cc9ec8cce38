"""What the requests of a gateway may take together, and each."""

import pytest

from signal_gateway.gateway.http.admission import Room
from signal_gateway.web.problem import Problem

MEGABYTE = 1024 * 1024
BODY = 4 * MEGABYTE


@pytest.fixture
def room():
    return Room(BODY)


def test_large_bodies_share_the_room_and_give_it_back(room):
    first, second = room.lease(), room.lease()
    first.add_bytes(BODY)

    with pytest.raises(Problem, match="memory") as refusal:
        second.add_bytes(BODY)
    assert (refusal.value.status, refusal.value.headers) == (503, {"Retry-After": "1"})

    second.end()
    first.end()
    room.lease().add_bytes(BODY)


def test_one_alone_gets_what_it_needs(room):
    lease = room.lease()
    lease.add_bytes(BODY)
    lease.add_values(1_000_000)
    lease.add_signals(1_000_000)

    with pytest.raises(Problem):
        room.lease().add_bytes(BODY // 8)


def test_parts_of_a_body_count_as_much_as_the_whole(room):
    whole, parts = Room(BODY).lease(), room.lease()
    whole.add_bytes(BODY)
    for _ in range(64):
        parts.add_bytes(BODY // 64)

    assert parts._taken == whole._taken


def test_small_ones_are_taken_however_full_it_is(room):
    room.lease().add_bytes(5 * BODY)

    for _ in range(1000):
        small = room.lease()
        small.add_bytes(4000)
        small.add_values(200)
        small.add_signals(10)


def test_what_a_refused_one_had_is_given_back(room):
    holder, refused = room.lease(), room.lease()
    holder.add_bytes(BODY)
    refused.add_bytes(BODY // 8)
    with pytest.raises(Problem):
        refused.add_bytes(BODY)

    refused.end()
    holder.end()

    assert room._free == room._total


def test_memory_is_given_back_when_the_last_of_many_has_ended(monkeypatch):
    calls = []
    monkeypatch.setattr("signal_gateway.gateway.http.admission.release_free_memory", lambda: calls.append(1))
    room = Room(BODY)
    small, large = room.lease(), room.lease()
    small.add_bytes(100_000)
    small.end()
    small.add_bytes(100_000)
    large.add_bytes(BODY)

    large.end()
    before = len(calls)
    small.end()

    assert (before, len(calls)) == (0, 1)


def test_values_are_counted_before_they_are_decoded(room):
    assert room.check_values(b'{"a": [1, 2, {}], "b": "x"}') == 6
    with pytest.raises(Problem, match="262144 values"):
        room.check_values(b"[" * 262_145)


def test_small_limits_leave_room_for_what_alertmanager_sends():
    room = Room(1000)

    room.check_values(b"[" * 1000)
    room.check_signals(100)

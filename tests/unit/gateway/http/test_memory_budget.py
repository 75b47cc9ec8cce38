"""The memory that the requests of a gateway may use, together and each."""

import pytest

from signal_gateway.gateway.http.admission import _PER_VALUE, MemoryBudget, Reservation
from signal_gateway.web.problem import Problem

MEGABYTE = 1024 * 1024
BODY = 4 * MEGABYTE


@pytest.fixture
def budget():
    return MemoryBudget(BODY)


def test_large_bodies_share_the_budget_and_give_it_back(budget):
    first, second = Reservation(budget), Reservation(budget)
    first.add_bytes(BODY)

    with pytest.raises(Problem, match="memory") as refusal:
        second.add_bytes(BODY)
    assert (refusal.value.status, refusal.value.headers) == (503, {"Retry-After": "1"})

    second.release()
    first.release()
    Reservation(budget).add_bytes(BODY)


def test_one_alone_gets_what_it_needs(budget):
    reservation = Reservation(budget)
    reservation.add_bytes(BODY)
    reservation.add_values(b"," * 262_144)
    reservation.add_signals(16_384)

    with pytest.raises(Problem):
        Reservation(budget).add_bytes(BODY // 8)


def test_parts_of_a_body_count_as_much_as_the_whole(budget):
    whole, parts = Reservation(MemoryBudget(BODY)), Reservation(budget)
    whole.add_bytes(BODY)
    for _ in range(64):
        parts.add_bytes(BODY // 64)

    assert parts._reserved == whole._reserved


def test_small_ones_are_reserved_however_full_it_is(budget):
    Reservation(budget).add_bytes(5 * BODY)

    for _ in range(1000):
        small = Reservation(budget)
        small.add_bytes(4000)
        small.add_values(b"," * 200)
        small.add_signals(10)


def test_what_a_refused_one_had_is_given_back(budget):
    holder, refused = Reservation(budget), Reservation(budget)
    holder.add_bytes(BODY)
    refused.add_bytes(BODY // 8)
    with pytest.raises(Problem):
        refused.add_bytes(BODY)

    refused.release()
    holder.release()

    assert budget._free == budget._total


def test_memory_is_given_back_when_the_last_of_many_has_ended(monkeypatch):
    calls = []
    monkeypatch.setattr("signal_gateway.gateway.http.admission.release_free_memory", lambda: calls.append(1))
    budget = MemoryBudget(BODY)
    small, large = Reservation(budget), Reservation(budget)
    small.add_bytes(100_000)
    small.release()
    small.add_bytes(100_000)
    large.add_bytes(BODY)

    large.release()
    before = len(calls)
    small.release()

    assert (before, len(calls)) == (0, 1)


def test_values_are_counted_before_they_are_decoded(budget):
    reservation = Reservation(budget)

    reservation.add_values(b'{"a": [1, 2, {}], "b": "x"}')

    assert reservation._needed == 6 * _PER_VALUE
    with pytest.raises(Problem, match="262145, the limit is 262144"):
        Reservation(budget).add_values(b"[" * 262_145)


def test_small_limits_allow_what_alertmanager_sends():
    budget = MemoryBudget(1000)

    reservation = Reservation(budget)
    reservation.add_values(b"[" * 1000)
    reservation.add_signals(100)

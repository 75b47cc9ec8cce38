from datetime import UTC, datetime, timedelta

import pytest

from signal_gateway.gateway.remediation.deduplication import Create, DuplicateOf, decide
from signal_gateway.kubernetes import TERMINAL_PHASES, RemediationRecord

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def record(name, *, phase=None, outcome=None, next_in=None, age=60, being_deleted=False):
    return RemediationRecord(
        uid=f"uid of {name}",
        name=name,
        namespace="kubernaut-system",
        fingerprint="f" * 64,
        phase=phase,
        outcome=outcome,
        created_at=NOW - timedelta(seconds=age),
        next_allowed_execution=None if next_in is None else NOW + timedelta(seconds=next_in),
        resource_version="1",
        being_deleted=being_deleted,
    )


def test_problem_never_seen_is_created():
    assert decide([], now=NOW) == Create()


@pytest.mark.parametrize(
    "phase",
    [None, "Pending", "Processing", "Analyzing", "AwaitingApproval", "Executing", "Verifying", "Blocked", "Unheard"],
)
def test_active_one_makes_a_duplicate(phase):
    active = record("a", phase=phase)

    assert decide([active], now=NOW) == DuplicateOf(active)


@pytest.mark.parametrize("phase", sorted(TERMINAL_PHASES))
def test_ended_one_allows_the_next(phase):
    assert decide([record("a", phase=phase, outcome="Remediated")], now=NOW) == Create()


def test_one_being_deleted_is_not_active():
    assert decide([record("a", phase="Executing", being_deleted=True)], now=NOW) == Create()


def test_of_two_active_ones_the_older_counts_and_it_is_told():
    older, younger = record("z", age=61), record("a", age=60)

    assert decide([younger, older], now=NOW) == DuplicateOf(older, rivals=(younger,))


def test_of_two_active_ones_of_one_second_the_first_by_name_counts():
    first, second = record("a"), record("b")

    assert decide([second, first], now=NOW) == DuplicateOf(first, rivals=(second,))


def test_active_one_wins_over_manual_review():
    active, in_review = record("a", age=1), record("b", phase="Completed", outcome="ManualReviewRequired")

    assert decide([in_review, active], now=NOW) == DuplicateOf(active)


def test_manual_review_holds_the_problem():
    in_review = record("a", phase="Failed", outcome="ManualReviewRequired")
    blocked = record("b", phase="Failed", next_in=60)

    assert decide([blocked, in_review], now=NOW) == DuplicateOf(in_review)


def test_block_that_ends_last_holds_the_problem_until_it_has_passed():
    short, long = record("a", phase="Failed", next_in=10), record("b", phase="Failed", next_in=20)

    assert decide([long, short], now=NOW) == DuplicateOf(long)
    assert decide([long, short], now=NOW + timedelta(seconds=20)) == Create()


def test_outcome_of_one_that_has_not_ended_does_not_matter():
    deleted = record("a", phase="Executing", outcome="ManualReviewRequired", next_in=60, being_deleted=True)

    assert decide([deleted], now=NOW) == Create()

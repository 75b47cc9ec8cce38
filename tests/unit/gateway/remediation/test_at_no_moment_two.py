"""However many replicas, at no moment two active RemediationRequests of one problem: all that may happen is tried."""

import pytest
from tests.support.replicas_model import Found, Rules, begin, search

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("what", "states"),
    [
        ({"requests": (0, 1), "losses": 1, "ends": 2, "deletions": 1, "restarts": 0}, 30_000),
        ({"requests": (0, 1), "losses": 1, "ends": 1, "deletions": 1, "restarts": 1, "ended": 1}, 60_000),
        ({"requests": (0, 0, 1), "losses": 1, "ends": 1, "deletions": 0, "restarts": 0}, 200_000),
        ({"requests": (0, 1, 1), "losses": 0, "ends": 1, "deletions": 1, "restarts": 0, "ended": 1}, 50_000),
        ({"requests": (0, 1, 2), "losses": 1, "ends": 0, "deletions": 0, "restarts": 0, "ended": 1}, 20_000),
    ],
    ids=["lost answers", "a replica that dies", "two signals at one", "deletions", "three replicas"],
)
def test_nothing_that_can_happen_makes_two(what, states):
    assert search(begin(**what)) > states


@pytest.mark.parametrize(
    ("rules", "what", "found"),
    [
        (Rules(name_tells_history=False), {"ends": 1}, "finds no name"),
        (Rules(newest_by_chain=False), {"ends": 0, "ended": 2}, "finds no name"),
        (Rules(conflict_is_read=False), {"ends": 0}, "finds no name"),
        (Rules(count_checks_version=False), {"ends": 1}, "a duplicate was counted on u0, which is ended"),
        (Rules(own_create_is_known=False), {"ends": 0, "losses": 1}, "counted on the object that it made itself"),
        (Rules(deletions="young"), {"requests": (0, 1, 1), "ends": 1, "deletions": 1}, "two are active"),
    ],
    ids=["names without history", "newest by timestamp", "409 unread", "count without version", "own unknown", "young"],
)
def test_search_finds_what_each_rule_is_there_for(rules, what, found):
    defaults = {"requests": (0, 1), "losses": 0, "deletions": 0, "restarts": 0}

    with pytest.raises(Found, match=found) as counterexample:
        search(begin(**defaults | what), rules)

    assert 5 <= len(counterexample.value.trace) <= 20


def test_deleting_all_but_the_newest_is_safe_once_everybody_has_heard_of_their_end():
    first = begin(requests=(0, 1), losses=1, ends=1, deletions=1, restarts=0, ended=2)

    assert search(first, Rules(deletions="all but the newest")) > 10_000


def test_deleting_what_not_everybody_has_heard_of_makes_two_at_a_replica_that_is_episodes_behind():
    """Why the gateway creates nothing while its watch is lost: docs/decisions/0050."""
    first = begin(requests=(0, 1), losses=0, ends=0, deletions=1, restarts=0, ended=3, behind=2)

    with pytest.raises(Found, match="two are active") as counterexample:
        search(first, Rules(deletions="young but the newest"))

    assert "u1 is gone" in counterexample.value.trace
    assert search(first, Rules(deletions="all but the newest")) > 100


def test_deletion_that_one_replica_has_not_heard_of_is_the_one_way_to_two():
    """What no name can help against: docs/decisions/0050."""
    first = begin(requests=(0, 1), losses=0, ends=0, deletions=1, restarts=0, ended=1)

    with pytest.raises(Found, match="two are active") as counterexample:
        search(first, Rules(deletions="unheard"))

    assert [line for line in counterexample.value.trace if "gone" in line or "creates" in line] == [
        "u0 is gone",
        "signal 0 creates u1",
        "signal 1 creates u2",
    ]

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_gateway.clock import MovableClock
from signal_gateway.kubernetes import ApiUnavailable, KubernetesError, RemediationRecord, RemediationRequestIndex

FINGERPRINT = "91fce8d5c4949766458bd4bd58859a4fb2e8470ef64ef438c22903744799a9b1"
OTHER = "54010c454af195aadec824d25dba6fa52adfcc717f0b3f0430e4111acddfe728"


@pytest.fixture
def clock():
    return MovableClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def index(clock):
    return RemediationRequestIndex("kubernaut-system", clock=clock)


def records(*objects):
    return [RemediationRecord.from_object(obj) for obj in objects]


def seen(index, fingerprint=FINGERPRINT):
    return [(record.uid, int(record.resource_version)) for record in index.by_fingerprint(fingerprint)]


def test_listed_objects_are_found_by_fingerprint_oldest_first(index, make_stored_request):
    young = make_stored_request("u1", 5, creationTimestamp="2026-01-31T12:00:03Z")
    old = make_stored_request("u2", 6, creationTimestamp="2026-01-31T12:00:02Z")
    same_age = make_stored_request("u3", 7, name="rr-a", creationTimestamp="2026-01-31T12:00:03Z")
    other = make_stored_request("u4", 8, fingerprint=OTHER)

    index.replace(records(young, old, same_age, other), "9")

    assert [uid for uid, _ in seen(index)] == ["u2", "u3", "u1"]
    assert seen(index, OTHER) == [("u4", 8)]
    assert index.by_fingerprint("0" * 64) == ()
    assert index.resource_version == "9"


def test_events_are_taken_over(index, make_stored_request):
    index.replace([], "5")

    index.apply("ADDED", make_stored_request("u1", 6))
    index.apply("MODIFIED", make_stored_request("u1", 8, phase="Failed"))
    index.apply("ADDED", make_stored_request("u2", 9))
    index.apply("DELETED", make_stored_request("u2", 10))
    index.apply("BOOKMARK", {"metadata": {"resourceVersion": "12"}})

    assert seen(index) == [("u1", 8)]
    assert index.by_fingerprint(FINGERPRINT)[0].phase == "Failed"
    assert index.resource_version == "12"


def test_own_write_is_seen_at_once(index, make_stored_request):
    index.replace([], "5")

    index.note(make_stored_request("u1", 6))

    assert seen(index) == [("u1", 6)]
    assert index.resource_version == "5"  # the watch has yet to get there


def test_late_event_does_not_take_back_an_own_write(index, make_stored_request):
    index.replace(records(make_stored_request("u1", 5)), "5")
    index.note(make_stored_request("u1", 8, phase="Completed"))

    index.apply("MODIFIED", make_stored_request("u1", 7, phase="Pending"))

    assert seen(index) == [("u1", 8)]
    assert index.by_fingerprint(FINGERPRINT)[0].phase == "Completed"


def test_late_answer_does_not_take_back_an_event(index, make_stored_request):
    index.replace(records(make_stored_request("u1", 5)), "5")
    index.apply("MODIFIED", make_stored_request("u1", 8, phase="Completed"))

    index.note(make_stored_request("u1", 7, phase="Pending"))

    assert seen(index) == [("u1", 8)]


def test_late_answer_does_not_bring_back_what_was_deleted(index, make_stored_request):
    index.replace(records(make_stored_request("u1", 5)), "5")
    index.apply("DELETED", make_stored_request("u1", 9))

    index.note(make_stored_request("u1", 8))

    assert seen(index) == []


def test_list_drops_what_it_does_not_have(index, make_stored_request):
    index.replace(records(make_stored_request("u1", 5), make_stored_request("u2", 6)), "6")

    index.begin_listing()
    index.replace(records(make_stored_request("u2", 6)), "9")

    assert seen(index) == [("u2", 6)]


def test_own_write_during_a_list_outlives_it(index, make_stored_request):
    index.replace(records(make_stored_request("u1", 5)), "5")
    index.begin_listing()
    index.note(make_stored_request("u2", 11))
    index.note(make_stored_request("u1", 12, phase="Failed"))
    index.note(make_stored_request("u1", 10))

    index.replace(records(make_stored_request("u1", 5)), "9")

    assert sorted(seen(index)) == [("u1", 12), ("u2", 11)]


def test_own_write_that_the_list_knows_to_be_gone_does_not_outlive_it(index, make_stored_request):
    index.replace([], "5")
    index.begin_listing()
    index.note(make_stored_request("u1", 7))

    index.replace([], "9")

    assert seen(index) == []


def test_object_forgotten_during_a_list_does_not_outlive_it(index, make_stored_request):
    index.replace([], "5")
    index.begin_listing()
    index.note(make_stored_request("u1", 11))
    index.forget("u1")

    index.replace([], "9")

    assert seen(index) == []


def test_cluster_restored_from_an_older_backup_is_believed(index, make_stored_request):
    index.replace(records(make_stored_request("u1", 50), make_stored_request("u2", 60)), "60")

    index.begin_listing()
    index.replace(records(make_stored_request("u1", 20)), "30")
    index.apply("MODIFIED", make_stored_request("u1", 31))

    assert seen(index) == [("u1", 31)]
    assert index.resource_version == "31"


def test_forgotten_object_is_gone_and_an_unknown_one_does_no_harm(index, make_stored_request):
    index.replace(records(make_stored_request("u1", 5)), "5")

    index.forget("u1")
    index.forget("never heard of")

    assert seen(index) == []


def test_index_is_alive_for_ninety_seconds_after_a_sign_of_life(index, clock):
    assert not index.is_synced
    assert not index.is_alive

    index.replace([], "5")
    index.mark_alive()
    clock.advance(90)
    assert index.is_alive

    clock.advance(0.001)
    assert index.is_synced
    assert not index.is_alive

    index.apply("BOOKMARK", {"metadata": {"resourceVersion": "6"}})
    assert index.is_alive


def test_last_error_stays_until_the_next_sign_of_life(index):
    error = ApiUnavailable("gone for a moment")

    index.mark_failed(error)
    assert index.last_error is error

    index.mark_alive()
    assert index.last_error is None


def test_uid_of_the_namespace_is_not_guessed(index):
    with pytest.raises(KubernetesError, match="not known yet"):
        _ = index.namespace_uid

    index.identify({"metadata": {"uid": "a-uid"}})

    assert index.namespace_uid == "a-uid"


@given(st.data())
def test_answers_in_any_order_between_events_end_in_the_latest_state(data):
    """A world of one object: the watch tells its history in order, answers to writes come at any time."""
    history = data.draw(st.integers(2, 6))
    is_deleted = data.draw(st.booleans())
    answers = data.draw(st.lists(st.tuples(st.integers(0, history), st.integers(1, history - 1)), max_size=8))
    index = RemediationRequestIndex("kubernaut-system", clock=MovableClock(datetime(2026, 1, 1, tzinfo=UTC)))
    index.replace([], "0")

    for version in range(1, history + 1):
        if version == history and is_deleted:
            index.apply("DELETED", object_at(version))
        else:
            index.apply("MODIFIED", object_at(version))
        for _, answer in (pair for pair in answers if pair[0] == version):
            index.note(object_at(answer))

    assert seen(index) == ([] if is_deleted else [("u1", history)])


def object_at(version):
    return {
        "metadata": {
            "uid": "u1",
            "name": "rr-u1",
            "namespace": "kubernaut-system",
            "creationTimestamp": "2026-01-31T12:00:01Z",
            "resourceVersion": str(version),
        },
        "spec": {"signalFingerprint": FINGERPRINT},
    }

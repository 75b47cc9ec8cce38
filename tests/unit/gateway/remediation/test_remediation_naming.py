import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from signal_gateway.gateway.remediation.requests import newest_ended, remediation_request_name
from signal_gateway.kubernetes import RemediationRecord

FINGERPRINT = "91fce8d5c4949766458bd4bd58859a4fb2e8470ef64ef438c22903744799a9b1"
START = datetime(2026, 1, 1, tzinfo=UTC)


def record(uid, name, *, created_at=START, phase="Completed", being_deleted=False):
    return RemediationRecord(
        uid=uid,
        name=name,
        namespace="kubernaut-system",
        fingerprint=FINGERPRINT,
        phase=phase,
        outcome=None,
        created_at=created_at,
        next_allowed_execution=None,
        resource_version="1",
        being_deleted=being_deleted,
    )


def name_after(uid, clashes=0):
    return remediation_request_name(namespace_uid="ns", fingerprint=FINGERPRINT, previous_uid=uid, clashes=clashes)


def newest(*records):
    return newest_ended(records, namespace_uid="ns", fingerprint=FINGERPRINT)


def test_name_is_derived_from_namespace_problem_history_and_clashes():
    name = remediation_request_name(namespace_uid="ns", fingerprint=FINGERPRINT, previous_uid="u1", clashes=2)

    expected = sha256(f"ns:{FINGERPRINT}:u1:2".encode()).hexdigest()[:8]
    assert name == f"rr-91fce8d5c494-{expected}"
    assert re.fullmatch(r"rr-[a-f0-9]{12}-[a-f0-9]{8}", name)


def test_name_of_a_problem_without_history_has_an_empty_uid():
    name = remediation_request_name(namespace_uid="ns", fingerprint=FINGERPRINT)

    assert name.endswith(sha256(f"ns:{FINGERPRINT}::0".encode()).hexdigest()[:8])


def test_nothing_has_ended_when_all_are_active():
    assert newest() is None
    assert newest(record("u1", "a", phase="Pending"), record("u2", "b", phase=None)) is None


def test_newest_ended_is_the_one_created_last():
    late = record("u1", "a", created_at=START + timedelta(seconds=1))

    assert newest(record("u2", "z"), late, record("u3", "b")) == late


def test_one_being_deleted_counts_as_ended():
    deleted = record("u1", "a", phase="Executing", being_deleted=True)

    assert newest(deleted) == deleted


def test_episodes_within_one_second_are_told_apart_by_the_chain_of_names():
    first = record("u1", name_after(None))
    second = record("u2", name_after("u1"))
    third = record("u3", name_after("u2", clashes=1))

    for known in ([first, second, third], [third, second, first], [second, third, first]):
        assert newest(*known) == third


def test_chain_leads_on_where_the_clock_of_the_api_went_backwards():
    first = record("u1", name_after(None), created_at=START + timedelta(hours=1))
    second = record("u2", name_after("u1"), created_at=START)

    assert newest(first, second) == second

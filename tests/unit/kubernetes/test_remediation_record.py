from datetime import UTC, datetime

import pytest

from signal_gateway.kubernetes import TERMINAL_PHASES, ApiUnavailable, RemediationRecord


def test_new_object_reads_as_active_and_seen_once(make_stored_request):
    record = RemediationRecord.from_object(make_stored_request("u1", 7))

    assert (record.uid, record.name, record.namespace) == ("u1", "rr-u1", "kubernaut-system")
    assert (record.phase, record.outcome, record.next_allowed_execution) == (None, None, None)
    assert (record.occurrence_count, record.first_seen_at, record.last_seen_at) == (1, None, None)
    assert record.created_at == datetime(2026, 1, 31, 12, 0, 1, tzinfo=UTC)
    assert record.resource_version == "7"
    assert record.is_active
    assert not record.is_terminal


def test_whole_status_is_read(make_stored_request):
    obj = make_stored_request("u1", 7) | {
        "status": {
            "overallPhase": "Completed",
            "completionStatus": {"outcome": "ManualReviewRequired"},
            "routingStatus": {"nextAllowedExecution": "2026-02-01T00:00:00Z"},
            "deduplication": {
                "occurrenceCount": 4,
                "firstSeenAt": "2026-01-31T12:00:01Z",
                "lastSeenAt": "2026-01-31T13:00:00.123456789+01:00",
            },
        }
    }

    record = RemediationRecord.from_object(obj)

    assert (record.phase, record.outcome, record.occurrence_count) == ("Completed", "ManualReviewRequired", 4)
    assert record.next_allowed_execution == datetime(2026, 2, 1, tzinfo=UTC)
    assert record.first_seen_at == datetime(2026, 1, 31, 12, 0, 1, tzinfo=UTC)
    assert record.last_seen_at == datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
    assert record.is_terminal


@pytest.mark.parametrize(
    ("phase", "is_terminal"),
    [*((phase, True) for phase in sorted(TERMINAL_PHASES)), ("Pending", False), ("Blocked", False), ("", False)],
)
def test_phase_tells_what_has_ended(make_stored_request, phase, is_terminal):
    record = RemediationRecord.from_object(make_stored_request("u1", 7, phase=phase))

    assert record.is_terminal == is_terminal
    assert record.is_active == (not is_terminal)


def test_object_being_deleted_is_not_active(make_stored_request):
    record = RemediationRecord.from_object(make_stored_request("u1", 7, deletionTimestamp="2026-01-31T12:30:00Z"))

    assert record.being_deleted
    assert not record.is_active
    assert not record.is_terminal


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"name": "rr-u1", "uid": "u1"}},
        {"metadata": None},
        {"spec": {}},
        {"status": {"routingStatus": {"nextAllowedExecution": "tomorrow"}}},
        {"status": {"routingStatus": {"nextAllowedExecution": "2026-02-01T00:00:00"}}},
        {"status": "Completed"},
    ],
)
def test_object_that_cannot_be_read_is_named_and_transient(make_stored_request, change):
    with pytest.raises(ApiUnavailable, match="unreadable") as caught:
        RemediationRecord.from_object(make_stored_request("u1", 7) | change)

    assert caught.value.is_transient
    assert change.get("metadata", "rr-u1") is None or "rr-u1" in str(caught.value)


def test_resource_version_that_is_no_number_cannot_be_read(make_stored_request):
    with pytest.raises(ApiUnavailable, match="resourceVersion"):
        RemediationRecord.from_object(make_stored_request("u1", "7a"))

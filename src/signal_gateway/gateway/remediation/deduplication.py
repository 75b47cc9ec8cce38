"""Is this problem being handled already? The decision table, as a pure function."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from signal_gateway.kubernetes import RemediationRecord

__all__ = ["Create", "DuplicateOf", "Verdict", "decide"]

_MANUAL_REVIEW = "ManualReviewRequired"


@dataclass(frozen=True, slots=True)
class Create:
    """Nothing handles the problem now."""


@dataclass(frozen=True, slots=True)
class DuplicateOf:
    """The problem is being handled.

    Attributes:
        record: By which RemediationRequest.
        rivals: Other active ones, which must not be; oldest first.
    """

    record: RemediationRecord
    rivals: tuple[RemediationRecord, ...] = ()


Verdict = Create | DuplicateOf


def decide(records: Iterable[RemediationRecord], *, now: datetime) -> Verdict:
    """Decide by what a fingerprint's RemediationRequests say; the first row that matches wins.

    1. An active one: the oldest. 2. One that ended in manual review. 3. One that forbids the next attempt
    until a moment still to come: the latest such. 4. Otherwise create.

    Args:
        records: All RemediationRequests of one fingerprint.
        now: Aware.
    """
    records = list(records)
    active = sorted((record for record in records if record.is_active), key=_age)
    if active:
        return DuplicateOf(active[0], rivals=tuple(active[1:]))

    terminal = [record for record in records if record.is_terminal]
    in_review = [record for record in terminal if record.outcome == _MANUAL_REVIEW]
    if in_review:
        return DuplicateOf(max(in_review, key=_age))

    blocked = [
        (record.next_allowed_execution, record.name, record)
        for record in terminal
        if record.next_allowed_execution is not None and record.next_allowed_execution > now
    ]
    if blocked:
        return DuplicateOf(max(blocked, key=lambda item: item[:2])[2])
    return Create()


def _age(record: RemediationRecord) -> tuple[datetime, str]:
    return record.created_at, record.name

"""Outcome: what became of one signal."""

from dataclasses import dataclass
from typing import Literal

from signal_gateway.errors import GatewayError
from signal_gateway.gateway.signals.signal import RejectedSignal
from signal_gateway.kubernetes import RemediationRecord

__all__ = ["Failure", "Outcome", "Status", "Undecided"]

Status = Literal["created", "duplicate", "rejected", "resolved", "invalid", "failed"]
Failure = Literal["refused", "transient", "deadline"]


class Undecided(GatewayError):  # noqa: N818 - a state, which passes
    """What to do about a signal could not be told now; sent again, it may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one signal.

    Attributes:
        status: What was decided.
        message: One sentence for the sender; never an exception's text.
        fingerprint: Which problem it is about; None if it has no target.
        record: The RemediationRequest that was created, or that it is a duplicate of.
        occurrence_count: Which occurrence a duplicate is.
        first_occurrence: When the problem was first seen, in RFC 3339; for duplicates.
        last_occurrence: When it was last seen, in RFC 3339; for duplicates.
        rejection: Why nothing is done, for a `rejected` one.
        failure: Why it `failed`: refused by the API for good, for a reason that passes, or by the deadline.
        retry_after: How many seconds the sender should wait, where that is known.
    """

    status: Status
    message: str
    fingerprint: str | None
    record: RemediationRecord | None = None
    occurrence_count: int | None = None
    first_occurrence: str | None = None
    last_occurrence: str | None = None
    rejection: RejectedSignal | None = None
    failure: Failure | None = None
    retry_after: float | None = None

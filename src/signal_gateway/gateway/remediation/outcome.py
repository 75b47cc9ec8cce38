"""Incoming, Prepared and Outcome: a signal before its preparation, after it, and its result."""

from dataclasses import dataclass
from typing import Literal

from signal_gateway.errors import GatewayError
from signal_gateway.gateway.signals.adapter import ParsedSignal
from signal_gateway.gateway.signals.signal import RejectedSignal, Signal
from signal_gateway.kubernetes import RemediationRecord

__all__ = ["Failure", "Incoming", "Outcome", "OutcomeStatus", "Prepared", "Undecided"]

OutcomeStatus = Literal["created", "duplicate", "rejected", "resolved", "invalid", "failed"]
Failure = Literal["refused", "transient", "deadline"]


class Undecided(GatewayError):  # noqa: N818 - a state, which passes
    """The gateway cannot decide about a signal right now; the sender has to retry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """One signal of one request.

    Attributes:
        signal: The signal after parsing.
        signal_type: `signalType` of its adapter, such as `alert`.
        request_id: Id of the request.
        idempotency_key: Unique to this signal of this request.
        deadline: Time of the running loop after which no further step starts.
    """

    signal: ParsedSignal
    signal_type: str
    request_id: str
    idempotency_key: str
    deadline: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A firing signal that is in scope, with the workload to remediate as its target.

    Attributes:
        signal: The signal.
        fingerprint: The fingerprint of the signal.
        signal_type: `signalType` of its adapter, such as `alert`.
        request_id: Id of the request.
        idempotency_key: Unique to this signal of this request.
        deadline: Time of the running loop after which no further step starts.
    """

    signal: Signal
    fingerprint: str
    signal_type: str
    request_id: str
    idempotency_key: str
    deadline: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of one signal.

    Attributes:
        status: The decision.
        message: One sentence for the sender; never the text of an exception.
        fingerprint: The fingerprint of the signal; None without a target.
        record: The new RemediationRequest, or the active one of a duplicate.
        occurrence_count: The number of the occurrence, for a duplicate.
        first_occurrence: Time of the first occurrence in RFC 3339, for a duplicate.
        last_occurrence: Time of the last occurrence in RFC 3339, for a duplicate.
        rejection: The reason of a rejected signal.
        failure: The reason of a failed signal: refused by the API, a transient error, or the deadline.
        retry_after: Seconds until the sender should retry, if known.
        reason: Short code of a signal that is not handled: rejected, invalid or failed; else None.
        cause: The text of the exception of a failed signal. It is for the log, never for the sender.
    """

    status: OutcomeStatus
    message: str
    fingerprint: str | None
    record: RemediationRecord | None = None
    occurrence_count: int | None = None
    first_occurrence: str | None = None
    last_occurrence: str | None = None
    rejection: RejectedSignal | None = None
    failure: Failure | None = None
    retry_after: float | None = None
    reason: str | None = None
    cause: str | None = None

"""The response models: the shape of each response body, also the source of the OpenAPI description."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict

__all__ = [
    "BatchResponse",
    "HealthStatus",
    "Occurrences",
    "Readiness",
    "Rejection",
    "SignalResponse",
    "SignalResult",
    "Summary",
]


class Rejection(TypedDict):
    """The reason for rejecting a signal, and the remedy.

    Attributes:
        reason: Short code, such as `not_managed`.
        resource: The target of the signal, as `namespace/Kind/name`; empty if it has none.
        message: The reason as text.
        action: The command that opts the target in; empty if there is none.
    """

    reason: str
    resource: str
    message: str
    action: str


class Occurrences(TypedDict):
    """The occurrences of a problem.

    Attributes:
        count: Number of occurrences so far, including this one.
        firstOccurrence: Time of the first occurrence.
        lastOccurrence: Time of the last occurrence.
        remediationRequestRef: The RemediationRequest of the problem, as `namespace/name`.
    """

    count: int
    firstOccurrence: str
    lastOccurrence: str
    remediationRequestRef: str


class SignalResponse(TypedDict):
    """The outcome of the only signal of a request.

    Attributes:
        status: The outcome.
        message: The outcome as text.
        fingerprint: Fingerprint of the problem; null for a signal without a target.
        duplicate: Whether an active RemediationRequest already handles the problem.
        rejection: The reason, for the outcome `rejected`.
        remediationRequestName: Name of the RemediationRequest that was created or already handles the problem.
        remediationRequestNamespace: Namespace of that RemediationRequest.
        remediationRequestUid: UID of that RemediationRequest.
        metadata: The occurrences, for the outcome `duplicate`.
        truncatedAlerts: Number of alerts that the sender left out of the request, if any.
    """

    status: Literal["created", "duplicate", "rejected", "resolved"]
    message: str
    fingerprint: str | None
    duplicate: bool
    rejection: NotRequired[Rejection]
    remediationRequestName: NotRequired[str]
    remediationRequestNamespace: NotRequired[str]
    remediationRequestUid: NotRequired[str]
    metadata: NotRequired[Occurrences]
    truncatedAlerts: NotRequired[int]


class SignalResult(TypedDict):
    """The outcome of one of several signals.

    Attributes:
        status: The outcome.
        fingerprint: Fingerprint of the problem; null for a signal without a target.
        message: The outcome as text.
        error: The error, for the outcomes `invalid` and `failed`; null otherwise.
    """

    status: Literal["created", "duplicate", "rejected", "resolved", "invalid", "failed"]
    fingerprint: str | None
    message: str
    error: str | None


class Summary(TypedDict):
    """The number of signals per outcome.

    Attributes:
        total: All signals, the sum of the other numbers.
        created: Signals that created a RemediationRequest.
        deduplicated: Signals that an active RemediationRequest already handles.
        rejected: Signals that were rejected or invalid.
        resolved: Signals that report the end of a problem.
        failed: Signals that could not be processed.
    """

    total: int
    created: int
    deduplicated: int
    rejected: int
    resolved: int
    failed: int


class BatchResponse(TypedDict):
    """The outcomes of several signals.

    Attributes:
        results: One result per signal, in the order of the request.
        summary: The number of signals per outcome.
        truncatedAlerts: Number of alerts that the sender left out of the request, if any.
    """

    results: list[SignalResult]
    summary: Summary
    truncatedAlerts: NotRequired[int]


class HealthStatus(TypedDict):
    """The response of a running process.

    Attributes:
        status: Always `ok`.
    """

    status: Literal["ok"]


class Readiness(TypedDict):
    """The response of a gateway that can process signals.

    Attributes:
        status: Always `ready`.
        checks: The result of each check; `ok` if it passed.
    """

    status: Literal["ready"]
    checks: dict[str, str]

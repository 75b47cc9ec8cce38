"""What requests with signals are answered with: the answers and their OpenAPI description are both made from it."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict

__all__ = ["BatchAnswer", "Occurrences", "Ready", "Rejection", "SignalAnswer", "SignalResult", "Status", "Summary"]


class Rejection(TypedDict):
    """Why nothing is done about a signal, and how that could be changed.

    Attributes:
        reason: Short code, such as `not_managed`.
        resource: What the signal is about: `namespace/Kind/name`.
        message: For people.
        action: The command that would opt the target in; empty for none.
    """

    reason: str
    resource: str
    message: str
    action: str


class Occurrences(TypedDict):
    """How often a problem was seen.

    Attributes:
        count: Which occurrence this is.
        firstOccurrence: When it was first seen.
        lastOccurrence: When it was last seen.
        remediationRequestRef: What handles it, as `namespace/name`.
    """

    count: int
    firstOccurrence: str
    lastOccurrence: str
    remediationRequestRef: str


class SignalAnswer(TypedDict):
    """What became of the only signal of a request.

    Attributes:
        status: What was decided.
        message: For people.
        fingerprint: Which problem it is about; null if it has no target.
        duplicate: Whether something handles the problem already.
        rejection: Of a `rejected` one.
        remediationRequestName: Of one that was created, or that handles the problem already.
        remediationRequestNamespace: Its namespace.
        remediationRequestUid: Its uid.
        metadata: Of a `duplicate`.
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


class SignalResult(TypedDict):
    """What became of one of several signals.

    Attributes:
        status: What was decided.
        fingerprint: Which problem it is about; null if it has no target.
        message: For people.
        error: What is wrong with one that is `invalid` or `failed`; null otherwise.
    """

    status: Literal["created", "duplicate", "rejected", "resolved", "invalid", "failed"]
    fingerprint: str | None
    message: str
    error: str | None


class Summary(TypedDict):
    """How many signals came to what; those that are invalid count as rejected.

    Attributes:
        total: All of them, which the others add up to.
        created: A RemediationRequest was created.
        deduplicated: Something handles the problem already.
        rejected: Nothing is to be done, or nothing can be.
        resolved: The problem is over.
        failed: It could not be handled.
    """

    total: int
    created: int
    deduplicated: int
    rejected: int
    resolved: int
    failed: int


class BatchAnswer(TypedDict):
    """What became of several signals.

    Attributes:
        results: One for each, in the order of the request.
        summary: How many came to what.
    """

    results: list[SignalResult]
    summary: Summary


class Status(TypedDict):
    """That it runs.

    Attributes:
        status: `ok`.
    """

    status: Literal["ok"]


class Ready(TypedDict):
    """That signals can be handled now.

    Attributes:
        status: `ready`.
        checks: What was looked at, and how it is.
    """

    status: Literal["ready"]
    checks: dict[str, str]

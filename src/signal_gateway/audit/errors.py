"""Exceptions of the audit package."""

from signal_gateway.errors import AuditError

__all__ = [
    "AuditStoreClosed",
    "AuditStoreFull",
    "AuditTrailMismatch",
    "DataStorageUnavailable",
    "InvalidAuditEvent",
    "RecursiveAuditEvent",
    "TokenRefused",
]


class AuditStoreClosed(AuditError):  # noqa: N818 - public name
    """`record` was called after `close`. The event is not recorded."""


class AuditStoreFull(AuditError):  # noqa: N818 - public name
    """The spool reached its limit in bytes. The event is not recorded; no older event is dropped."""


class InvalidAuditEvent(AuditError, ValueError):  # noqa: N818 - public name
    """The event violates a rule of the wire format. The message names the field, the value and the rule."""


class RecursiveAuditEvent(AuditError):  # noqa: N818 - public name
    """`record` was called inside the store's own HTTP call or logging. The event is not recorded."""


class DataStorageUnavailable(AuditError):  # noqa: N818 - public name
    """No DataStorage responds at the URL. The message names the URL, the source of the URL and the cause.

    Attributes:
        answered: Whether a server responded: an unexpected server, or a DataStorage with a failure.
    """

    def __init__(self, message: str, *, answered: bool) -> None:
        super().__init__(message)
        self.answered = answered


class TokenRefused(DataStorageUnavailable):
    """DataStorage refused the request for lack of a token, of a valid token, or of a scope. The message has the reason.

    Attributes:
        missing_scope: Scope that the token lacks, such as `read`; None if the scope is not the reason or not known.
    """

    def __init__(self, message: str, *, missing_scope: str | None) -> None:
        super().__init__(message, answered=True)
        self.missing_scope = missing_scope


class AuditTrailMismatch(AuditError, AssertionError):  # noqa: N818 - public name
    """The audit trail differs from the expectation. The message contains the timeline of the trail."""

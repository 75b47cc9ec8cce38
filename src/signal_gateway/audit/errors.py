"""What the audit room raises."""

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
    """`record` was called after `close`: the event was not taken."""


class AuditStoreFull(AuditError):  # noqa: N818 - public name
    """The spool reached its limit in bytes: the event was not taken, and nothing older was dropped for it."""


class InvalidAuditEvent(AuditError, ValueError):  # noqa: N818 - public name
    """The event breaks a rule of the wire format; the message names the field, the value and the rule."""


class RecursiveAuditEvent(AuditError):  # noqa: N818 - public name
    """`record` was called from within the store's own HTTP call or logging: the event was not taken."""


class DataStorageUnavailable(AuditError):  # noqa: N818 - public name
    """No DataStorage answers at the URL; the message names the URL, where it came from and the cause.

    Attributes:
        answered: Whether something answered that is no DataStorage, or one out of order; else nothing did.
    """

    def __init__(self, message: str, *, answered: bool) -> None:
        super().__init__(message)
        self.answered = answered


class TokenRefused(DataStorageUnavailable):
    """DataStorage wants a token, another one, or one that may do more; the message has its reason.

    Attributes:
        missing_scope: What the token is not good for, such as `read`; None if it is not that, or wasn't said.
    """

    def __init__(self, message: str, *, missing_scope: str | None) -> None:
        super().__init__(message, answered=True)
        self.missing_scope = missing_scope


class AuditTrailMismatch(AuditError, AssertionError):  # noqa: N818 - public name
    """The trail is not what was claimed; the message prints the timeline that was found."""

"""Errors as `Status` objects, with the reasons, codes and messages of the real API server.

The forms follow `k8s.io/apimachinery/pkg/api/errors` and `.../util/validation/field`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from signal_gateway.apiserver.apimachinery.objects import JsonObject
from signal_gateway.errors import ApiServerError

__all__ = [
    "Cause",
    "StatusError",
    "already_exists",
    "bad_request",
    "conflict",
    "expired",
    "forbidden",
    "internal_error",
    "invalid",
    "method_not_allowed",
    "not_found",
    "not_implemented",
    "reason_of",
    "resource_not_found",
    "unsupported_media_type",
    "verb_not_supported",
]


def reason_of(code: int) -> str | None:
    """Return the API server's reason for an HTTP code; None without one."""
    return {
        400: "BadRequest",
        401: "Unauthorized",
        403: "Forbidden",
        404: "NotFound",
        405: "MethodNotAllowed",
        406: "NotAcceptable",
        409: "Conflict",
        410: "Gone",
        413: "RequestEntityTooLarge",
        415: "UnsupportedMediaType",
        422: "Invalid",
        429: "TooManyRequests",
        500: "InternalError",
        503: "ServiceUnavailable",
        504: "Timeout",
    }.get(code)


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason why an object is invalid.

    Attributes:
        reason: Such as `FieldValueInvalid`.
        field: Path to the field, such as `spec.tags[0]`.
        message: The API server's message, without the field.
    """

    reason: str
    field: str
    message: str

    @classmethod
    def required(cls, field: str, detail: str = "") -> "Cause":
        """Return the cause for a missing field."""
        return cls("FieldValueRequired", field, "Required value" + (f": {detail}" if detail else ""))

    @classmethod
    def invalid(cls, field: str, value: object, detail: str) -> "Cause":
        """Return the cause for a value that breaks a rule."""
        return cls("FieldValueInvalid", field, f"Invalid value: {_shown(value)}: {detail}")

    @classmethod
    def not_supported(cls, field: str, value: object, allowed: Sequence[object]) -> "Cause":
        """Return the cause for a value outside the allowed ones."""
        values = ", ".join(_shown(item) for item in allowed)
        return cls("FieldValueNotSupported", field, f"Unsupported value: {_shown(value)}: supported values: {values}")

    @classmethod
    def duplicate(cls, field: str, value: object) -> "Cause":
        """Return the cause for a duplicate of a unique value."""
        return cls("FieldValueDuplicate", field, f"Duplicate value: {_shown(value)}")

    @classmethod
    def not_found(cls, field: str, value: object) -> "Cause":
        """Return the cause for a reference to a missing object."""
        return cls("FieldValueNotFound", field, f"Not found: {_shown(value)}")

    @classmethod
    def forbidden(cls, field: str, detail: str) -> "Cause":
        """Return the cause for a field that may not be set or changed."""
        return cls("FieldValueForbidden", field, f"Forbidden: {detail}")


def _shown(value: object) -> str:
    return orjson.dumps(value).decode()


class StatusError(ApiServerError):
    """The error of a request, which becomes the response.

    Args:
        code: HTTP status.
        message: The message for the user.
        reason: The machine-readable reason; None without one.
        details: The `details` of the Status.
        retry_after: Seconds for the `Retry-After` header and `details.retryAfterSeconds`.
    """

    def __init__(
        self,
        code: int,
        message: str,
        *,
        reason: str | None = None,
        details: JsonObject | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason
        self.details = details
        self.retry_after = retry_after

    def to_status(self) -> JsonObject:
        """Return the `Status` object."""
        status: JsonObject = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        }
        if self.reason is not None:
            status["reason"] = self.reason
        details = dict(self.details) if self.details is not None else None
        if self.retry_after is not None:
            details = (details or {}) | {"retryAfterSeconds": self.retry_after}
        if details is not None:
            status["details"] = details
        return status


def _details(group: str, kind: str, name: str, **more: object) -> JsonObject:
    pairs = {"name": name, "group": group, "kind": kind, **more}
    return {key: value for key, value in pairs.items() if value}


def _qualified(plural: str, group: str) -> str:
    return f"{plural}.{group}" if group else plural


def not_found(group: str, plural: str, name: str) -> StatusError:
    """Return the error for a missing object."""
    message = f'{_qualified(plural, group)} "{name}" not found'
    return StatusError(404, message, reason="NotFound", details=_details(group, plural, name))


def resource_not_found() -> StatusError:
    """Return the error for an unknown resource, or an unknown subresource of a built-in kind."""
    message = "the server could not find the requested resource"
    return StatusError(404, message, reason="NotFound", details={})


def already_exists(group: str, plural: str, name: str, *, is_being_deleted: bool = False) -> StatusError:
    """Return the error for a name that another object has, possibly one that is being deleted."""
    prefix = "object is being deleted: " if is_being_deleted else ""
    message = f'{prefix}{_qualified(plural, group)} "{name}" already exists'
    return StatusError(409, message, reason="AlreadyExists", details=_details(group, plural, name))


def conflict(group: str, plural: str, name: str, detail: str | None = None) -> StatusError:
    """Return the error for a write that is based on an outdated version of the object."""
    detail = detail or "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {_qualified(plural, group)} "{name}": {detail}'
    return StatusError(409, message, reason="Conflict", details=_details(group, plural, name))


def forbidden(
    group: str, plural: str, name: str, detail: str, causes: Sequence[JsonObject] | None = None
) -> StatusError:
    """Return the error for a request that a rule of the cluster forbids."""
    message = f'{_qualified(plural, group)} "{name}" is forbidden: {detail}'
    return StatusError(403, message, reason="Forbidden", details=_details(group, plural, name, causes=causes))


def invalid(group: str, kind: str, name: str, causes: Sequence[Cause]) -> StatusError:
    """Return the error for an invalid object, with every cause."""
    texts = list(dict.fromkeys(f"{cause.field}: {cause.message}" for cause in causes))
    text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    listed = [{"reason": cause.reason, "message": cause.message, "field": cause.field} for cause in causes]
    message = f'{_qualified(kind, group)} "{name}" is invalid: {text}'
    return StatusError(422, message, reason="Invalid", details=_details(group, kind, name, causes=listed))


def bad_request(message: str) -> StatusError:
    """Return the error for a malformed request."""
    return StatusError(400, message, reason="BadRequest")


def method_not_allowed() -> StatusError:
    """Return the error for a verb that the resource lacks."""
    message = "the server does not allow this method on the requested resource"
    return StatusError(405, message, reason="MethodNotAllowed", details={})


def verb_not_supported(group: str, plural: str, verb: str) -> StatusError:
    """Return the error for a verb that a custom resource, or its subresource, lacks."""
    message = f'{verb} is not supported on resources of kind "{_qualified(plural, group)}"'
    return StatusError(405, message, reason="MethodNotAllowed", details=_details(group, plural, ""))


def unsupported_media_type(*accepted: str) -> StatusError:
    """Return the error for a content type outside the accepted ones."""
    message = "the body of the request was in an unknown format - accepted media types include: " + ", ".join(accepted)
    return StatusError(415, message, reason="UnsupportedMediaType")


def expired(message: str) -> StatusError:
    """Return the error for a resourceVersion or a continue token that is too old."""
    return StatusError(410, message, reason="Expired")


def internal_error(message: str) -> StatusError:
    """Return the error without a reason that the API server sends for some malformed input."""
    return StatusError(500, message)


def not_implemented(feature: str) -> StatusError:
    """Return the error for a feature that the embedded server lacks, instead of a wrong success."""
    return StatusError(501, f"the embedded API server does not support {feature} yet")

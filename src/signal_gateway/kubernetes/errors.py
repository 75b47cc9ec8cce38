"""The errors of calls to the Kubernetes API, and their classification by status code and type."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import httpx2
from lightkube import ApiError, ConfigError, NotReadyError

from signal_gateway.errors import SignalGatewayError

__all__ = [
    "CALL_FAILURES",
    "AlreadyExists",
    "ApiUnavailable",
    "Conflict",
    "Forbidden",
    "KubernetesError",
    "KubernetesSetupError",
    "NotFound",
    "RequestRejected",
    "classify",
]

CALL_FAILURES: Final[tuple[type[Exception], ...]] = (
    httpx2.HTTPError,  # an error status, a transport error, a timeout; lightkube's ApiError is one
    httpx2.StreamError,
    ConfigError,  # a missing token file, a failed credential plugin
    NotReadyError,  # a list without a resourceVersion
    KeyError,  # an error without a content type
    ValueError,  # truncated or invalid JSON, text that is not UTF-8
    TypeError,  # JSON that is not an object
    AttributeError,  # an object without metadata
)
"""Every exception that httpx2 or lightkube raises for a failed call. Catch it around the call and `classify` it."""


class KubernetesError(SignalGatewayError):
    """A call to the Kubernetes API failed; the subclass tells the caller how to react.

    Attributes:
        verb: The verb of the call, such as `create`; empty if the error is not about a call.
        resource: The resource of the call, such as `remediationrequests/status`.
        status: The HTTP status, or the code of a watch event; None without a readable response.
        reason: The reason of the API's Status object, such as `AlreadyExists`; None without one.
        retry_after: The wait that the API requests, in seconds; None without one.
        is_transient: Whether the same call may succeed later without a change by an operator.
    """

    is_transient: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        verb: str = "",
        resource: str = "",
        status: int | None = None,
        reason: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.verb = verb
        self.resource = resource
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


class NotFound(KubernetesError):  # noqa: N818 - the API's own word
    """404: the object, its namespace or its resource does not exist."""


class AlreadyExists(KubernetesError):  # noqa: N818 - the API's own word
    """409 with the reason AlreadyExists: another object has the name."""


class Conflict(KubernetesError):  # noqa: N818 - the API's own word
    """409 with any other reason: the object changed after it was read."""


class Forbidden(KubernetesError):  # noqa: N818 - the API's own word
    """401 or 403: retries do not help until an administrator grants the permission."""


class RequestRejected(KubernetesError):  # noqa: N818 - named after its meaning, like its siblings
    """400, 422 or another 4xx: the API rejects the same call for good."""


class ApiUnavailable(KubernetesError):  # noqa: N818 - named after its meaning, like its siblings
    """No usable response: 408, 429, 5xx, a transport error, a timeout or an unreadable body."""

    is_transient: ClassVar[bool] = True


class KubernetesSetupError(KubernetesError):
    """The configuration or the cluster lacks something; the message names the part and the remedy."""


def classify(exc: Exception, verb: str, resource: str) -> KubernetesError:
    """Return the error that a failed call means, by status code and type and never by message text.

    lightkube raises `ApiError` only if the content type of the error is exactly `application/json`. Otherwise it
    raises `HTTPStatusError`, or the exception of its own attempt to read the body: a KeyError without a content type,
    a JSONDecodeError for a truncated body. The status line of those is read from the `HTTPStatusError` in their
    context.

    Args:
        exc: One of `CALL_FAILURES`.
        verb: The verb of the call, such as `create`.
        resource: The resource of the call, such as `namespaces`.

    Returns:
        The error to raise from `exc`.
    """
    response_error = _response_error(exc)
    if response_error is not None:
        return _from_response(response_error, verb, resource)
    if isinstance(exc, ConfigError):
        return KubernetesSetupError(
            f"can't {verb} {resource}: the credentials of the Kubernetes API are unusable: {exc}. "
            "Correct the kubeconfig",
            verb=verb,
            resource=resource,
        )
    if isinstance(exc, httpx2.TimeoutException):
        cause = f"no response in time ({type(exc).__name__})"
    elif isinstance(exc, httpx2.TransportError):
        cause = f"{type(exc).__name__}: {exc}"
    else:
        cause = f"unreadable response ({type(exc).__name__}: {exc})"
    return ApiUnavailable(f"can't {verb} {resource}: the Kubernetes API failed: {cause}", verb=verb, resource=resource)


def _response_error(exc: BaseException) -> httpx2.HTTPStatusError | None:
    """Return the error response that raised `exc`, directly or while lightkube read its body."""
    if isinstance(exc, httpx2.HTTPStatusError):
        return exc
    return exc.__context__ if isinstance(exc.__context__, httpx2.HTTPStatusError) else None


def _from_response(exc: httpx2.HTTPStatusError, verb: str, resource: str) -> KubernetesError:
    # the ERROR event of a watch has no response: only the Status in the event has the code
    response: httpx2.Response | None = exc.response
    api_status = _status_object(exc, response)
    status = response.status_code if response is not None else api_status.get("code")
    reason = api_status.get("reason") or None
    message = api_status.get("message")
    error_type = _error_type(status, reason)
    summary = " ".join(str(part) for part in (status, reason) if part) or "an error without a status"
    return error_type(
        f"can't {verb} {resource}: the Kubernetes API responded {summary}" + (f": {message}" if message else ""),
        verb=verb,
        resource=resource,
        status=status,
        reason=reason,
        retry_after=_retry_after(response, api_status),
    )


def _status_object(exc: httpx2.HTTPStatusError, response: httpx2.Response | None) -> Mapping[str, Any]:
    """Return the Status object of an error response; empty if the response has none."""
    if isinstance(exc, ApiError):
        return exc.status.to_dict()
    try:
        body = response.json() if response is not None else None
    except (httpx2.StreamError, ValueError):  # an unread stream, or not JSON
        return {}
    return body if isinstance(body, dict) else {}


def _error_type(status: int | None, reason: str | None) -> type[KubernetesError]:
    match status:
        case 401 | 403:
            return Forbidden
        case 404:
            return NotFound
        case 409:
            return AlreadyExists if reason == "AlreadyExists" else Conflict
        case 408 | 429 | None:
            return ApiUnavailable
        case _:
            return RequestRejected if 400 <= status < 500 else ApiUnavailable


def _retry_after(response: httpx2.Response | None, api_status: Mapping[str, Any]) -> float | None:
    """Return the seconds of the Retry-After header (the API sends no dates), else those of the Status."""
    if response is not None and response.headers.get("Retry-After", "").isdecimal():
        return float(response.headers["Retry-After"])
    details = api_status.get("details")
    seconds = details.get("retryAfterSeconds") if isinstance(details, Mapping) else None
    return float(seconds) if isinstance(seconds, int | float) and seconds else None

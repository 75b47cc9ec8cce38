"""The errors of calls to the Kubernetes API, and their classification by status code and type."""

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Final

import orjson

from signal_gateway.errors import SignalGatewayError

if TYPE_CHECKING:
    import httpx2

__all__ = [
    "CALL_FAILURES",
    "AlreadyExists",
    "ApiUnavailable",
    "Conflict",
    "CredentialsFailure",
    "ErrorReply",
    "Forbidden",
    "HttpFailure",
    "KubernetesError",
    "KubernetesSetupError",
    "NotFound",
    "RequestRejected",
    "classify",
]


class HttpFailure(Exception):  # noqa: N818 - an outcome, to which `classify` gives its meaning
    """A request without a complete response.

    Args:
        kind: The failed phase, such as `ConnectError` or `ReadTimeout`.
        cause: What happened.
        is_timeout: Whether the phase took too long.
    """

    def __init__(self, kind: str, cause: str, *, is_timeout: bool = False) -> None:
        super().__init__(cause)
        self.kind = kind
        self.is_timeout = is_timeout


class ErrorReply(Exception):  # noqa: N818 - as HttpFailure
    """A complete response with an error status.

    Args:
        status: HTTP status; None for the ERROR event of a watch, whose Status has the code.
        headers: The header fields of the response.
        body: The content, or the Status object itself.
    """

    def __init__(self, status: int | None, headers: Mapping[bytes, bytes], body: bytes | Mapping[str, Any]) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.headers = headers
        self.body = body


class CredentialsFailure(Exception):  # noqa: N818 - as HttpFailure
    """The credentials for a request are not available; the message has the cause."""


CALL_FAILURES: Final[tuple[type[Exception], ...]] = (
    HttpFailure,
    ErrorReply,
    CredentialsFailure,
    KeyError,  # a list without a resourceVersion, an object without metadata
    ValueError,  # truncated or invalid JSON, text that is not UTF-8
    TypeError,  # JSON that is not an object
    AttributeError,
)
"""Every exception that a failed call raises on its way. Catch it around the call and `classify` it."""


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

    It takes the exceptions of lightkube and httpx2, too, for calls of your own. lightkube raises `ApiError` only if
    the content type of the error is exactly `application/json`. Otherwise it raises `HTTPStatusError`, or the exception
    of its own attempt to read the body: a KeyError without a content type, a JSONDecodeError for a truncated body. The
    status line of those is read from the `HTTPStatusError` in their context.

    Args:
        exc: The exception of the call.
        verb: The verb of the call, such as `create`.
        resource: The resource of the call, such as `namespaces`.

    Returns:
        The error to raise from `exc`.
    """
    if isinstance(exc, ErrorReply):
        return _error_of_reply(exc, verb, resource)
    if isinstance(exc, CredentialsFailure):
        return _unusable_credentials(exc, verb, resource)
    if isinstance(exc, HttpFailure):
        cause = f"no response in time ({exc.kind})" if exc.is_timeout else f"{exc.kind}: {exc}"
    elif isinstance(exc, CALL_FAILURES) and not _is_foreign(exc.__context__):
        cause = f"unreadable response ({type(exc).__name__}: {exc})"
    else:
        return _classify_foreign(exc, verb, resource)
    return ApiUnavailable(f"can't {verb} {resource}: the Kubernetes API failed: {cause}", verb=verb, resource=resource)


def _error_of_reply(reply: ErrorReply, verb: str, resource: str) -> KubernetesError:
    api_status = _status_object(reply.body) if isinstance(reply.body, bytes) else reply.body
    status = api_status.get("code") if reply.status is None else reply.status
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
        retry_after=_retry_after(reply.headers, api_status),
    )


def _unusable_credentials(exc: Exception, verb: str, resource: str) -> KubernetesSetupError:
    return KubernetesSetupError(
        f"can't {verb} {resource}: the credentials of the Kubernetes API are unusable: {exc}. Correct the kubeconfig",
        verb=verb,
        resource=resource,
    )


def _is_foreign(exc: BaseException | None) -> bool:
    return exc is not None and type(exc).__module__.partition(".")[0] in {"httpx2", "lightkube"}


def _classify_foreign(exc: Exception, verb: str, resource: str) -> KubernetesError:
    import httpx2
    from lightkube import ConfigError

    if isinstance(exc, ConfigError):
        return _unusable_credentials(exc, verb, resource)
    if isinstance(exc, httpx2.HTTPStatusError):
        error: httpx2.HTTPStatusError | None = exc
    else:
        error = exc.__context__ if isinstance(exc.__context__, httpx2.HTTPStatusError) else None
    if error is not None:
        return _error_of_reply(_reply_of(error, error.response), verb, resource)
    if isinstance(exc, httpx2.TransportError):
        is_timeout = isinstance(exc, httpx2.TimeoutException)
        return classify(HttpFailure(type(exc).__name__, str(exc), is_timeout=is_timeout), verb, resource)
    return classify(ValueError(f"{type(exc).__name__}: {exc}"), verb, resource)


def _reply_of(error: "httpx2.HTTPStatusError", response: "httpx2.Response | None") -> ErrorReply:
    import httpx2

    body = b""
    with suppress(httpx2.StreamError):  # an unread stream
        body = response.content if response is not None else b""
    api_status = getattr(error, "status", None)  # of an ApiError; the ERROR event of a watch has no response
    content = body if api_status is None else api_status.to_dict()
    if response is None:
        return ErrorReply(None, {}, content)
    return ErrorReply(response.status_code, dict(response.headers.raw), content)


def _status_object(body: bytes) -> Mapping[str, Any]:
    """Return the Status object of an error response; empty if the response has none."""
    try:
        content = orjson.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


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


def _retry_after(headers: Mapping[bytes, bytes], api_status: Mapping[str, Any]) -> float | None:
    """Return the seconds of the Retry-After header (the API sends no dates), else those of the Status."""
    header = next((value for name, value in headers.items() if name.lower() == b"retry-after"), b"").strip()
    if header.isdigit():
        return float(header)
    details = api_status.get("details")
    seconds = details.get("retryAfterSeconds") if isinstance(details, Mapping) else None
    return float(seconds) if isinstance(seconds, int | float) and seconds else None

"""What can go wrong with a call to the Kubernetes API, and the one place that tells the kinds apart."""

from typing import Any, ClassVar, Final

import httpx2
from lightkube import ApiError, ConfigError, NotReadyError

from signal_gateway.errors import KubernetesError

__all__ = [
    "LIGHTKUBE_FAILURES",
    "AlreadyExists",
    "Conflict",
    "Forbidden",
    "KubernetesError",
    "KubernetesSetupError",
    "NotFound",
    "Refused",
    "Unavailable",
    "classify",
]

LIGHTKUBE_FAILURES: Final[tuple[type[Exception], ...]] = (
    httpx2.HTTPError,  # an error status, a transport error, a timeout; lightkube's ApiError is one
    httpx2.StreamError,
    ConfigError,  # a token file that is gone, a credential plugin that failed
    NotReadyError,  # a list without a resourceVersion
    KeyError,  # an error without a content type
    ValueError,  # JSON that is cut short or not JSON at all, text that is not UTF-8
    TypeError,  # JSON that is no object
    AttributeError,  # an object without metadata
)
"""Everything that a lightkube call raises when the call, not the caller, went wrong: what to catch around one."""


class NotFound(KubernetesError):  # noqa: N818 - the API's own word
    """404: the object, its namespace or its whole resource does not exist."""


class AlreadyExists(KubernetesError):  # noqa: N818 - the API's own word
    """409 with the reason AlreadyExists: the name is taken."""


class Conflict(KubernetesError):  # noqa: N818 - the API's own word
    """409 with any other reason: the object changed since it was read."""


class Forbidden(KubernetesError):  # noqa: N818 - the API's own word
    """401 or 403: not worth trying again by itself, but somebody can mend the permissions."""


class Refused(KubernetesError):  # noqa: N818 - the API's own word
    """400, 422 or another 4xx: the same call is refused for good."""


class Unavailable(KubernetesError):  # noqa: N818 - the API's own word
    """No usable answer: 408, 429, 5xx, a transport error, a timeout, or an answer that can't be understood."""

    is_transient: ClassVar[bool] = True


class KubernetesSetupError(KubernetesError):
    """Something must be set up or mended first; the message says what, and how."""


def classify(exc: Exception, verb: str, resource: str) -> KubernetesError:
    """Say what a failed lightkube call means, by status code and type, never by message text.

    lightkube raises `ApiError` only where an error's body is announced as exactly `application/json`. Anything
    else leaves as `HTTPStatusError`, or as the accident that lightkube had while looking at the body: a KeyError
    without a content type, a JSONDecodeError for a body cut short. The status line is told from those as well,
    by the `HTTPStatusError` that they were raised in the handling of.

    Args:
        exc: One of `LIGHTKUBE_FAILURES`.
        verb: What was tried, such as `create`.
        resource: On what, such as `namespaces`.

    Returns:
        The error to raise from `exc`.
    """
    answer = _answer_of(exc)
    if answer is not None:
        return _from_answer(answer, verb, resource)
    if isinstance(exc, ConfigError):
        return KubernetesSetupError(
            f"can't {verb} {resource}: the credentials of the Kubernetes API are unusable: {exc}; mend the kubeconfig",
            verb=verb,
            resource=resource,
        )
    if isinstance(exc, httpx2.TimeoutException):
        cause = f"no answer in time ({type(exc).__name__})"
    elif isinstance(exc, httpx2.TransportError):
        cause = f"{type(exc).__name__}: {exc}"
    else:
        cause = f"its answer can't be understood ({type(exc).__name__}: {exc})"
    return Unavailable(f"can't {verb} {resource}: the Kubernetes API failed: {cause}", verb=verb, resource=resource)


def _answer_of(exc: BaseException) -> httpx2.HTTPStatusError | None:
    """Return the error answer that `exc` is about or was raised while looking at."""
    if isinstance(exc, httpx2.HTTPStatusError):
        return exc
    return exc.__context__ if isinstance(exc.__context__, httpx2.HTTPStatusError) else None


def _from_answer(exc: httpx2.HTTPStatusError, verb: str, resource: str) -> KubernetesError:
    api_status = exc.status if isinstance(exc, ApiError) else None
    # a watch's ERROR event has no response: the code is in the event's Status only
    response: httpx2.Response | None = exc.response
    status = response.status_code if response is not None else getattr(api_status, "code", None)
    reason = getattr(api_status, "reason", None) or None
    said = getattr(api_status, "message", None)
    kind = _kind(status, reason)
    summary = " ".join(str(part) for part in (status, reason) if part) or "an error without a status"
    return kind(
        f"can't {verb} {resource}: the Kubernetes API answered {summary}" + (f": {said}" if said else ""),
        verb=verb,
        resource=resource,
        status=status,
        reason=reason,
        retry_after=_retry_after(response, api_status),
    )


def _kind(status: int | None, reason: str | None) -> type[KubernetesError]:
    match status:
        case 401 | 403:
            return Forbidden
        case 404:
            return NotFound
        case 409:
            return AlreadyExists if reason == "AlreadyExists" else Conflict
        case 408 | 429 | None:
            return Unavailable
        case _:
            return Refused if 400 <= status < 500 else Unavailable


def _retry_after(response: httpx2.Response | None, api_status: Any) -> float | None:
    """Return the header in seconds (the API sends no dates), else what the Status says."""
    if response is not None and response.headers.get("Retry-After", "").isdecimal():
        return float(response.headers["Retry-After"])
    seconds = getattr(getattr(api_status, "details", None), "retryAfterSeconds", None)
    return float(seconds) if seconds else None

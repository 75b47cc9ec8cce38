"""fieldValidation: what is said of fields that an object may not have, or has twice."""

from collections.abc import Sequence

from signal_gateway.apiserver.apimachinery.resources import Resource
from signal_gateway.apiserver.apimachinery.status import Cause, bad_request, invalid
from signal_gateway.apiserver.handlers.request_info import RequestInfo

__all__ = ["report_fields", "warning_header"]

_LEVELS = ("Ignore", "Strict", "Warn")


def report_fields(resource: Resource, request: RequestInfo, complaints: Sequence[str]) -> None:
    """Refuse a request, warn its client, or say nothing, as it asks for; the server's own choice is to warn.

    Args:
        resource: What the request is about.
        request: The request; a warning is added to it.
        complaints: Such as `unknown field "spec.foo"`.

    Raises:
        StatusError: 400 for complaints if the request is to be strict, 422 for a level that there isn't.
    """
    level = request.query.get("fieldValidation") or "Warn"
    if level not in _LEVELS:
        cause = Cause.not_supported("fieldValidation", level, _LEVELS)
        raise invalid("meta.k8s.io", f"{request.verb.capitalize()}Options", "", [cause])
    if not complaints or level == "Ignore":
        return
    if level == "Warn":
        request.warnings.extend(complaints)
        return
    prefix = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'
    raise bad_request(f"{prefix}: strict decoding error: {', '.join(complaints)}")


def warning_header(text: str) -> bytes:
    """Return the value of a `Warning` header (RFC 7234, 5.5) as the API server sends it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{escaped}"'.encode()

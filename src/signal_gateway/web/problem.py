"""Problem: error responses as `application/problem+json` (RFC 9457)."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from signal_gateway.web.response_headers import REQUEST_ID_HEADER

__all__ = [
    "PROBLEM_JSON",
    "PROBLEM_SCHEMA",
    "Problem",
    "problem_handlers",
    "problem_response",
    "refusal_response",
    "server_error_response",
]

PROBLEM_JSON = "application/problem+json"

PROBLEM_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "description": "RFC 9457: the error, the value that caused it, and the remedy.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "request_id": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail", "instance"],
}
"""JSON Schema of the body that `problem_response` writes."""

_log = logging.getLogger(__name__)

_ExceptionHandler = Callable[[Request, Exception], Awaitable[Response]]


class Problem(Exception):  # noqa: N818 - the RFC's own noun
    """An error response; raise it anywhere below a handler.

    Args:
        status: HTTP status, 400 to 599.
        detail: One sentence for the caller: the error, the value that caused it, and the remedy.
        type: URI reference that names the type of problem; `about:blank` adds nothing to the status.
        title: Short text, the same for every problem of this type; the status phrase by default.
        headers: Extra response headers, such as `Retry-After`.
        members: Extension members of the body (RFC 9457 section 3.2).
        cause: Text for the log that the caller does not get.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        type: str = "about:blank",
        title: str | None = None,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
        cause: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.type = type
        self.title = title or HTTPStatus(status).phrase
        self.headers = dict(headers or {})
        self.members = dict(members or {})
        self.cause = cause


def problem_response(problem: Problem, *, instance: str, request_id: str | None) -> Response:
    """Write a problem as a response.

    Args:
        problem: The error.
        instance: The path of the request.
        request_id: The id of the request, if it has one.

    Returns:
        A response with the members `type title status detail instance`, `request_id` if there is one, and the
        extension members of the problem.
    """
    body: dict[str, Any] = {
        "type": problem.type,
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "instance": instance,
    }
    headers = problem.headers
    if request_id is not None:
        body["request_id"] = request_id
        headers = headers | {REQUEST_ID_HEADER: request_id}  # a refusal of the server passes no middleware
    return Response(
        orjson.dumps(body | problem.members),
        status_code=problem.status,
        headers=headers,
        media_type=PROBLEM_JSON,
    )


def refusal_response(problem: Problem, scope: Scope, *, reason: str | None = None) -> Response:
    """Write a problem as the response to a request, and keep the reason in the request's state, as `refusal`.

    Args:
        problem: The error.
        scope: The ASGI scope of the request.
        reason: The reason for the log; by default the detail of the problem.
    """
    state = scope.setdefault("state", {})
    cause = f" Cause: {problem.cause}" if problem.cause else ""
    state["refusal"] = reason or f"{problem.detail}{cause}"
    return problem_response(problem, instance=scope["path"], request_id=state.get("request_id"))


def problem_handlers() -> dict[Any, _ExceptionHandler]:
    """Return Starlette exception handlers that turn expected errors, including 404 and 405, into problems.

    `StandardMiddleware` handles unexpected errors.
    """
    return {Problem: _handle_problem, HTTPException: _handle_http_exception}


def server_error_response(request: Request, exc: Exception) -> Response:
    """Log an unexpected exception, and return a response with status 500.

    The text of the exception goes to the log with the request id, never to the caller.
    """
    request_id = request.scope.get("state", {}).get("request_id")
    _log.error(
        "unexpected error in %s %s, request %s",
        request.method,
        request.url.path,
        request_id,
        exc_info=exc,
        extra={"request_id": request_id},
    )
    problem = Problem(500, "Internal error. The log of the service has the details under the request id.")
    return refusal_response(problem, request.scope)


async def _handle_problem(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, Problem)
    return refusal_response(exc, request.scope)


async def _handle_http_exception(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    details = {
        404: f"Nothing is served at {request.url.path}.",
        405: f"{request.method} is not allowed at {request.url.path}.",
    }
    problem = Problem(exc.status_code, details.get(exc.status_code, exc.detail), headers=exc.headers)
    return refusal_response(problem, request.scope)

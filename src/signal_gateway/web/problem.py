"""Errors as `application/problem+json` (RFC 9457), written in one place."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from signal_gateway.web.middleware.request_id import REQUEST_ID_HEADER

__all__ = ["PROBLEM_JSON", "PROBLEM_SCHEMA", "ExceptionHandler", "Problem", "problem_handlers", "problem_response"]

PROBLEM_JSON = "application/problem+json"

PROBLEM_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "description": "RFC 9457: what was wrong, with which value, and what to do.",
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
"""JSON Schema of what `problem_response` writes."""

_log = logging.getLogger(__name__)

ExceptionHandler = Callable[[Request, Exception], Awaitable[Response]]


class Problem(Exception):  # noqa: N818 - the RFC's own noun
    """An answer that is an error; raise it anywhere below a handler.

    Args:
        status: HTTP status, 400 to 599.
        detail: One sentence for the caller: what was wrong, with which value, and what to do.
        type: URI reference that names the kind of problem; `about:blank` says no more than the status.
        title: Short and the same for every problem of this type; the status phrase by default.
        headers: Extra response headers, such as `Retry-After`.
        members: Extension members of the body (RFC 9457 section 3.2).
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
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.type = type
        self.title = title or HTTPStatus(status).phrase
        self.headers = dict(headers or {})
        self.members = dict(members or {})


def problem_response(problem: Problem, *, instance: str, request_id: str | None) -> Response:
    """Write a problem as a response.

    Args:
        problem: What to say.
        instance: The path that was asked for.
        request_id: The request's id, if it has one yet.

    Returns:
        A response with the members `type title status detail instance`, `request_id` when there is one, and
        the problem's own.
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
        headers = headers | {REQUEST_ID_HEADER: request_id}  # the answer to a bug passes no middleware of ours
    return Response(
        orjson.dumps(body | problem.members),
        status_code=problem.status,
        headers=headers,
        media_type=PROBLEM_JSON,
    )


def problem_handlers() -> dict[Any, ExceptionHandler]:
    """Return Starlette exception handlers that turn every error, 404, 405 and bugs included, into a problem.

    The text of an unexpected exception goes to the log with the request id, never to the caller.
    """
    return {Problem: _on_problem, HTTPException: _on_http_exception, Exception: _on_bug}


async def _on_problem(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, Problem)
    return problem_response(exc, instance=request.url.path, request_id=_request_id(request))


async def _on_http_exception(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    details = {
        404: f"Nothing is served at {request.url.path}.",
        405: f"{request.method} is not allowed at {request.url.path}.",
    }
    problem = Problem(exc.status_code, details.get(exc.status_code, exc.detail), headers=exc.headers)
    return problem_response(problem, instance=request.url.path, request_id=_request_id(request))


async def _on_bug(request: Request, exc: Exception) -> Response:
    request_id = _request_id(request)
    _log.error(
        "unexpected error in %s %s, request %s",
        request.method,
        request.url.path,
        request_id,
        exc_info=exc,
        extra={"request_id": request_id},
    )
    problem = Problem(500, "Something went wrong on our side; the log has it under the request id.")
    return problem_response(problem, instance=request.url.path, request_id=request_id)


def _request_id(request: Request) -> str | None:
    request_id: str | None = request.scope.get("state", {}).get("request_id")
    return request_id

"""RequestMonitor, which observes every request, and AdmissionMiddleware for requests with signals."""

import logging
from collections.abc import Collection
from typing import Final
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from signal_gateway.background import BackgroundTasks
from signal_gateway.gateway.http.openapi import SIGNALS_PATH
from signal_gateway.gateway.http.responses import unavailable
from signal_gateway.gateway.lifecycle import Lifecycle
from signal_gateway.gateway.metrics import GatewayMetrics
from signal_gateway.web.problem import Problem, problem_response

__all__ = ["AdmissionMiddleware", "RequestMonitor"]

_log = logging.getLogger(__name__)

_MAX_LOGGED_PATH: Final = 200  # characters; a sender can choose the path


class RequestMonitor:
    """Counts requests in flight, measures their duration by path, and logs requests with signals at level info.

    Args:
        tasks: Counts the requests in flight.
        metrics: Keeps the durations.
        paths: The paths of the application. None of them has parameters.
    """

    def __init__(self, *, tasks: BackgroundTasks, metrics: GatewayMetrics, paths: Collection[str]) -> None:
        self._tasks = tasks
        self._metrics = metrics
        self._paths = paths

    def begin_request(self) -> None:
        """Count one request as in flight."""
        self._tasks.begin_request()

    def end_request(self, scope: Scope, *, status: int | None, seconds: float) -> None:
        """Count one request as complete.

        Args:
            scope: The ASGI scope of the request.
            status: HTTP status of the response; None if there was no response.
            seconds: Time from the request's head to the end of its response.
        """
        path = scope["path"]
        if status is not None:
            self._metrics.observe_request(
                endpoint=path if path in self._paths else None, method=scope["method"], status=status, seconds=seconds
            )
        if path.startswith(SIGNALS_PATH) and _log.isEnabledFor(logging.INFO):
            _log_request(scope, status=status, seconds=seconds)
        self._tasks.end_request()


def _log_request(scope: Scope, *, status: int | None, seconds: float) -> None:
    method, path = scope["method"], quote(scope["path"][:_MAX_LOGGED_PATH])
    state = scope.get("state", {})
    _log.info(
        "%s %s %s",
        method,
        path,
        "got no response" if status is None else status,
        extra={
            "request_id": state.get("request_id"),
            "sender": state.get("sender"),
            "method": method,
            "path": path,
            "status": status,
            "duration_ms": round(seconds * 1000, 3),
        },
    )


class AdmissionMiddleware:
    """Responds with 503 to signals while the gateway is not started, and above the limit of requests in flight.

    Never 429: after a 4xx Alertmanager waits for the next group interval. A request is in flight until its response
    begins: a sender that is slow after this point does not block others.

    Args:
        app: The application.
        lifecycle: The state of the gateway.
        max_requests: The limit of requests with signals in flight.
    """

    def __init__(self, app: ASGIApp, *, lifecycle: Lifecycle, max_requests: int) -> None:
        self._app = app
        self._lifecycle = lifecycle
        self._max_requests = max_requests
        self._requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http" or not scope["path"].startswith(SIGNALS_PATH):
            await self._app(scope, receive, send)
            return

        if self._lifecycle.obstacle is not None:
            await _refuse(unavailable(self._lifecycle.obstacle), scope, receive, send)
            return
        if self._requests >= self._max_requests:
            detail = f"Too many requests in flight: the limit is {self._max_requests}. Retry later."
            await _refuse(unavailable(detail, retry_after=1), scope, receive, send)
            return

        is_in_flight = True

        async def send_released(message: Message) -> None:
            nonlocal is_in_flight
            self._requests -= is_in_flight
            is_in_flight = False
            await send(message)

        self._requests += 1
        try:
            await self._app(scope, receive, send_released)
        finally:
            self._requests -= is_in_flight


async def _refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    request_id = scope.get("state", {}).get("request_id")
    await problem_response(problem, instance=scope["path"], request_id=request_id)(scope, receive, send)

"""What every request of a gateway passes on its way in, outermost first in `gateway_middleware`."""

import logging
from collections.abc import Callable, Collection
from typing import Final
from urllib.parse import quote

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from signal_gateway.clock import Clock
from signal_gateway.gateway.http.activity import Activity
from signal_gateway.gateway.http.authentication import AuthenticationMiddleware, Authenticator
from signal_gateway.gateway.http.openapi import DESCRIPTION_PATH, SIGNALS_PATH
from signal_gateway.gateway.http.responses import unavailable
from signal_gateway.gateway.metrics import GatewayMetrics
from signal_gateway.web.middleware.body_limit import BodyLimitMiddleware
from signal_gateway.web.middleware.request_id import RequestIdMiddleware
from signal_gateway.web.middleware.security_headers import NO_PAGES, SecurityHeadersMiddleware
from signal_gateway.web.middleware.server_error import BugMiddleware
from signal_gateway.web.problem import ExceptionHandler, Problem, problem_response

__all__ = ["gateway_middleware", "management_middleware"]

_log = logging.getLogger(__name__)

_LONGEST_LOGGED: Final = 200  # characters of a path that anybody may have made up


def gateway_middleware(
    *,
    activity: Activity,
    metrics: GatewayMetrics,
    clock: Clock,
    why_not_serving: Callable[[], str | None],
    on_bug: ExceptionHandler,
    authenticator: Authenticator | None,
    request_deadline: float,
    max_concurrent_requests: int,
    max_body_bytes: int,
    paths: Collection[str],
) -> list[Middleware]:
    """Return the middleware of a gateway.

    Args:
        activity: Counts requests in flight.
        metrics: Where their durations go.
        clock: What measures them.
        why_not_serving: Says why the gateway cannot serve now; None if it can.
        on_bug: Answers an unexpected exception.
        authenticator: Tells who a sender of signals is; None for asking nobody.
        request_deadline: Seconds that a body may take, and that asking who sends it may.
        max_concurrent_requests: Requests with signals in flight at once.
        max_body_bytes: The largest body.
        paths: What is served.
    """
    return [
        *management_middleware(activity=activity, metrics=metrics, clock=clock, on_bug=on_bug, paths=paths),
        # a body that is late is a 504, as is all that is late: after a 408 Alertmanager would not send it again
        Middleware(
            BodyLimitMiddleware, max_body_bytes=max_body_bytes, max_seconds=request_deadline, status_if_slow=504
        ),
        Middleware(_AdmissionMiddleware, why_not_serving=why_not_serving, max_requests=max_concurrent_requests),
        Middleware(
            AuthenticationMiddleware,
            authenticator=authenticator,
            metrics=metrics,
            protected=(SIGNALS_PATH, DESCRIPTION_PATH),
            deadline=request_deadline,
        ),
    ]


def management_middleware(
    *, activity: Activity, metrics: GatewayMetrics, clock: Clock, on_bug: ExceptionHandler, paths: Collection[str]
) -> list[Middleware]:
    """Return the middleware of what a gateway serves beside signals, which comes first for those, too.

    Args:
        activity: Counts requests in flight.
        metrics: Where their durations go.
        clock: What measures them.
        on_bug: Answers an unexpected exception.
        paths: What is served.
    """
    return [
        Middleware(_ObserveMiddleware, activity=activity, metrics=metrics, clock=clock, paths=paths),
        Middleware(RequestIdMiddleware),
        Middleware(SecurityHeadersMiddleware, content_security_policy=NO_PAGES),
        Middleware(BugMiddleware, on_bug=on_bug),
    ]


class _ObserveMiddleware:
    """Counts the request as in flight and notes how long it took, by path: none of them has parameters.

    One with signals is logged, too, at info.
    """

    def __init__(
        self, app: ASGIApp, *, activity: Activity, metrics: GatewayMetrics, clock: Clock, paths: Collection[str]
    ) -> None:
        self._app = app
        self._paths = paths
        self._activity = activity
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        status: int | None = None
        begun_at = self._clock.monotonic()

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with self._activity.request():
            try:
                await self._app(scope, receive, send_noted)
            finally:
                seconds = self._clock.monotonic() - begun_at
                if status is not None:
                    self._metrics.observe_request(
                        endpoint=scope["path"] if scope["path"] in self._paths else None,
                        method=scope["method"],
                        status=status,
                        seconds=seconds,
                    )
                if scope["path"].startswith(SIGNALS_PATH) and _log.isEnabledFor(logging.INFO):
                    _log_request(scope, status=status, seconds=seconds)


def _log_request(scope: Scope, *, status: int | None, seconds: float) -> None:
    method, path = scope["method"], quote(scope["path"][:_LONGEST_LOGGED])
    state = scope.get("state", {})
    _log.info(
        "%s %s %s",
        method,
        path,
        "was not answered" if status is None else status,
        extra={
            "request_id": state.get("request_id"),
            "sender": state.get("sender"),
            "method": method,
            "path": path,
            "status": status,
            "duration_ms": round(seconds * 1000, 3),
        },
    )


class _AdmissionMiddleware:
    """Answers signals 503 while the gateway does not run, and those beyond the number that may be in flight.

    Never 429: after a 4xx Alertmanager does not send again before the next group interval. A request is in flight until
    its answer begins: what is left of its body then, or how slowly the answer is read, takes no room from others.
    """

    def __init__(self, app: ASGIApp, *, why_not_serving: Callable[[], str | None], max_requests: int) -> None:
        self._app = app
        self._why_not_serving = why_not_serving
        self._max_requests = max_requests
        self._requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(SIGNALS_PATH):
            await self._app(scope, receive, send)
            return

        obstacle = self._why_not_serving()
        if obstacle is not None:
            await _refuse(unavailable(obstacle), scope, receive, send)
            return
        if self._requests >= self._max_requests:
            problem = unavailable(f"{self._max_requests} requests are being handled already.", retry_after=1)
            await _refuse(problem, scope, receive, send)
            return

        is_in_flight = True

        async def send_noted(message: Message) -> None:
            leave()
            await send(message)

        def leave() -> None:
            nonlocal is_in_flight
            self._requests -= is_in_flight
            is_in_flight = False

        self._requests += 1
        try:
            await self._app(scope, receive, send_noted)
        finally:
            leave()


async def _refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    request_id = scope.get("state", {}).get("request_id")
    await problem_response(problem, instance=scope["path"], request_id=request_id)(scope, receive, send)

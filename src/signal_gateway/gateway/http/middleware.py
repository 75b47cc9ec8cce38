"""What every request of a gateway passes on its way in, outermost first in `gateway_middleware`."""

import logging
from collections.abc import Callable, Collection
from typing import Final
from urllib.parse import quote

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from signal_gateway.clock import Clock
from signal_gateway.gateway.http.activity import Activity
from signal_gateway.gateway.http.authentication import PROTECTION, Authenticator, SenderAuthenticator
from signal_gateway.gateway.http.openapi import SIGNALS_PATH
from signal_gateway.gateway.http.responses import unavailable
from signal_gateway.gateway.metrics import GatewayMetrics
from signal_gateway.web.middleware.authentication import AuthenticationMiddleware
from signal_gateway.web.middleware.body_limit import BodyLimitMiddleware
from signal_gateway.web.middleware.standard import StandardMiddleware
from signal_gateway.web.problem import Problem, problem_response
from signal_gateway.web.response_headers import NO_PAGES

__all__ = ["GatewayRequestObserver", "gateway_middleware", "management_middleware"]

_log = logging.getLogger(__name__)

_LONGEST_LOGGED: Final = 200  # characters of a path that anybody may have made up


def gateway_middleware(
    *,
    activity: Activity,
    metrics: GatewayMetrics,
    clock: Clock,
    why_not_serving: Callable[[], str | None],
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
        authenticator: Tells who a sender of signals is; None for asking nobody.
        request_deadline: Seconds that a body may take, and that asking who sends it may.
        max_concurrent_requests: Requests with signals in flight at once.
        max_body_bytes: The largest body.
        paths: What is served.
    """
    return [
        *management_middleware(activity=activity, metrics=metrics, clock=clock, paths=paths),
        # a body that is late is a 504, as is all that is late: after a 408 Alertmanager would not send it again
        Middleware(
            BodyLimitMiddleware, max_body_bytes=max_body_bytes, max_seconds=request_deadline, status_if_slow=504
        ),
        Middleware(_AdmissionMiddleware, why_not_serving=why_not_serving, max_requests=max_concurrent_requests),
        Middleware(
            AuthenticationMiddleware,
            authenticator=None
            if authenticator is None
            else SenderAuthenticator(authenticator, deadline=request_deadline),
            protection=PROTECTION,
            failures=metrics,
        ),
    ]


def management_middleware(
    *, activity: Activity, metrics: GatewayMetrics, clock: Clock, paths: Collection[str]
) -> list[Middleware]:
    """Return the middleware of what a gateway serves beside signals, which comes first for those, too.

    Args:
        activity: Counts requests in flight.
        metrics: Where their durations go.
        clock: What measures them.
        paths: What is served.
    """
    return [
        Middleware(
            StandardMiddleware,
            observer=GatewayRequestObserver(activity=activity, metrics=metrics, paths=paths),
            clock=clock,
            content_security_policy=NO_PAGES,
        ),
    ]


class GatewayRequestObserver:
    """Counts the requests in flight, and measures them by path: no path has parameters.

    It also logs each request with signals, at info.

    Args:
        activity: Counts the requests in flight.
        metrics: Takes the durations.
        paths: The served paths.
    """

    def __init__(self, *, activity: Activity, metrics: GatewayMetrics, paths: Collection[str]) -> None:
        self._activity = activity
        self._metrics = metrics
        self._paths = paths

    def begin_request(self) -> None:
        """Count a request as in flight."""
        self._activity.begin_request()

    def end_request(self, scope: Scope, *, status: int | None, seconds: float) -> None:
        """Measure a request and log it."""
        self._activity.end_request()
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

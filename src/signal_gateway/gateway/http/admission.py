"""Admission of requests: AdmissionMiddleware, the MemoryBudget of their bodies, and the RequestMonitor."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from signal_gateway.concurrency import BackgroundTasks
from signal_gateway.gateway.http.openapi import SIGNALS_PATH
from signal_gateway.gateway.http.responses import unavailable
from signal_gateway.gateway.lifecycle import Lifecycle
from signal_gateway.gateway.metrics import GatewayMetrics
from signal_gateway.web.problem import Problem, refusal_response
from signal_gateway.web.serving.allocator import release_free_memory

__all__ = ["AdmissionMiddleware", "MemoryBudget", "RequestMonitor", "Reservation"]

_log = logging.getLogger(__name__)

_MAX_LOGGED_PATH: Final = 200  # characters; a sender can choose the path
_MAX_LOGGED_REASON: Final = 300  # characters; some reasons repeat the path
_ACCESS_REFUSALS: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class RequestMonitor:
    """Counts requests in flight, measures their duration by path, and logs each request with signals.

    A request that is not done is a warning with the reason, also without signals if it was refused for its token.

    Attributes:
        begin_request: Counts one request as in flight.

    Args:
        tasks: Counts the requests in flight.
        metrics: Keeps the durations.
        paths: The paths of the application. None of them has parameters.
    """

    def __init__(self, *, tasks: BackgroundTasks, metrics: GatewayMetrics, paths: Collection[str]) -> None:
        self.begin_request = tasks.begin_request
        self._tasks = tasks
        self._metrics = metrics
        self._paths = paths

    def end_request(self, scope: Scope, *, status: int | None, seconds: float) -> None:
        """Count one request as complete.

        Args:
            scope: The ASGI scope of the request.
            status: HTTP status of the response; None if there was no response.
            seconds: Time from the request's head to the end of its response.
        """
        path, state = scope["path"], scope.get("state", {})
        if status is not None:
            ids = {"request_id": state["request_id"]} if "request_id" in state else {}
            if "traceparent" in state.get("sender_ids", {}):
                ids["trace_id"] = state["sender_ids"]["traceparent"].split("-")[1]
            self._metrics.observe_request(
                endpoint=path if path in self._paths else None,
                method=scope["method"],
                status=status,
                seconds=seconds,
                ids=ids,
            )
        is_refused = status is None or status >= HTTPStatus.BAD_REQUEST
        is_each_logged = state.get("is_each_logged", False)  # the signals have a line each
        level = logging.WARNING if is_refused and not is_each_logged else logging.INFO
        if (path.startswith(SIGNALS_PATH) or status in _ACCESS_REFUSALS) and _log.isEnabledFor(level):
            _log_request(scope, level=level, status=status, seconds=seconds)
        self._tasks.end_request()


def _log_request(scope: Scope, *, level: int, status: int | None, seconds: float) -> None:
    method, path = scope["method"], quote(scope["path"][:_MAX_LOGGED_PATH])
    state = scope.get("state", {})
    refusal = state.get("refusal")
    _log.log(
        level,
        "%s %s %s",
        method,
        path,
        "got no response" if status is None else status,
        extra={
            "request_id": state.get("request_id"),
            "reason": refusal and refusal[:_MAX_LOGGED_REASON],
            "sender": state.get("sender"),
            "peer": state.get("peer"),
            **state.get("sender_ids", {}),
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
            await refusal_response(unavailable(self._lifecycle.obstacle), scope)(scope, receive, send)
            return
        if self._requests >= self._max_requests:
            detail = f"Too many requests in flight: the limit is {self._max_requests}. Retry later."
            await refusal_response(unavailable(detail, retry_after=1), scope)(scope, receive, send)
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


# a body is joined once, and its text takes up to four bytes per character if one of them is an emoji
_PER_BYTE: Final = 5
# an object with one member counts as two values, and takes 232 bytes and 8 bytes in its list
_PER_VALUE: Final = 120
_PER_SIGNAL: Final = 1024
_FREE_BYTES: Final = 64 * 1024

_BODIES: Final = 8
_BYTES_PER_ALLOWED_VALUE: Final = 16
_BYTES_PER_ALLOWED_SIGNAL: Final = 256


class MemoryBudget:
    """Limits the memory of the requests with signals. Belongs to one event loop.

    The requests together may use the memory of eight bodies of maximum size. A single request may always use as much as
    it needs. The first 64 KiB of each request do not count: a gateway that is busy with large requests still handles
    small ones.

    A request may have one value for every 16 bytes of the maximum body size, and one signal for every 256 bytes.
    Requests of Alertmanager stay below both limits.

    When all memory is released after more than half of it was reserved, the C library returns it to the system.

    Args:
        max_body_bytes: The maximum size of a body.
    """

    def __init__(self, max_body_bytes: int) -> None:
        self.max_values = max(max_body_bytes // _BYTES_PER_ALLOWED_VALUE, 1000)
        self.max_signals = max(max_body_bytes // _BYTES_PER_ALLOWED_SIGNAL, 100)
        self._total = self._free = self._least_free = _BODIES * max_body_bytes

    def _take(self, number: int, *, reserved: int) -> None:
        is_alone = self._free + reserved == self._total
        if number > self._free and not is_alone:
            raise unavailable("Other requests use too much memory right now. Retry later.", retry_after=1)
        self._free -= number
        self._least_free = min(self._least_free, self._free)

    def _give_back(self, number: int) -> None:
        self._free += number
        if self._free == self._total and self._least_free < self._total // 2:
            release_free_memory()
            self._least_free = self._total


@dataclass(slots=True, eq=False)
class Reservation:
    """The memory of one request; grows while the request is read.

    Attributes:
        budget: The budget of the gateway.
    """

    budget: MemoryBudget
    _needed: int = 0
    _reserved: int = 0

    def add_bytes(self, number: int, /) -> None:
        """Reserve memory for one part of the body.

        Raises:
            Problem: 503, other requests use the memory.
        """
        self._add(number * _PER_BYTE)

    def add_values(self, body: bytes) -> None:
        """Reserve memory for the decoded body. The number of its values is estimated by the characters beside a value.

        Raises:
            Problem: 413, the body has too many values; 503, other requests use the memory.
        """
        values = body.count(b",") + body.count(b"[") + body.count(b"{")
        if values > self.budget.max_values:
            raise Problem(413, f"Too many JSON values in the body: {values}, the limit is {self.budget.max_values}.")
        self._add(values * _PER_VALUE)

    def add_signals(self, number: int, *, body: bytes = b"") -> None:
        """Reserve memory for the signals, instead of the body that is parsed and will be released.

        Args:
            number: Number of signals.
            body: The body. Its texts stay in memory, with one byte per character if all of it is ASCII.

        Raises:
            Problem: 413, the request has too many signals; 503, other requests use the memory.
        """
        if number > self.budget.max_signals:
            limit = self.budget.max_signals
            raise Problem(413, f"Too many signals in one request: {number}, the limit is {limit}.")
        self._add(number * _PER_SIGNAL - len(body) * (_PER_BYTE - 1 if body.isascii() else 1))

    def keep(self, part: int, *, of: int) -> None:
        """Give back the memory of the signals that are decided.

        Args:
            part: Number of signals that are not.
            of: Number of all signals.
        """
        self._add(self._needed * part // of - self._needed)

    def release(self, _: object = None) -> None:
        """Give all memory back; fit for a callback of a task. Does nothing if it was released before."""
        if self._reserved:
            self.budget._give_back(self._reserved)
        self._needed = self._reserved = 0

    def _add(self, amount: int) -> None:
        self._needed += amount
        missing = self._needed - _FREE_BYTES - self._reserved
        if missing > 0:
            self.budget._take(missing, reserved=self._reserved)
            self._reserved += missing
        elif self._reserved:
            surplus = min(-missing, self._reserved)
            self.budget._give_back(surplus)
            self._reserved -= surplus

"""The body of a request: BodyLimitMiddleware refuses a large or slow body, and json_body() reads one with JSON."""

import asyncio
from contextlib import suppress
from http import HTTPStatus
from typing import Final, Protocol

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from signal_gateway.web.problem import Problem, refusal_response

__all__ = ["JSON", "BodyLimitMiddleware", "BodyMeter", "json_body"]

JSON = "application/json"

_LONGEST_SHOWN: Final = 100


class BodyMeter(Protocol):
    """Counts the bytes of a body as they arrive."""

    def add_bytes(self, number: int, /) -> None:
        """Count one part of the body, before it is kept. An exception ends the reading."""
        ...


async def json_body(request: Request, *, meter: BodyMeter | None = None) -> bytes:
    """Return the whole body, not decoded.

    Args:
        request: The request. It does not keep a copy of the body.
        meter: Counts the bytes as they arrive.

    Raises:
        Problem: 415, the content type is not JSON; 400, the connection closed before the body was complete.
    """
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != JSON:
        raise Problem(415, f"The content type is {content_type[:_LONGEST_SHOWN] or 'missing'}; send {JSON}.")
    body = bytearray()
    try:
        async for part in request.stream():
            if meter is not None:
                meter.add_bytes(len(part))
            body += part
    except ClientDisconnect as exc:
        raise Problem(400, "The connection closed before the body was complete.") from exc
    return bytes(body)


_DISCARD_SECONDS: Final = 1.0


class _LimitExceeded(Exception):  # noqa: N818 - an outcome, not an error
    """The body exceeded a limit while it was read.

    Args:
        status: HTTP status of the response.
        detail: The limit, as one sentence.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class BodyLimitMiddleware:
    """Responds with 413 as soon as a body exceeds the limit, with or without Content-Length, and with 408 if slow.

    The 413 is sent at once, and the rest of the body is discarded for another second. If the connection closed while
    the sender still writes, the sender might not receive the response.

    With a time limit, the rest of a body that the application did not read is read and discarded before the response
    is sent. Otherwise a sender could keep the connection open by sending single bytes after an early response. And if
    the server closed that connection, the sender might not receive the response.

    Args:
        app: The application.
        max_body_bytes: The largest body, in bytes.
        max_seconds: The time limit of a body, counted from the request's headers; None for no limit.
        status_if_slow: HTTP status if the time limit is exceeded.
    """

    def __init__(
        self, app: ASGIApp, max_body_bytes: int, max_seconds: float | None = None, status_if_slow: int = 408
    ) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._max_seconds = max_seconds
        self._status_if_slow = status_if_slow

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        headers = Headers(scope=scope)
        announced = headers.get("content-length", "0")
        if announced.isdecimal() and int(announced) > self._max_body_bytes:
            await _refuse(self._too_large(), scope, receive, send)
            return

        deadline = None if self._max_seconds is None else asyncio.get_running_loop().time() + self._max_seconds
        received = 0
        is_complete = announced == "0" and "transfer-encoding" not in headers
        has_responded = False

        async def receive_bounded() -> Message:
            nonlocal received, is_complete
            if is_complete:
                return await receive()  # waits for the end of the connection
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise _LimitExceeded(
                    self._status_if_slow, f"The body took longer than {self._max_seconds:g} s."
                ) from None
            received += len(message.get("body", b""))
            if received > self._max_body_bytes:
                raise self._too_large()
            is_complete = not message.get("more_body", False)
            return message

        async def send_after_body(message: Message) -> None:
            nonlocal has_responded
            while deadline is not None and not is_complete and not has_responded:
                await receive_bounded()
            has_responded = True
            await send(message)

        try:
            await self._app(scope, receive_bounded, send_after_body)
        except _LimitExceeded as exc:
            if has_responded:
                raise
            await _refuse(exc, scope, receive, send)

    def _too_large(self) -> _LimitExceeded:
        return _LimitExceeded(413, f"The body is larger than {self._max_body_bytes} bytes.")


async def _refuse(limit: _LimitExceeded, scope: Scope, receive: Receive, send: Send) -> None:
    problem = Problem(limit.status, limit.detail, headers={"Connection": "close"})
    response = refusal_response(problem, scope)
    if limit.status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        await response(scope, receive, send)
        return

    async def send_without_end(message: Message) -> None:
        await send({**message, "more_body": True} if message["type"] == "http.response.body" else message)

    await response(scope, receive, send_without_end)
    with suppress(TimeoutError):
        async with asyncio.timeout(_DISCARD_SECONDS):
            while (await receive()).get("more_body", False):
                continue
    await send({"type": "http.response.body", "body": b""})

"""Refuse a body that is too large or too slow, while it streams in."""

import asyncio
from contextlib import suppress
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from signal_gateway.web.problem import Problem, problem_response

__all__ = ["BodyLimitMiddleware"]

_LINGER_SECONDS: Final = 1.0


class _TooMuch(Exception):  # noqa: N818 - an outcome, not an error
    """The body passed a limit while it was read.

    Args:
        status: What to answer.
        detail: Which limit.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class BodyLimitMiddleware:
    """Answer 413 as soon as a body is known to be larger than the limit, announced or not, and 408 if it is too slow.

    The sender of one that is too large gets the answer at once, and its body is dropped for another second: closed in
    the midst of it, the connection would take the answer with it.

    With a time limit, the rest of a body that the application left unread is read and dropped before its answer is
    sent. Otherwise a sender who is refused early, and goes on sending a byte now and then, would keep the connection;
    and one whose connection is closed for that may never see the answer.

    Args:
        app: What to protect.
        max_body_bytes: The largest body that gets through, in bytes.
        max_seconds: How long a body may take, from the request's headers on; by default as long as it likes.
        status_if_slow: What a sender is told who takes longer.
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
        has_answered = False

        async def receive_bounded() -> Message:
            nonlocal received, is_complete
            if is_complete:
                return await receive()  # waits for the connection's end
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise _TooMuch(self._status_if_slow, f"The body took longer than {self._max_seconds:g} s.") from None
            received += len(message.get("body", b""))
            if received > self._max_body_bytes:
                raise self._too_large()
            is_complete = not message.get("more_body", False)
            return message

        async def send_noted(message: Message) -> None:
            nonlocal has_answered
            while deadline is not None and not is_complete and not has_answered:
                await receive_bounded()
            has_answered = True
            await send(message)

        try:
            await self._app(scope, receive_bounded, send_noted)
        except _TooMuch as exc:
            if has_answered:
                raise
            await _refuse(exc, scope, receive, send)

    def _too_large(self) -> _TooMuch:
        return _TooMuch(413, f"The body is larger than {self._max_body_bytes} bytes.")


async def _refuse(why: _TooMuch, scope: Scope, receive: Receive, send: Send) -> None:
    problem = Problem(why.status, why.detail, headers={"Connection": "close"})
    request_id = scope.get("state", {}).get("request_id")
    response = problem_response(problem, instance=scope["path"], request_id=request_id)
    if why.status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        await response(scope, receive, send)
        return

    async def send_without_end(message: Message) -> None:
        await send({**message, "more_body": True} if message["type"] == "http.response.body" else message)

    await response(scope, receive, send_without_end)
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            while (await receive()).get("more_body", False):
                continue
    await send({"type": "http.response.body", "body": b""})

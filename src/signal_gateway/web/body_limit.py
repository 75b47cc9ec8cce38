"""Refuse a body that is too large, while it streams in."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from signal_gateway.web.problem import Problem, problem_response

__all__ = ["BodyLimitMiddleware"]


class _TooLarge(Exception):  # noqa: N818 - an outcome, not an error
    """The body passed the limit while the application was reading it."""


class BodyLimitMiddleware:
    """Answer 413 as soon as a body is known to be larger than the limit, announced or not.

    Args:
        app: What to protect.
        max_body_bytes: The largest body that gets through, in bytes.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdecimal() and int(announced) > self._max_body_bytes:
            await self._refuse(scope, receive, send)
            return

        received = 0
        has_answered = False

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > self._max_body_bytes:
                    raise _TooLarge
            return message

        async def send_noted(message: Message) -> None:
            nonlocal has_answered
            has_answered = True
            await send(message)

        try:
            await self._app(scope, receive_counted, send_noted)
        except _TooLarge:
            if has_answered:
                raise
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = Problem(
            413, f"The body is larger than {self._max_body_bytes} bytes.", headers={"Connection": "close"}
        )
        request_id = scope.get("state", {}).get("request_id")
        await problem_response(problem, instance=scope["path"], request_id=request_id)(scope, receive, send)

"""Answer what nobody else caught, inside the headers that every answer carries."""

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from signal_gateway.web.problem import ExceptionHandler

__all__ = ["BugMiddleware"]


class BugMiddleware:
    """Lets a handler answer an unexpected exception; one in the midst of an answer cuts the connection.

    Starlette's own place for it is outside of all other middleware, and raises again after the answer.

    Args:
        app: What may have bugs.
        on_bug: Answers an unexpected exception.
    """

    def __init__(self, app: ASGIApp, *, on_bug: ExceptionHandler) -> None:
        self._app = app
        self._on_bug = on_bug

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        has_answered = False

        async def send_noted(message: Message) -> None:
            nonlocal has_answered
            has_answered = True
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except Exception as exc:
            if has_answered:
                raise
            response = await self._on_bug(Request(scope), exc)
            await response(scope, receive, send)

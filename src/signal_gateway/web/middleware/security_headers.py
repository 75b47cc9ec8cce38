"""Tell browsers to distrust whatever we answer, as far as it can do without."""

from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["NO_PAGES", "OWN_PAGES", "SecurityHeadersMiddleware", "security_headers"]

OWN_PAGES = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""For a service with pages: they load scripts, styles and images from it alone; nothing written within a page runs."""

NO_PAGES = "default-src 'none'; frame-ancestors 'none'"
"""For a service without pages."""

_HEADERS: Mapping[str, str] = {
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def security_headers(content_security_policy: str) -> dict[str, str]:
    """Return what every answer carries.

    Args:
        content_security_policy: `OWN_PAGES` or `NO_PAGES`.
    """
    return {"Content-Security-Policy": content_security_policy, **_HEADERS}


class SecurityHeadersMiddleware:
    """Put the same headers on every answer, and `Cache-Control: no-store` on one that says nothing of caching.

    Args:
        app: What answers.
        content_security_policy: `OWN_PAGES` or `NO_PAGES`.
    """

    def __init__(self, app: ASGIApp, *, content_security_policy: str) -> None:
        self._app = app
        self._headers = security_headers(content_security_policy)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self._headers)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers)

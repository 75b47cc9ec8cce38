"""StandardMiddleware: request id, security headers, server errors and observation, the same for every service."""

import re
from typing import Final, Protocol

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7

from signal_gateway.clock import Clock
from signal_gateway.web.problem import server_error_response
from signal_gateway.web.response_headers import REQUEST_ID_HEADER, security_headers

__all__ = ["RequestObserver", "StandardMiddleware"]

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,128}")
# https://www.w3.org/TR/trace-context/#traceparent-header; later versions may add fields at the end
_TRACE: Final = r"-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
_TRACEPARENT: Final = re.compile(rf"00{_TRACE}|(?!00|ff)[0-9a-f]{{2}}{_TRACE}(?:-[!-~]{{1,64}})?")
_SENDER_IDS: Final = (
    ("sender_request_id", REQUEST_ID_HEADER, _REQUEST_ID),
    ("traceparent", "traceparent", _TRACEPARENT),
)


class RequestObserver(Protocol):
    """Observes the requests of an application, for its metrics and logs. Called on the application's loop."""

    def begin_request(self) -> None:
        """Note that a request is in flight."""
        ...

    def end_request(self, scope: Scope, *, status: int | None, seconds: float) -> None:
        """Note that a request is no longer in flight.

        Args:
            scope: The ASGI scope of the request.
            status: HTTP status of the response; None if there was no response.
            seconds: Time from the request's head to the end of its response.
        """
        ...


class StandardMiddleware:
    """The outermost middleware of every service.

    Request id: a fresh UUIDv7 in `request.state.request_id` and in the response header `X-Request-ID`. It is never the
    sender's: it tells our own work from that of other requests, and a sender may send the same id twice.

    Sender: `request.state.sender_ids` has the sender's own `X-Request-ID`, as `sender_request_id`, and `traceparent`,
    if they are valid. `request.state.peer` is the address and port of the connection; None without one.

    Headers: the security headers on every response, and `Cache-Control: no-store` on a response without that header.

    Server errors: an unexpected exception becomes a response with status 500. If the response has already started, the
    exception is raised again, and the server closes the connection. Starlette's own `ServerErrorMiddleware` runs
    outside all other middleware, where the response would lack these headers, and always raises again.

    Args:
        app: The application.
        observer: Is notified of each request.
        clock: Measures the duration of each request.
        content_security_policy: `OWN_PAGES` or `NO_PAGES`.
    """

    def __init__(self, app: ASGIApp, *, observer: RequestObserver, clock: Clock, content_security_policy: str) -> None:
        self._app = app
        self._observer = observer
        self._clock = clock
        self._security_headers = security_headers(content_security_policy)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        request_id, peer = str(uuid7()), None
        if scope.get("client") is not None:
            host, port = scope["client"]
            peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        received = Headers(scope=scope)
        named = {key: received.get(header, "") for key, header, _ in _SENDER_IDS}
        sender_ids = {key: named[key] for key, _, pattern in _SENDER_IDS if pattern.fullmatch(named[key])}
        scope.setdefault("state", {}).update(peer=peer, sender_ids=sender_ids, request_id=request_id)
        status: int | None = None

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.update(self._security_headers)
                headers.setdefault("Cache-Control", "no-store")
                headers[REQUEST_ID_HEADER] = request_id
            await send(message)

        begun_at = self._clock.monotonic()
        self._observer.begin_request()
        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as exc:
            if status is not None:
                raise
            response = server_error_response(Request(scope), exc)
            await response(scope, receive, send_with_headers)
        finally:
            self._observer.end_request(scope, status=status, seconds=self._clock.monotonic() - begun_at)

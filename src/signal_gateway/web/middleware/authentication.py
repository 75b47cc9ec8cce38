"""AuthenticationMiddleware: lets authenticated requests pass, the same way for every service."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from signal_gateway.web.credentials import BadCredentials, Credentials, credentials_of
from signal_gateway.web.problem import Problem, refusal_response

__all__ = ["AuthenticationFailures", "AuthenticationMiddleware", "Protection", "RequestAuthenticator", "is_browser"]

# a proxy reports the user that it authenticated in these headers; a sender could set them itself
_PROXY_HEADERS: Final = (b"x-auth-request-", b"impersonate-")


@dataclass(frozen=True, slots=True)
class Protection:
    """The protected part of a service.

    Attributes:
        realm: Name of the service in the response header WWW-Authenticate.
        prefixes: Prefixes of the protected paths; by default all paths are protected.
        open_paths: Paths that need no credentials although a prefix matches.
        basic_methods: Methods for which a browser is offered HTTP Basic beside the bearer token.
        sign_in_page: HTML that explains how to sign in, the body of such an offer; empty for the problem as JSON.
    """

    realm: str
    prefixes: tuple[str, ...] = ("",)
    open_paths: Collection[str] = ()
    basic_methods: Collection[str] = ()
    sign_in_page: str = ""

    def covers(self, path: str) -> bool:
        """Return whether a path is protected."""
        return path.startswith(self.prefixes) and path not in self.open_paths


class RequestAuthenticator(Protocol):
    """Decides whether a request may pass. Called on the application's loop."""

    async def authenticate(self, request: Request, credentials: Credentials) -> str | None:
        """Return the name of the sender, or None if senders have no names.

        Args:
            request: The request; its body is not read yet.
            credentials: The credentials of the request.

        Raises:
            BadCredentials: The credentials are not valid, or do not allow this request.
            Problem: The credentials cannot be verified right now.
        """
        ...


class AuthenticationFailures(Protocol):
    """Counts the requests that authentication refuses."""

    def count_authentication_failure(self, *, reason: str) -> None:
        """Count one request.

        Args:
            reason: The `reason` of `BadCredentials`, or `unavailable` if the credentials could not be verified.
        """
        ...


def is_browser(request: Request) -> bool:
    """Return whether a browser asks for a page."""
    return "text/html" in request.headers.get("accept", "")


class AuthenticationMiddleware:
    """Lets a request to a protected path pass if its credentials allow it.

    The name of the sender goes to the request's state, as `sender`. The headers in which a proxy reports the user that
    it authenticated are always removed, because a sender could forge them.

    Args:
        app: The application.
        authenticator: Verifies the credentials.
        protection: The paths that need credentials.
        failures: Counts the refused requests.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        authenticator: RequestAuthenticator,
        protection: Protection,
        failures: AuthenticationFailures,
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._protection = protection
        self._failures = failures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        headers = [(name, value) for name, value in scope["headers"] if not name.lower().startswith(_PROXY_HEADERS)]
        scope = {**scope, "headers": headers}
        if self._protection.covers(scope["path"]):
            request = Request(scope)
            try:
                sender = await self._authenticator.authenticate(request, credentials_of(request.headers))
            except BadCredentials as refusal:
                self._failures.count_authentication_failure(reason=refusal.reason)
                await self._challenge(refusal, request)(scope, receive, send)
                return
            except Problem as problem:
                self._failures.count_authentication_failure(reason="unavailable")
                await refusal_response(problem, scope)(scope, receive, send)
                return
            if sender is not None:
                scope.setdefault("state", {})["sender"] = sender
        await self._app(scope, receive, send)

    def _challenge(self, refusal: BadCredentials, request: Request) -> Response:
        """Return a response with the challenges of RFC 9110, section 11.6.1."""
        realm = self._protection.realm
        challenge = {"WWW-Authenticate": refusal.challenge(realm)}
        problem = Problem(refusal.status, refusal.detail, headers=challenge)
        response = refusal_response(problem, request.scope, reason=refusal.reason)
        if refusal.status == 401 and is_browser(request) and request.method in self._protection.basic_methods:
            if self._protection.sign_in_page:
                response = HTMLResponse(self._protection.sign_in_page, refusal.status, headers=challenge)
                response.headers["Cache-Control"] = "no-store"
            # a separate header: some browsers do not parse two challenges in one
            response.headers.append("WWW-Authenticate", f'Basic realm="{realm}", charset="UTF-8"')
        return response

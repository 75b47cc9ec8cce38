"""Who may do what: bearer tokens (RFC 6750) for programs, HTTP Basic (RFC 7617) for people's browsers."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from signal_gateway.datastorage import tokens as token_file
from signal_gateway.datastorage.metrics import DataStorageMetrics
from signal_gateway.web.credentials import BadCredentials, credentials_of
from signal_gateway.web.problem import Problem, problem_response

__all__ = ["OPEN_PATHS", "AuthenticationMiddleware"]

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
"""What needs no token: probes have none, and a scraper that had one could read every event."""

_READING = ("GET", "HEAD")
_REALM = "DataStorage"


class AuthenticationMiddleware:
    """Let a request through whose token allows it: `read` for GET and HEAD, `write` for everything else.

    The token comes as `Authorization: Bearer TOKEN`, or, for reading only, as the password of HTTP Basic with any user
    name. A browser sends the latter by itself, also when another site's page asks it to: so it must change nothing.

    Args:
        app: What is protected, but for `OPEN_PATHS`.
        tokens: Who has which scope.
        metrics: Where refusals are counted.
    """

    def __init__(self, app: ASGIApp, *, tokens: token_file.TokenFile, metrics: DataStorageMetrics) -> None:
        self._app = app
        self._tokens = tokens
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return

        headers = Headers(scope=scope)
        needed: token_file.Scope = "read" if scope["method"] in _READING else "write"
        try:
            self._check(headers, needed)
        except BadCredentials as refusal:
            self._metrics.authentication_failures.labels(refusal.reason).inc()
            await self._refuse(refusal, headers, needed, scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check(self, headers: Headers, needed: token_file.Scope) -> None:
        credentials = credentials_of(headers)
        if credentials.is_basic and needed == "write":
            raise BadCredentials("basic_for_write", 401, "HTTP Basic is for reading; send the token as a bearer token.")
        scopes = self._tokens.scopes_of(credentials.token)
        if not scopes:
            raise BadCredentials("unknown_token", 401, "The token is not known here.", "invalid_token")
        if needed not in scopes:
            raise BadCredentials(
                "insufficient_scope", 403, f"The token does not allow it: this needs {needed}.", "insufficient_scope"
            )

    async def _refuse(
        self,
        refusal: BadCredentials,
        headers: Headers,
        needed: token_file.Scope,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        request_id = scope.get("state", {}).get("request_id")
        response = problem_response(
            Problem(refusal.status, refusal.detail), instance=scope["path"], request_id=request_id
        )
        challenge = refusal.challenge(_REALM)
        if refusal.status == 403:
            challenge += f', scope="{needed}"'
        response.headers["WWW-Authenticate"] = challenge
        if refusal.status == 401 and needed == "read" and "text/html" in headers.get("accept", ""):
            # a header of its own: not every browser reads two challenges in one
            response.headers.append("WWW-Authenticate", f'Basic realm="{_REALM}", charset="UTF-8"')
        await response(scope, receive, send)

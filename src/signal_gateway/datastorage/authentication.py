"""Who may do what: bearer tokens (RFC 6750) for programs, HTTP Basic (RFC 7617) for people's browsers."""

import base64
import binascii
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from signal_gateway.datastorage import tokens as token_file
from signal_gateway.datastorage.metrics import DataStorageMetrics
from signal_gateway.web.problem import Problem, problem_response

__all__ = ["OPEN_PATHS", "AuthenticationMiddleware"]

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
"""What needs no token: probes have none, and a scraper that had one could read every event."""

_READING = ("GET", "HEAD")
_REALM = 'realm="DataStorage"'


class _Refusal(Exception):  # noqa: N818 - an outcome, not an error
    def __init__(self, reason: str, status: int, detail: str, error: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.detail = detail
        self.error = error


class _Credentials(NamedTuple):
    token: bytes
    is_basic: bool


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
        except _Refusal as refusal:
            self._metrics.authentication_failures.labels(refusal.reason).inc()
            await self._refuse(refusal, headers, needed, scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check(self, headers: Headers, needed: token_file.Scope) -> None:
        credentials = _credentials(headers)
        if credentials.is_basic and needed == "write":
            raise _Refusal("basic_for_write", 401, "HTTP Basic is for reading; send the token as a bearer token.")
        scopes = self._tokens.scopes_of(credentials.token)
        if not scopes:
            raise _Refusal("unknown_token", 401, "The token is not known here.", "invalid_token")
        if needed not in scopes:
            raise _Refusal(
                "insufficient_scope", 403, f"The token does not allow it: this needs {needed}.", "insufficient_scope"
            )

    async def _refuse(
        self,
        refusal: _Refusal,
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
        challenge = f"Bearer {_REALM}"
        if refusal.error:
            challenge += f', error="{refusal.error}"'
        if refusal.status == 403:
            challenge += f', scope="{needed}"'
        response.headers["WWW-Authenticate"] = challenge
        if refusal.status == 401 and needed == "read" and "text/html" in headers.get("accept", ""):
            # a header of its own: not every browser reads two challenges in one
            response.headers.append("WWW-Authenticate", f'Basic {_REALM}, charset="UTF-8"')
        await response(scope, receive, send)


def _credentials(headers: Headers) -> _Credentials:
    given = headers.getlist("authorization")
    if not given:
        raise _Refusal("missing", 401, "This needs a token: send it as Authorization: Bearer TOKEN.")
    scheme, _, value = given[0].strip().partition(" ")
    value = value.strip()
    if len(given) == 1 and value and scheme.lower() == "bearer":
        return _Credentials(value.encode("latin-1"), is_basic=False)
    if len(given) == 1 and scheme.lower() == "basic":
        try:
            _, colon, password = base64.b64decode(value, validate=True).partition(b":")
        except (binascii.Error, ValueError):
            colon = b""
        if colon:
            return _Credentials(password, is_basic=True)
    raise _Refusal(
        "malformed", 401, "The Authorization header can't be read: send Authorization: Bearer TOKEN.", "invalid_token"
    )

"""ScopeAuthenticator: bearer tokens (RFC 6750) for programs, and HTTP Basic (RFC 7617) for browsers."""

from starlette.requests import Request

from signal_gateway.datastorage.tokens import ScopedTokens, TokenScope
from signal_gateway.web.credentials import BadCredentials, Credentials, unknown_token
from signal_gateway.web.middleware.authentication import Protection, is_browser

__all__ = ["PROTECTION", "ScopeAuthenticator"]

_READING = ("GET", "HEAD")
_LIMITS = "/api/v1/audit/limits"

_OPEN_PATHS = frozenset({"/healthz", "/readyz", "/health", "/health/live", "/health/ready", "/metrics"})

PROTECTION = Protection(realm="DataStorage", open_paths=_OPEN_PATHS, basic_methods=_READING)
"""All paths but those for probes and scrapers: probes have no tokens, and the token of a scraper could read all
events."""


class ScopeAuthenticator:
    """Requires the scope `read` for GET and HEAD, and `write` for all other methods; for `/limits` either of them.

    The token comes as `Authorization: Bearer TOKEN`; for reading, also as the password of HTTP Basic with any user
    name. A browser repeats HTTP Basic by itself, even in requests that a page of another site makes. HTTP Basic
    therefore never allows a change.

    Args:
        tokens: The tokens and their scopes.
    """

    def __init__(self, tokens: ScopedTokens) -> None:
        self._tokens = tokens

    async def authenticate(self, request: Request, credentials: Credentials) -> None:
        """Check that the token has the scope for the method of a request.

        Raises:
            BadCredentials: The token is unknown or lacks the scope, or it came by HTTP Basic in a request that writes.
        """
        needed: TokenScope = "read" if request.method in _READING else "write"
        is_open = needed == "read" and request.url.path == _LIMITS  # a writer has to know how much it may send
        if credentials.is_basic and needed == "write":
            raise BadCredentials(
                "basic_for_write", 401, "HTTP Basic allows reading only. Send the token as Authorization: Bearer TOKEN."
            )
        scopes = self._tokens.scopes_of(credentials.token)
        if not scopes:
            raise unknown_token()
        if needed not in scopes and not is_open:
            raise BadCredentials(
                "insufficient_scope",
                401 if credentials.is_basic and is_browser(request) else 403,  # a browser asks for another password
                f"The token lacks the scope {needed}. Send a token with that scope.",
                "insufficient_scope",
                scope=needed,
            )

"""Who may send signals: the middleware that asks, and senders by a file of tokens."""

import asyncio
import logging
from pathlib import Path
from typing import Final, Protocol

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from signal_gateway.gateway.http.responses import deadline_passed, unavailable
from signal_gateway.gateway.metrics import GatewayMetrics
from signal_gateway.kubernetes import KubernetesError
from signal_gateway.web.credentials import BadCredentials, credentials_of
from signal_gateway.web.problem import Problem, problem_response
from signal_gateway.web.token_file import WatchedTokens

__all__ = ["AuthenticationMiddleware", "Authenticator", "TokenAuthenticator", "not_allowed", "not_known"]

_log = logging.getLogger(__name__)

_REALM: Final = "signal-gateway"
_MAX_NAME_LENGTH: Final = 255
# a proxy that authenticated somebody says so with these; nobody is to believe a sender who says it of itself
_OF_PROXIES: Final = (b"x-auth-request-", b"impersonate-")


class Authenticator(Protocol):
    """Tells who a sender of signals is, and whether it may send them. Called on the gateway's loop."""

    async def authenticate(self, token: str) -> str:
        """Return the name of the sender whose bearer token it is: the actor of its audit events.

        Args:
            token: As it was sent, without the scheme; latin-1 text.

        Raises:
            BadCredentials: The token is not good, `not_known()`, or its sender may not send, `not_allowed()`.
            KubernetesError: Who it is can't be told now; the sender is asked to try again.
        """
        ...


def not_known() -> BadCredentials:
    """Return the refusal of a token that is nobody's."""
    return BadCredentials("unknown_token", 401, "The token is not known here.", "invalid_token")


def not_allowed() -> BadCredentials:
    """Return the refusal of a sender that may not send signals."""
    return BadCredentials("not_allowed", 403, "The token's owner may not send signals here.", "insufficient_scope")


class TokenAuthenticator:
    """Knows senders by a file of tokens, which is read again when it changes.

    One token a line, `TOKEN [NAME]`, made with `openssl rand -hex 32`; the name, `token` by default, is the actor of
    the sender's audit events. A line that starts with `#` is a comment.

    Args:
        path: The file.

    Raises:
        ConfigurationError: The file can't be read, or a line of it breaks a rule; the message says which.
    """

    def __init__(self, path: Path) -> None:
        self._tokens = WatchedTokens(path, read_line=_read_line, form="TOKEN NAME")

    async def authenticate(self, token: str) -> str:
        """Return the name of a token's line.

        Raises:
            BadCredentials: The token is not in the file.
        """
        name = self._tokens.grant_of(token.encode("latin-1"))
        if name is None:
            raise not_known()
        return name


def _read_line(line: str) -> tuple[str, str]:
    token, *rest = line.split(maxsplit=1)
    name = rest[0].strip() if rest else "token"
    if len(name) > _MAX_NAME_LENGTH or not name.isprintable():
        raise ValueError(f"its name must have at most {_MAX_NAME_LENGTH} characters that can be printed")
    return token, name


class AuthenticationMiddleware:
    """Lets signals through whose sender may send them, and notes who it is in the request's state, as `sender`.

    Headers by which a proxy tells whom it authenticated are dropped in any case.

    Args:
        app: What is protected.
        authenticator: Tells who a sender is; None for asking nobody.
        metrics: Where refusals are counted.
        protected: Beginnings of the paths that are.
        deadline: Seconds that finding out may take.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        authenticator: Authenticator | None,
        metrics: GatewayMetrics,
        protected: tuple[str, ...],
        deadline: float,
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._metrics = metrics
        self._protected = protected
        self._deadline = deadline

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        headers = [(name, value) for name, value in scope["headers"] if not name.lower().startswith(_OF_PROXIES)]
        scope = {**scope, "headers": headers}
        if self._authenticator is not None and scope["path"].startswith(self._protected):
            request_id = scope.get("state", {}).get("request_id")
            try:
                sender = await self._sender(self._authenticator, Headers(scope=scope), request_id=request_id)
            except Problem as problem:
                response = problem_response(problem, instance=scope["path"], request_id=request_id)
                await response(scope, receive, send)
                return
            scope.setdefault("state", {})["sender"] = sender
        await self._app(scope, receive, send)

    async def _sender(self, authenticator: Authenticator, headers: Headers, *, request_id: str | None) -> str:
        try:
            credentials = credentials_of(headers)
            if credentials.is_basic:
                raise BadCredentials("malformed", 401, "Send the token as Authorization: Bearer TOKEN.")
            async with asyncio.timeout(self._deadline):
                return await authenticator.authenticate(credentials.token.decode("latin-1"))
        except BadCredentials as refusal:
            self._metrics.count_authentication_failure(reason=refusal.reason)
            challenge = {"WWW-Authenticate": refusal.challenge(_REALM)}
            raise Problem(refusal.status, refusal.detail, headers=challenge) from refusal
        except KubernetesError as exc:
            _log.warning(
                "a sender is told to try again, because who it is can't be told now: %s",
                exc,
                extra={"request_id": request_id},
            )
            self._metrics.count_authentication_failure(reason="unavailable")
            detail = "Who sends this can't be told now; send it again."
            raise unavailable(detail, retry_after=exc.retry_after) from exc
        except TimeoutError as exc:
            self._metrics.count_authentication_failure(reason="unavailable")
            raise deadline_passed(self._deadline) from exc

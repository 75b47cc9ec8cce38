"""Authentication of the senders of signals: the Authenticator protocol, and TokenAuthenticator for a file of tokens."""

import asyncio
from pathlib import Path
from typing import Final, Protocol

from starlette.requests import Request

from signal_gateway.gateway.http.openapi import DESCRIPTION_PATH, SIGNALS_PATH
from signal_gateway.gateway.http.responses import deadline_passed, unavailable
from signal_gateway.kubernetes import KubernetesError
from signal_gateway.web.credentials import BadCredentials, Credentials, unknown_token
from signal_gateway.web.middleware.authentication import Protection
from signal_gateway.web.token_file import WatchedTokens

__all__ = ["PROTECTION", "Authenticator", "SenderAuthenticator", "TokenAuthenticator", "sender_not_allowed"]

PROTECTION = Protection(realm="signal-gateway", prefixes=(SIGNALS_PATH, DESCRIPTION_PATH))
"""The signals and the OpenAPI description; health and metrics need no credentials."""

_MAX_NAME_LENGTH: Final = 255


class Authenticator(Protocol):
    """Verifies bearer tokens of senders. Called on the gateway's loop."""

    async def authenticate(self, token: str) -> str:
        """Return the name of the sender with a bearer token: the actor of its audit events.

        Args:
            token: The token of a request, without the scheme; latin-1 text.

        Raises:
            BadCredentials: The token is not valid, `unknown_token()`, or its sender may not send signals,
                `sender_not_allowed()`.
            KubernetesError: The token cannot be verified right now; the sender gets a 503 and retries.
        """
        ...


def sender_not_allowed() -> BadCredentials:
    """Return the refusal of a known sender without the right to send signals."""
    return BadCredentials(
        "not_allowed", 403, "The sender with this token is not allowed to send signals here.", "insufficient_scope"
    )


class TokenAuthenticator:
    """Verifies tokens by a file, which is read again after each change.

    One token a line, `TOKEN [NAME]`, made with `openssl rand -hex 32`; the name, `token` by default, is the actor of
    the sender's audit events. A line that starts with `#` is a comment.

    Args:
        path: The file.

    Raises:
        ConfigurationError: The file is not readable, or a line is not valid; the message names the line.
    """

    def __init__(self, path: Path) -> None:
        self._tokens = WatchedTokens(path, format=_SenderLineFormat())

    async def authenticate(self, token: str) -> str:
        """Return the name in a token's line.

        Raises:
            BadCredentials: The token is not in the file.
        """
        name = self._tokens.grant_of(token.encode("latin-1"))
        if name is None:
            raise unknown_token()
        return name


class _SenderLineFormat:
    """A line with a token and an optional name."""

    example = "TOKEN NAME"

    def parse(self, line: str) -> tuple[str, str]:
        token, *rest = line.split(maxsplit=1)
        name = rest[0].strip() if rest else "token"
        if len(name) > _MAX_NAME_LENGTH or not name.isprintable():
            raise ValueError(f"its name must have at most {_MAX_NAME_LENGTH} printable characters")
        return token, name


class SenderAuthenticator:
    """Verifies the bearer token of a request with signals, within a deadline.

    Args:
        authenticator: Verifies the token.
        deadline: Seconds that the verification may take.
    """

    def __init__(self, authenticator: Authenticator, *, deadline: float) -> None:
        self._authenticator = authenticator
        self._deadline = deadline

    async def authenticate(self, request: Request, credentials: Credentials) -> str:  # noqa: ARG002 - of a protocol
        """Return the name of the sender.

        Raises:
            BadCredentials: The token is not valid, its sender may not send signals, or it came by HTTP Basic.
            Problem: 503 or 504, the token cannot be verified right now.
        """
        if credentials.is_basic:
            raise BadCredentials(
                "malformed", 401, "HTTP Basic is not supported. Send the token as Authorization: Bearer TOKEN."
            )
        try:
            async with asyncio.timeout(self._deadline):
                return await self._authenticator.authenticate(credentials.token.decode("latin-1"))
        except KubernetesError as exc:
            detail = "The token cannot be verified right now. Retry later."
            raise unavailable(detail, retry_after=exc.retry_after, cause=str(exc)) from exc
        except TimeoutError as exc:
            raise deadline_passed(self._deadline) from exc

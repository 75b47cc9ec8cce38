"""Credentials of a request: parsing of the Authorization header, and the errors of credentials that are not valid."""

import base64
import binascii
from typing import NamedTuple

from starlette.datastructures import Headers

__all__ = ["BadCredentials", "Credentials", "credentials_of", "unknown_token"]


class BadCredentials(Exception):  # noqa: N818 - an outcome, not an error
    """The credentials of a request are missing, malformed, unknown, or do not allow the request.

    Attributes:
        reason: Short code from a fixed list, for the label of a metric.
        status: 401; or 403 if the credentials are valid and do not allow the request.
        detail: One sentence for the caller, without any token.
        error: Error code of RFC 6750, section 3.1; empty if the request had no credentials.
        scope: The scope that the request needs (RFC 6750, section 3); empty if the service has no scopes.
    """

    def __init__(self, reason: str, status: int, detail: str, error: str = "", scope: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.detail = detail
        self.error = error
        self.scope = scope

    def challenge(self, realm: str) -> str:
        """Return the value of the header WWW-Authenticate (RFC 6750).

        Args:
            realm: Name of the protected service.
        """
        challenge = f'Bearer realm="{realm}"'
        if self.error:
            challenge += f', error="{self.error}"'
        if self.scope:
            challenge += f', scope="{self.scope}"'
        return challenge


def unknown_token() -> BadCredentials:
    """Return the refusal of a token that is not known."""
    return BadCredentials("unknown_token", 401, "The token is unknown. Send a token of this service.", "invalid_token")


class Credentials(NamedTuple):
    """The credentials of one request.

    Attributes:
        token: The bearer token, or the password of HTTP Basic.
        is_basic: Whether the token came by HTTP Basic.
    """

    token: bytes
    is_basic: bool


def credentials_of(headers: Headers) -> Credentials:
    """Parse the Authorization header: bearer tokens (RFC 6750) and HTTP Basic (RFC 7617).

    Raises:
        BadCredentials: The header is missing, repeated or malformed.
    """
    given = headers.getlist("authorization")
    if not given:
        raise BadCredentials("missing", 401, "The request has no token. Send the header Authorization: Bearer TOKEN.")
    scheme, _, value = given[0].strip().partition(" ")
    value = value.strip()
    if len(given) == 1 and value and scheme.lower() == "bearer":
        return Credentials(value.encode("latin-1"), is_basic=False)
    if len(given) == 1 and scheme.lower() == "basic":
        try:
            _, colon, password = base64.b64decode(value, validate=True).partition(b":")
        except (binascii.Error, ValueError):
            colon = password = b""
        if colon:
            return Credentials(password, is_basic=True)
    raise BadCredentials(
        "malformed",
        401,
        "The Authorization header is malformed. Send it once, as Authorization: Bearer TOKEN.",
        "invalid_token",
    )

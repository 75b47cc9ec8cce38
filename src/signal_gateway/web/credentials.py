"""Credentials: what a request's Authorization header says, and how a refusal asks for better ones."""

import base64
import binascii
from typing import NamedTuple

from starlette.datastructures import Headers

__all__ = ["BadCredentials", "Credentials", "credentials_of"]


class BadCredentials(Exception):  # noqa: N818 - an outcome, not an error
    """A request is not let in for what it says of itself.

    Attributes:
        reason: Short code from a fixed list, fit for a metric's label.
        status: 401, or 403 where other credentials are needed than those that are good.
        detail: One sentence for the caller; never a token.
        error: Error code of RFC 6750, section 3.1; empty where there were no credentials.
    """

    def __init__(self, reason: str, status: int, detail: str, error: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.detail = detail
        self.error = error

    def challenge(self, realm: str) -> str:
        """Return the value of the header WWW-Authenticate (RFC 6750).

        Args:
            realm: What is protected.
        """
        return f'Bearer realm="{realm}"' + (f', error="{self.error}"' if self.error else "")


class Credentials(NamedTuple):
    """What a request brings.

    Attributes:
        token: The bearer token, or the password of HTTP Basic.
        is_basic: Whether it came by HTTP Basic.
    """

    token: bytes
    is_basic: bool


def credentials_of(headers: Headers) -> Credentials:
    """Read the Authorization header: bearer tokens (RFC 6750) and HTTP Basic (RFC 7617).

    Raises:
        BadCredentials: There is none, more than one, or it can't be read.
    """
    given = headers.getlist("authorization")
    if not given:
        raise BadCredentials("missing", 401, "This needs a token: send it as Authorization: Bearer TOKEN.")
    scheme, _, value = given[0].strip().partition(" ")
    value = value.strip()
    if len(given) == 1 and value and scheme.lower() == "bearer":
        return Credentials(value.encode("latin-1"), is_basic=False)
    if len(given) == 1 and scheme.lower() == "basic":
        try:
            _, colon, password = base64.b64decode(value, validate=True).partition(b":")
        except (binascii.Error, ValueError):
            colon = b""
        if colon:
            return Credentials(password, is_basic=True)
    raise BadCredentials(
        "malformed", 401, "The Authorization header can't be read: send Authorization: Bearer TOKEN.", "invalid_token"
    )

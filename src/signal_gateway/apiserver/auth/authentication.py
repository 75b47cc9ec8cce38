"""User and TokenTable: the user that each bearer token authenticates."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from signal_gateway.apiserver.apimachinery.status import StatusError

__all__ = ["ALL_AUTHENTICATED", "ANONYMOUS", "API_AUDIENCE", "TokenTable", "User"]

API_AUDIENCE = "https://kubernetes.default.svc.cluster.local"

ALL_AUTHENTICATED = "system:authenticated"


@dataclass(frozen=True, slots=True)
class User:
    """The user that a token authenticates.

    Attributes:
        name: User name, such as `system:serviceaccount:prod:alertmanager`.
        uid: Id that stays the same over time; may be empty.
        groups: Groups of the user. The server adds `system:authenticated`; `system:masters` allows every request.
        extra: Additional information about the user, a tuple of values by key.
        audiences: Audiences that the token is valid for.
    """

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    audiences: tuple[str, ...] = (API_AUDIENCE,)


ANONYMOUS = User("system:anonymous", groups=("system:unauthenticated",))


class TokenTable:
    """Authenticates requests by a table of bearer tokens.

    Args:
        tokens: Users by bearer token. With `None`, a request without a token is from the anonymous user.
    """

    def __init__(self, tokens: Mapping[str, User] | None) -> None:
        self._tokens = None if tokens is None else dict(tokens)

    def user_of(self, token: str) -> User | None:
        """Return the user of a token, in the group `system:authenticated`; `None` for an unknown token."""
        user = (self._tokens or {}).get(token)
        if user is None or ALL_AUTHENTICATED in user.groups:
            return user
        return User(user.name, user.uid, (*user.groups, ALL_AUTHENTICATED), user.extra, user.audiences)

    def authenticate(self, authorization: str) -> User:
        """Return the user of an Authorization header.

        Raises:
            StatusError: 401 if the table is in use and the token is missing or unknown.
        """
        scheme, _, token = authorization.partition(" ")
        user = self.user_of(token.strip()) if scheme.lower() == "bearer" else None
        if user is not None:
            return user
        if self._tokens is not None:
            raise StatusError(401, "Unauthorized", reason="Unauthorized")
        return ANONYMOUS

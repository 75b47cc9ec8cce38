"""Who may do what: a table of tokens and a table of rules, instead of a real cluster's authenticators and RBAC."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from signal_gateway.apiserver.apimachinery.status import StatusError
from signal_gateway.apiserver.handlers.request_info import RequestInfo
from signal_gateway.errors import ApiServerError

__all__ = ["ALL_AUTHENTICATED", "ANONYMOUS", "API_AUDIENCE", "Access", "RequestAttributes", "Rule", "User"]

API_AUDIENCE = "https://kubernetes.default.svc.cluster.local"

ALL_AUTHENTICATED = "system:authenticated"
_MASTERS = "system:masters"
_REVIEWS_OF_ONESELF = ("selfsubjectaccessreviews", "selfsubjectreviews", "selfsubjectrulesreviews")


@dataclass(frozen=True, slots=True)
class User:
    """Who a token stands for.

    Attributes:
        name: Such as `system:serviceaccount:prod:alertmanager`.
        uid: Identifies the user over time; may be empty.
        groups: Groups of the user; `system:authenticated` is added, and `system:masters` may do everything.
        extra: Further facts about the user, each with its values.
        audiences: Whom the token is meant for.
    """

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    audiences: tuple[str, ...] = (API_AUDIENCE,)


ANONYMOUS = User("system:anonymous", groups=("system:unauthenticated",))


@dataclass(frozen=True, slots=True)
class Rule:
    """What some users may do, in the terms of RBAC; `*` stands for everything.

    Attributes:
        users: Names of users that the rule is for.
        groups: Groups of users that the rule is for.
        verbs: Such as `get` or `create`.
        resources: Plurals, with a subresource after a slash: `pods`, `pods/status`, `*/scale`.
        api_groups: API groups; the empty text for core.
        namespace: The only namespace where the rule holds; empty for everywhere.
        names: The only objects for which it holds; empty for all.
    """

    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ("*",)
    resources: tuple[str, ...] = ("*",)
    api_groups: tuple[str, ...] = ("*",)
    namespace: str = ""
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.users and not self.groups:
            raise ApiServerError(f"{self!r} is for nobody: name users or groups, {ALL_AUTHENTICATED!r} for everybody")

    def is_for(self, name: str, groups: Iterable[str]) -> bool:
        """Return whether the rule is for a user."""
        return name in self.users or any(group in self.groups for group in groups)

    def covers(self, attempt: "RequestAttributes") -> bool:
        """Return whether the rule allows something to those that it is for."""
        resources = ["*", attempt.resource]
        if attempt.subresource:
            resources = ["*", f"{attempt.resource}/{attempt.subresource}", f"*/{attempt.subresource}"]
        return (
            _matches(self.verbs, attempt.verb)
            and _matches(self.api_groups, attempt.api_group)
            and any(resource in self.resources for resource in resources)
            and self.namespace in ("", attempt.namespace)
            and (not self.names or attempt.name in self.names)
        )


def _matches(allowed: tuple[str, ...], value: str) -> bool:
    return "*" in allowed or value in allowed


@dataclass(frozen=True, slots=True)
class RequestAttributes:
    """Something that a user wants to do to a resource."""

    verb: str
    api_group: str
    resource: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""


class Access:
    """Decides who a request is from and whether it is allowed.

    Args:
        tokens: Users by bearer token; with `None` nobody needs one.
        rules: What is allowed; with `None` everything is.
    """

    def __init__(self, tokens: Mapping[str, User] | None, rules: Iterable[Rule] | None) -> None:
        self._tokens = None if tokens is None else dict(tokens)
        self._rules = None if rules is None else tuple(rules)

    def find(self, token: str) -> User | None:
        """Return the user that a token stands for, with the groups that every such user is in."""
        user = (self._tokens or {}).get(token)
        if user is None or ALL_AUTHENTICATED in user.groups:
            return user
        return User(user.name, user.uid, (*user.groups, ALL_AUTHENTICATED), user.extra, user.audiences)

    def authenticate(self, authorization: str) -> User:
        """Return who sends a request, from its Authorization header.

        Raises:
            StatusError: 401 if tokens are asked for and this one is missing or unknown.
        """
        scheme, _, token = authorization.partition(" ")
        user = self.find(token.strip()) if scheme.lower() == "bearer" else None
        if user is not None:
            return user
        if self._tokens is not None:
            raise StatusError(401, "Unauthorized", reason="Unauthorized")
        return ANONYMOUS

    def authorize(self, user: User, request: RequestInfo) -> None:
        """Let a request pass, or not.

        Raises:
            StatusError: 403 if no rule allows it.
        """
        is_of_namespace = not request.group and request.plural == "namespaces"
        namespace = request.name if is_of_namespace else request.namespace
        attempt = RequestAttributes(
            request.verb, request.group, request.plural, request.subresource, namespace, request.name
        )
        if request.plural not in _REVIEWS_OF_ONESELF and not self.allows(user.name, user.groups, attempt):
            raise _forbidden(user, attempt)

    def authorize_path(self, user: User, method: str, path: str) -> None:
        """Let a request pass for a path that is no resource's, or not; no rule speaks of those.

        Raises:
            StatusError: 403 if there are rules.
        """
        if not self.allows_path(user.groups):
            verb = method.lower()
            message = f'forbidden: User "{user.name}" cannot {verb} path "{path}"'
            raise StatusError(403, message, reason="Forbidden", details={})

    def allows_path(self, groups: Iterable[str]) -> bool:
        """Return whether users in these groups may read paths other than resources and discovery."""
        return self._rules is None or _MASTERS in groups

    def allows(self, name: str, groups: Iterable[str], attempt: RequestAttributes) -> bool:
        """Return whether a user may do something."""
        groups = tuple(groups)
        if self._rules is None or _MASTERS in groups:
            return True
        return any(rule.is_for(name, groups) and rule.covers(attempt) for rule in self._rules)


def _forbidden(user: User, attempt: RequestAttributes) -> StatusError:
    resource = f"{attempt.resource}/{attempt.subresource}" if attempt.subresource else attempt.resource
    where = f'in the namespace "{attempt.namespace}"' if attempt.namespace else "at the cluster scope"
    why = f'User "{user.name}" cannot {attempt.verb} resource "{resource}" in API group "{attempt.api_group}" {where}'
    qualified = f"{attempt.resource}.{attempt.api_group}" if attempt.api_group else attempt.resource
    subject = f'{qualified} "{attempt.name}"' if attempt.name else qualified
    details = {"name": attempt.name, "group": attempt.api_group, "kind": attempt.resource}
    return StatusError(
        403,
        f"{subject} is forbidden: {why}",
        reason="Forbidden",
        details={key: value for key, value in details.items() if value},
    )

"""Rule and RuleTable: the requests that each user may send, in the terms of RBAC."""

from collections.abc import Iterable
from dataclasses import dataclass

from signal_gateway.apiserver.apimachinery.status import StatusError
from signal_gateway.apiserver.auth.authentication import ALL_AUTHENTICATED, User
from signal_gateway.errors import ApiServerError

__all__ = ["RequestAttributes", "Rule", "RuleTable"]

_MASTERS = "system:masters"
_SELF_REVIEWS = ("selfsubjectaccessreviews", "selfsubjectreviews", "selfsubjectrulesreviews")


@dataclass(frozen=True, slots=True)
class RequestAttributes:
    """The attributes of a request for a resource that authorization depends on.

    Attributes:
        verb: Kubernetes verb, such as `get` or `create`.
        api_group: API group; empty for core.
        resource: Plural of the resource.
        subresource: Such as `status`; empty for the main resource.
        namespace: Empty for cluster-scoped objects and for all namespaces.
        name: Name of the object; empty for collections.
    """

    verb: str
    api_group: str
    resource: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """Requests that some users may send, in the terms of RBAC; `*` matches everything.

    Attributes:
        users: Names of the users that the rule applies to.
        groups: Groups that the rule applies to.
        verbs: Such as `get` or `create`.
        resources: Plurals, with a subresource after a slash: `pods`, `pods/status`, `*/scale`.
        api_groups: API groups; the empty text for core.
        namespace: The only namespace that the rule covers; empty for every namespace and the cluster scope.
        names: The only object names that the rule covers; empty for all.
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
            raise ApiServerError(
                f"A rule needs users or groups, and {self!r} has neither. "
                f"Use the group {ALL_AUTHENTICATED!r} for every authenticated user"
            )

    def applies_to(self, name: str, groups: Iterable[str]) -> bool:
        """Return whether the rule applies to a user."""
        return name in self.users or any(group in self.groups for group in groups)

    def allows(self, attributes: RequestAttributes) -> bool:
        """Return whether the rule allows a request of the users that it applies to."""
        resources = ["*", attributes.resource]
        if attributes.subresource:
            resources = ["*", f"{attributes.resource}/{attributes.subresource}", f"*/{attributes.subresource}"]
        return (
            _matches(self.verbs, attributes.verb)
            and _matches(self.api_groups, attributes.api_group)
            and any(resource in self.resources for resource in resources)
            and self.namespace in ("", attributes.namespace)
            and (not self.names or attributes.name in self.names)
        )


def _matches(allowed: tuple[str, ...], value: str) -> bool:
    return "*" in allowed or value in allowed


class RuleTable:
    """Authorizes requests by a table of rules.

    Args:
        rules: The rules; a request that no rule allows is forbidden. With `None`, every request is allowed.
    """

    def __init__(self, rules: Iterable[Rule] | None) -> None:
        self._rules = None if rules is None else tuple(rules)

    def authorize(self, user: User, attributes: RequestAttributes) -> None:
        """Authorize a request for a resource.

        Raises:
            StatusError: 403 if no rule allows the request.
        """
        if attributes.resource not in _SELF_REVIEWS and not self.allows(user.name, user.groups, attributes):
            raise _forbidden(user, attributes)

    def authorize_path(self, user: User, method: str, path: str) -> None:
        """Authorize a request for a path outside the resources. No rule covers these paths.

        Raises:
            StatusError: 403 if there are rules and the user is not in `system:masters`.
        """
        if not self.allows_path(user.groups):
            verb = method.lower()
            message = f'forbidden: User "{user.name}" cannot {verb} path "{path}"'
            raise StatusError(403, message, reason="Forbidden", details={})

    def allows_path(self, groups: Iterable[str]) -> bool:
        """Return whether users in these groups may request paths other than resources and discovery."""
        return self._rules is None or _MASTERS in groups

    def allows(self, name: str, groups: Iterable[str], attributes: RequestAttributes) -> bool:
        """Return whether a user may send a request."""
        groups = tuple(groups)
        if self._rules is None or _MASTERS in groups:
            return True
        return any(rule.applies_to(name, groups) and rule.allows(attributes) for rule in self._rules)


def _forbidden(user: User, attributes: RequestAttributes) -> StatusError:
    verb, group, name = attributes.verb, attributes.api_group, attributes.name
    resource = f"{attributes.resource}/{attributes.subresource}" if attributes.subresource else attributes.resource
    scope = f'in the namespace "{attributes.namespace}"' if attributes.namespace else "at the cluster scope"
    reason = f'User "{user.name}" cannot {verb} resource "{resource}" in API group "{group}" {scope}'
    qualified = f"{attributes.resource}.{group}" if group else attributes.resource
    subject = f'{qualified} "{name}"' if name else qualified
    details = {"name": name, "group": group, "kind": attributes.resource}
    return StatusError(
        403,
        f"{subject} is forbidden: {reason}",
        reason="Forbidden",
        details={key: value for key, value in details.items() if value},
    )

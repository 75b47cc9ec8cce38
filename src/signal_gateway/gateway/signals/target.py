"""Target: the Kubernetes object that a signal is about."""

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["MAX_NAMESPACE_LENGTH", "Target", "is_namespace", "is_object_name"]

MAX_NAMESPACE_LENGTH: Final = 63

_MAX_NAME_LENGTH: Final = 253
_DNS_LABEL: Final = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_DNS_SUBDOMAIN: Final = re.compile(rf"{_DNS_LABEL}(?:\.{_DNS_LABEL})*")
_NAMESPACE: Final = re.compile(_DNS_LABEL)


@dataclass(frozen=True, slots=True)
class Target:
    """The Kubernetes object that a signal is about.

    Attributes:
        kind: Kind of the object, such as `Deployment`.
        name: Name of the object.
        namespace: Namespace of the object; None for a cluster-scoped kind, or if the signal names none.
        api_version: Group and version of the kind, such as `apps/v1`.
    """

    kind: str
    name: str
    namespace: str | None
    api_version: str

    def __str__(self) -> str:
        return "/".join(part for part in (self.namespace, self.kind, self.name) if part)


def is_namespace(name: str) -> bool:
    """Return whether a name is valid for a namespace: a DNS label."""
    return len(name) <= MAX_NAMESPACE_LENGTH and _NAMESPACE.fullmatch(name) is not None


def is_object_name(name: str) -> bool:
    """Return whether a name is valid for an object: a DNS subdomain."""
    return len(name) <= _MAX_NAME_LENGTH and _DNS_SUBDOMAIN.fullmatch(name) is not None

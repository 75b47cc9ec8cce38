"""What a cluster serves: resources, and the registry that finds them by group, version and plural."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from signal_gateway.apiserver.objects import JsonObject
from signal_gateway.apiserver.status import Cause

__all__ = ["Registry", "Resource", "Strategy"]


class Strategy(Protocol):
    """The rules of one kind: what its objects look like beyond their metadata."""

    def shape(self, new: JsonObject, old: JsonObject | None) -> list[str]:
        """Bring an object into the kind's form, in place: prune, default, fill in.

        Args:
            new: The object as sent; changed in place.
            old: The stored object on an update, `None` on a create.

        Returns:
            Paths of the unknown fields that were dropped.
        """
        ...

    def check(self, new: JsonObject, old: JsonObject | None) -> list[Cause]:
        """Return everything that is wrong with an object already in form."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """One served resource: a row of a table for a built-in kind, a version of a CustomResourceDefinition otherwise.

    Attributes:
        group: API group, empty for core.
        version: Such as `v1`.
        plural: The name in URLs.
        singular: The name in kubectl.
        kind: The name in objects.
        list_kind: The name in lists.
        namespaced: Whether its objects live in namespaces.
        strategy: What its objects look like.
        short_names: Further names in kubectl.
        categories: Groups of resources in kubectl.
        has_status: Whether there is a `/status` subresource.
        has_generation: Whether `metadata.generation` counts the changes of what is wanted.
        is_custom: Whether a CustomResourceDefinition made it.
        needs_resource_version: Whether a PUT without resourceVersion is refused.
        name_is_label: Whether names are DNS labels, not DNS subdomains.
        selectable_fields: Fields that a field selector may name, besides `metadata.name` and `metadata.namespace`.
        verbs: What can be done with it.
    """

    group: str
    version: str
    plural: str
    singular: str
    kind: str
    list_kind: str
    namespaced: bool
    strategy: Strategy
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    has_status: bool = False
    has_generation: bool = True
    is_custom: bool = False
    needs_resource_version: bool = False
    name_is_label: bool = False
    selectable_fields: tuple[str, ...] = ()
    verbs: tuple[str, ...] = (
        "create",
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "update",
        "watch",
    )

    @property
    def api_version(self) -> str:
        """Return `group/version`, or the version alone for core."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def key(self) -> str:
        """Return what its objects are stored under, the same for every version: `plural.group` or `plural`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


class Registry:
    """The resources that are served now. Used on the server's loop only."""

    def __init__(self, builtin: Iterable[Resource]) -> None:
        self._resources: dict[tuple[str, str, str], Resource] = {}
        for resource in builtin:
            self.add(resource)

    def add(self, resource: Resource) -> None:
        """Serve a resource, in place of any with the same group, version and plural."""
        self._resources[resource.group, resource.version, resource.plural] = resource

    def remove(self, group: str, plural: str) -> None:
        """Stop serving every version of a resource."""
        for key in [key for key in self._resources if key[0] == group and key[2] == plural]:
            del self._resources[key]

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """Return the resource at a URL, or `None` if nothing is served there."""
        return self._resources.get((group, version, plural))

    def namespaced(self) -> list[Resource]:
        """Return one version of every resource whose objects live in namespaces."""
        return list({resource.key: resource for resource in self._resources.values() if resource.namespaced}.values())

    def of_group(self, group: str) -> dict[str, list[Resource]]:
        """Return a group's resources by version, in the order in which they were added."""
        versions: dict[str, list[Resource]] = {}
        for resource in self._resources.values():
            if resource.group == group:
                versions.setdefault(resource.version, []).append(resource)
        return versions

    def groups(self) -> list[str]:
        """Return the named groups that have resources, in the order in which they were added."""
        return list(dict.fromkeys(resource.group for resource in self._resources.values() if resource.group))

"""Resources that a cluster serves, and their registry by group, version and plural."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from signal_gateway.apiserver.apimachinery.objects import JsonObject
from signal_gateway.apiserver.apimachinery.status import Cause

__all__ = [
    "Conversion",
    "FieldSource",
    "FieldTypeError",
    "NameRule",
    "Registry",
    "Resource",
    "Scale",
    "Strategy",
    "Subresource",
]


class FieldTypeError(ValueError):
    """A field has the wrong JSON type; the message is that of the API server."""


class Strategy(Protocol):
    """The rules of one kind for its objects, metadata excluded."""

    def prepare(self, new: JsonObject, old: JsonObject | None) -> list[str]:
        """Prune an object and set its defaults, in place.

        Args:
            new: The object from the request; changed in place.
            old: The stored object on an update; None on a create.

        Returns:
            The paths of the unknown fields that were removed.

        Raises:
            FieldTypeError: A value has the wrong type.
        """
        ...

    def validate(self, new: JsonObject, old: JsonObject | None) -> list[Cause]:
        """Return the causes why a prepared object is invalid."""
        ...


@dataclass(frozen=True, slots=True)
class Conversion:
    """The conversion between a served version of a resource and its storage version.

    Attributes:
        key: The storage key, shared by all versions.
        to_stored: Returns an object in the storage version, without a change of its argument.
        from_stored: Returns a stored object in this version, without a change of its argument.
    """

    key: str
    to_stored: Callable[[JsonObject], JsonObject]
    from_stored: Callable[[JsonObject], JsonObject]


@dataclass(frozen=True, slots=True)
class FieldSource:
    """The source of a value for a field selector.

    Attributes:
        path: Dotted path in the stored object.
        absent: The value of an absent field.
    """

    path: str
    absent: str = ""


@dataclass(frozen=True, slots=True)
class Scale:
    """The fields behind the `/scale` subresource.

    Attributes:
        spec_replicas: Dotted path of the desired number of replicas.
        status_replicas: Dotted path of the current number of replicas.
        selector: Dotted path of the replicas' selector, a string or an object; empty for none.
    """

    spec_replicas: str = "spec.replicas"
    status_replicas: str = "status.replicas"
    selector: str = ""


@dataclass(frozen=True, slots=True)
class Subresource:
    """A subresource other than `status` and `scale`.

    Attributes:
        name: The name in URLs.
        kind: The kind of its requests or responses.
        verbs: The verbs that it supports.
        group_version: The group and version of its kind, if different from its resource's.
    """

    name: str
    kind: str
    verbs: tuple[str, ...]
    group_version: str = ""


_SUBRESOURCE_VERBS = ("get", "patch", "update")

NameRule = Literal["subdomain", "label", "dns-1035 label", "path segment"]


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """One served resource: a built-in kind, or one version of a CustomResourceDefinition.

    Attributes:
        group: The API group; empty for core.
        version: Such as `v1`.
        plural: The name in URLs.
        singular: The name in kubectl.
        kind: The name in objects.
        list_kind: The name in lists.
        namespaced: Whether its objects live in namespaces.
        strategy: The rules for its objects.
        short_names: Further names in kubectl.
        categories: Groups of resources in kubectl.
        has_status: Whether there is a `/status` subresource.
        has_generation: Whether `metadata.generation` counts the changes of the desired state.
        is_custom: Whether a CustomResourceDefinition defines it.
        needs_resource_version: Whether a PUT without a resourceVersion is rejected.
        name_rule: The rule for object names.
        orphans_dependents: Whether a deletion orphans the dependents by default.
        returns_deleted: Whether an immediate deletion responds with the object instead of a Status.
        grace_period: Returns the seconds between deletion and removal, from the object and the seconds in the
            request; 0 for immediate removal. Otherwise a second deletion, with 0 seconds, removes the object.
        selectable_fields: The fields that a field selector supports, besides `metadata.name` and `metadata.namespace`.
        field_sources: The sources of the selectable fields whose name is not their path.
        scale: The fields behind the `/scale` subresource; None without that subresource.
        subresources: Further subresources.
        conversion: The conversion to the storage version; None if this version is stored.
        verbs: The verbs that it supports.
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
    name_rule: NameRule = "subdomain"
    orphans_dependents: bool = False
    returns_deleted: bool = False
    grace_period: Callable[[JsonObject, int | None], int] | None = None
    selectable_fields: tuple[str, ...] = ()
    field_sources: Mapping[str, FieldSource] = field(default_factory=dict)
    scale: Scale | None = None
    subresources: tuple[Subresource, ...] = ()
    conversion: Conversion | None = None
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
        """Group and version, such as `apps/v1`; the version alone for core."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def key(self) -> str:
        """The storage key, the same for every version: `plural.group` or `plural`."""
        if self.conversion is not None:
            return self.conversion.key
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def to_stored(self, object: JsonObject) -> JsonObject:
        """Convert an object of this version to the storage version."""
        return object if self.conversion is None else self.conversion.to_stored(object)

    def from_stored(self, object: JsonObject) -> JsonObject:
        """Convert a stored object to this version."""
        if object["apiVersion"] == self.api_version:
            return object
        if self.conversion is not None:
            return self.conversion.from_stored(object)
        return object | {"apiVersion": self.api_version}

    def all_subresources(self) -> list[Subresource]:
        """Return the subresources, ordered by name."""
        found = list(self.subresources)
        if self.has_status:
            found.append(Subresource("status", self.kind, _SUBRESOURCE_VERBS))
        if self.scale is not None:
            found.append(Subresource("scale", "Scale", _SUBRESOURCE_VERBS, "autoscaling/v1"))
        return sorted(found, key=lambda subresource: subresource.name)

    def verbs_of(self, subresource: str) -> tuple[str, ...]:
        """Return the verbs of a subresource; empty if the resource has no such subresource."""
        return next((found.verbs for found in self.all_subresources() if found.name == subresource), ())


class Registry:
    """The resources that are served now. Only the server's loop uses it."""

    def __init__(self, builtin: Iterable[Resource]) -> None:
        self._resources: dict[tuple[str, str, str], Resource] = {}
        for resource in builtin:
            self.add(resource)

    def add(self, resource: Resource) -> None:
        """Serve a resource; it replaces one with the same group, version and plural."""
        self._resources[resource.group, resource.version, resource.plural] = resource

    def remove(self, group: str, plural: str) -> None:
        """Stop serving every version of a resource."""
        for key in [key for key in self._resources if key[0] == group and key[2] == plural]:
            del self._resources[key]

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """Return the resource of a URL; None if no resource has it."""
        return self._resources.get((group, version, plural))

    def find_kind(self, api_version: str, kind: str) -> Resource | None:
        """Return the resource of a kind, by the fields of an owner reference; None without one."""
        group, _, version = api_version.rpartition("/")
        for resource in self._resources.values():
            if (resource.kind, resource.group, resource.version) == (kind, group, version):
                return resource
        return None

    def stored_under(self, key: str) -> Resource | None:
        """Return a resource with a storage key; None without one."""
        return next((resource for resource in self._resources.values() if resource.key == key), None)

    def namespaced(self) -> list[Resource]:
        """Return one version of every namespaced resource."""
        return list({resource.key: resource for resource in self._resources.values() if resource.namespaced}.values())

    def of_group(self, group: str) -> dict[str, list[Resource]]:
        """Return the resources of a group by version, in the order of addition."""
        versions: dict[str, list[Resource]] = {}
        for resource in self._resources.values():
            if resource.group == group:
                versions.setdefault(resource.version, []).append(resource)
        return versions

    def groups(self) -> list[str]:
        """Return the groups with resources, except core, in the order of addition."""
        return list(dict.fromkeys(resource.group for resource in self._resources.values() if resource.group))

    def has_builtin_group(self, path: str) -> bool:
        """Return whether a path is in a built-in group, in any version."""
        match path.strip("/").split("/"):
            case ["api", _, *_]:
                return True
            case ["apis", group, _, *_]:
                return any(not resource.is_custom and resource.group == group for resource in self._resources.values())
            case _:
                return False

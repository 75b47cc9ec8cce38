"""What a cluster serves: resources, and the registry that finds them by group, version and plural."""

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
    """A field has the wrong JSON type; the message names it as the API server does."""


class Strategy(Protocol):
    """The rules of one kind: what its objects look like beyond their metadata."""

    def prepare(self, new: JsonObject, old: JsonObject | None) -> list[str]:
        """Bring an object into the kind's form, in place: prune, default, fill in.

        Args:
            new: The object as sent; changed in place.
            old: The stored object on an update, `None` on a create.

        Returns:
            Paths of the unknown fields that were dropped.

        Raises:
            FieldTypeError: A value has the wrong type.
        """
        ...

    def validate(self, new: JsonObject, old: JsonObject | None) -> list[Cause]:
        """Return everything that is wrong with an object already in form."""
        ...


@dataclass(frozen=True, slots=True)
class Conversion:
    """How objects of one API version are kept as another, under which others read them.

    Attributes:
        key: What they are stored under.
        to_stored: Returns an object as it is stored; leaves what it is given alone.
        from_stored: Returns a stored object in this version; leaves what it is given alone.
    """

    key: str
    to_stored: Callable[[JsonObject], JsonObject]
    from_stored: Callable[[JsonObject], JsonObject]


@dataclass(frozen=True, slots=True)
class FieldSource:
    """Where the value is that a field selector compares with.

    Attributes:
        path: Dotted path in the stored object.
        absent: The value where nothing stands there.
    """

    path: str
    absent: str = ""


@dataclass(frozen=True, slots=True)
class Scale:
    """Where the `/scale` subresource finds what it shows.

    Attributes:
        spec_replicas: Dotted path to the wanted number.
        status_replicas: Dotted path to the number there is.
        selector: Dotted path to the selector of what is counted, as text or as an object; empty for none.
    """

    spec_replicas: str = "spec.replicas"
    status_replicas: str = "status.replicas"
    selector: str = ""


@dataclass(frozen=True, slots=True)
class Subresource:
    """A subresource other than `status` and `scale`.

    Attributes:
        name: The name in URLs.
        kind: The kind of what is sent to it, or comes from it.
        verbs: What can be done with it.
        group_version: Where its kind is at home, if elsewhere.
    """

    name: str
    kind: str
    verbs: tuple[str, ...]
    group_version: str = ""


_SUBRESOURCE_VERBS = ("get", "patch", "update")

NameRule = Literal["subdomain", "label", "dns-1035 label", "path segment"]


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
        name_rule: What names must look like.
        orphans_dependents: Whether what an object owns outlives it, unless its deletion says otherwise.
        returns_deleted: Whether a delete that is done at once answers with the object, not with a Status.
        grace_period: Returns for how many seconds an object stays after its deletion, from the seconds that were
            asked for; 0 for an object that goes at once. Somebody must delete it once more, with 0 seconds.
        selectable_fields: Fields that a field selector may name, besides `metadata.name` and `metadata.namespace`.
        field_sources: Where the values of selectable fields are, for those that don't stand where their name says.
        scale: What the `/scale` subresource shows, where there is one.
        subresources: Further subresources.
        conversion: How its objects are stored, where another version's form is.
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
        """Return `group/version`, or the version alone for core."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def key(self) -> str:
        """Return what its objects are stored under, the same for every version: `plural.group` or `plural`."""
        if self.conversion is not None:
            return self.conversion.key
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def to_stored(self, object: JsonObject) -> JsonObject:
        """Return an object of this version as it is stored."""
        return object if self.conversion is None else self.conversion.to_stored(object)

    def from_stored(self, object: JsonObject) -> JsonObject:
        """Return a stored object in this version."""
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
        """Return what can be done with a subresource, nothing if there is none of that name."""
        return next((found.verbs for found in self.all_subresources() if found.name == subresource), ())


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

    def find_kind(self, api_version: str, kind: str) -> Resource | None:
        """Return the resource of a kind, as an owner reference names it; `None` if nothing of it is served."""
        group, _, version = api_version.rpartition("/")
        for resource in self._resources.values():
            if (resource.kind, resource.group, resource.version) == (kind, group, version):
                return resource
        return None

    def stored_under(self, key: str) -> Resource | None:
        """Return a resource whose objects are stored under a key."""
        return next((resource for resource in self._resources.values() if resource.key == key), None)

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

    def has_builtin_group(self, path: str) -> bool:
        """Return whether a path is in a group that came with the server, if perhaps in a version it doesn't have."""
        match path.strip("/").split("/"):
            case ["api", _, *_]:
                return True
            case ["apis", group, _, *_]:
                return any(not resource.is_custom and resource.group == group for resource in self._resources.values())
            case _:
                return False

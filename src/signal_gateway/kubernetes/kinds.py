"""Kinds: what a cluster can hold, by the names that people and references use for it."""

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Kind", "Kinds"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind in one version of its group.

    Attributes:
        name: Such as `Deployment`.
        group: Its API group; empty for core.
        version: The group's version, such as `v1`.
        plural: Its name in paths, such as `deployments`.
        singular: Its name for people, such as `deployment`; lower case.
        is_namespaced: Whether its objects live in namespaces.
    """

    name: str
    group: str
    version: str
    plural: str
    singular: str
    is_namespaced: bool

    @property
    def api_version(self) -> str:
        """Group and version as objects have them, such as `apps/v1`, or `v1` for core."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str) -> str:
        """Return the path of an object, without the leading slash.

        Args:
            namespace: The object's namespace; passed over for a cluster-scoped kind.
            name: What it is called.
        """
        root = f"apis/{self.group}/{self.version}" if self.group else f"api/{self.version}"
        within = f"/namespaces/{namespace}" if self.is_namespaced else ""
        return f"{root}{within}/{self.plural}/{name}"


class Kinds:
    """The kinds of a cluster, to look up.

    Args:
        kinds: In the order of preference: where several have the same name, the first is meant.
    """

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._by_name: dict[str, Kind] = {}
        self._by_reference: dict[tuple[str, str], Kind] = {}
        for kind in kinds:
            self._by_reference.setdefault((kind.api_version, kind.name), kind)
            self._by_name.setdefault(kind.name.lower(), kind)
            self._by_name.setdefault(kind.singular, kind)

    def __len__(self) -> int:
        return len(self._by_reference)

    def called(self, name: str) -> Kind | None:
        """Return the kind that a lower-case name means, such as `deployment`; None if there is none."""
        return self._by_name.get(name)

    def referred(self, api_version: str, name: str) -> Kind | None:
        """Return the kind of a reference, such as `apps/v1` and `Deployment`; None if the cluster has none such."""
        return self._by_reference.get((api_version, name))

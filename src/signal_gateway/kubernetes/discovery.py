"""Kinds of a cluster, and their discovery.

Source: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from signal_gateway.kubernetes.errors import KubernetesError

__all__ = ["ACCEPT", "DiscoveryClient", "Kind", "Kinds", "discover_kinds"]

_log = logging.getLogger(__name__)

ACCEPT: Final = ", ".join(
    [
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
        "application/json",
    ]
)
"""The supported representations of `/api` and `/apis`; the preferred one, which needs no further calls, is first."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind in one version of its group.

    Attributes:
        name: Such as `Deployment`.
        group: Its API group; empty for core.
        version: The group's version, such as `v1`.
        plural: Its name in paths, such as `deployments`.
        singular: Its singular name in lower case, such as `deployment`.
        is_namespaced: Whether its objects live in namespaces.
        api_version: Group and version as objects have them, such as `apps/v1`, or `v1` for core.
        object_path: Returns the path of an object, without the leading slash, of its namespace (ignored for a
            cluster-scoped kind) and its name.
    """

    name: str
    group: str
    version: str
    plural: str
    singular: str
    is_namespaced: bool
    api_version: str = field(init=False, repr=False, compare=False)
    object_path: Callable[[str | None, str], str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        within = "namespaces/{0}/" if self.is_namespaced else ""
        template = f"{self._root}/{within}{self.plural}/{{1}}"
        object.__setattr__(self, "api_version", f"{self.group}/{self.version}" if self.group else self.version)
        object.__setattr__(self, "object_path", template.format)  # for every look-up of a signal: no frame of Python

    def collection_path(self, namespace: str | None = None) -> str:
        """Return the path of the objects of one namespace or of all, without the leading slash."""
        within = f"namespaces/{namespace}/" if namespace is not None else ""
        return f"{self._root}/{within}{self.plural}"

    @property
    def _root(self) -> str:
        return f"apis/{self.group}/{self.version}" if self.group else f"api/{self.version}"


class Kinds:
    """The kinds of a cluster, by name and by reference.

    Args:
        kinds: The kinds in order of preference: the first of several with the same name wins.

    Attributes:
        called: Returns the kind with a lower-case name, such as `deployment` or `volume.longhorn.io`; None if unknown.
        by_reference: The kind of each API version and name, such as `apps/v1` and `Deployment`.
    """

    called: Callable[[str], Kind | None]

    def __init__(self, kinds: Iterable[Kind]) -> None:
        by_name: dict[str, Kind] = {}
        by_reference: dict[tuple[str, str], Kind] = {}
        for kind in kinds:
            by_reference.setdefault((kind.api_version, kind.name), kind)
            by_name.setdefault(kind.name.lower(), kind)
            by_name.setdefault(kind.singular, kind)
            by_name.setdefault(f"{kind.name.lower()}.{kind.group}", kind)
        self.called = by_name.get
        self.by_reference: Mapping[tuple[str, str], Kind] = by_reference

    def __len__(self) -> int:
        return len(self.by_reference)

    def referred(self, api_version: str, name: str) -> Kind | None:
        """Return the kind of a reference, such as `apps/v1` and `Deployment`; None if the cluster has no such kind."""
        return self.by_reference.get((api_version, name))


class DiscoveryClient(Protocol):
    """Reads the documents of the discovery API."""

    async def get(self, path: str) -> Mapping[str, Any]:
        """Return the JSON object at a path, requested with the header `Accept: ACCEPT`.

        Args:
            path: Such as `api` or `apis/apps/v1`.

        Raises:
            KubernetesError: The call failed.
        """
        ...


async def discover_kinds(client: DiscoveryClient) -> Kinds:
    """Return the kinds of a cluster whose objects support `get`.

    Discovery takes two calls if the API aggregates it (Kubernetes 1.27 and newer), else two and one for each version
    of each group. A group without a response, because an aggregated API server is down, is logged and left out.

    Args:
        client: Reads the documents.

    Raises:
        KubernetesError: The API does not respond.
    """
    core, groups = await asyncio.gather(client.get("api"), client.get("apis"))
    found: list[Kind] = []
    for document, root in ((core, "api"), (groups, "apis")):
        if document.get("kind") == "APIGroupDiscoveryList":
            found += _aggregated(document)
        else:
            found += await _unaggregated(document, root, client)
    return Kinds(found)


def _aggregated(document: Mapping[str, Any]) -> Iterator[Kind]:
    for group in document.get("items") or ():
        name = group.get("metadata", {}).get("name", "")
        for version in group.get("versions") or ():
            for resource in version.get("resources") or ():
                if "get" in resource.get("verbs", ()):
                    yield _kind(
                        resource["responseKind"]["kind"],
                        group=name,
                        version=version["version"],
                        plural=resource["resource"],
                        singular=resource.get("singularResource"),
                        is_namespaced=resource["scope"] == "Namespaced",
                    )


async def _unaggregated(document: Mapping[str, Any], root: str, client: DiscoveryClient) -> Sequence[Kind]:
    if root == "api":
        versions = [("", version) for version in document.get("versions") or ()]
    else:
        versions = [(group["name"], version) for group in document.get("groups") or () for version in _preferred(group)]
    paths = [f"{root}/{group}/{version}" if group else f"{root}/{version}" for group, version in versions]
    lists = await asyncio.gather(*(_resources(path, client) for path in paths))
    return [
        _kind(
            resource["kind"],
            group=group,
            version=version,
            plural=resource["name"],
            singular=resource.get("singularName"),
            is_namespaced=resource["namespaced"],
        )
        for (group, version), resources in zip(versions, lists, strict=True)
        for resource in resources
        if "/" not in resource["name"] and "get" in resource.get("verbs", ())
    ]


def _preferred(group: Mapping[str, Any]) -> list[str]:
    first = group.get("preferredVersion", {}).get("version")
    versions = [version["version"] for version in group.get("versions") or ()]
    return sorted(versions, key=lambda version: version != first)


async def _resources(path: str, client: DiscoveryClient) -> Sequence[Mapping[str, Any]]:
    try:
        return (await client.get(path)).get("resources") or ()
    except KubernetesError as exc:
        if path == "api/v1":
            raise
        _log.warning("discovery of /%s failed, its kinds are unknown: %s", path, exc)
        return ()


def _kind(name: str, *, group: str, version: str, plural: str, singular: str | None, is_namespaced: bool) -> Kind:
    return Kind(
        name=name,
        group=group,
        version=version,
        plural=plural,
        singular=(singular or name).lower(),
        is_namespaced=is_namespaced,
    )

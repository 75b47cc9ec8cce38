"""Discovery: ask a cluster which kinds it has.

Source: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from signal_gateway.kubernetes.errors import KubernetesError
from signal_gateway.kubernetes.kinds import Kind, Kinds

__all__ = ["ACCEPT", "discover"]

_log = logging.getLogger(__name__)

ACCEPT: Final = ", ".join(
    [
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
        "application/json",
    ]
)
"""The representations of `/api` and `/apis` that are understood, the one that needs no further calls first."""

Get = Callable[[str], Awaitable[Mapping[str, Any]]]


async def discover(get: Get) -> Kinds:
    """Return the kinds of a cluster whose objects can be read one by one.

    Two calls where the API aggregates discovery (Kubernetes 1.27 and newer), else two and one for each version of
    each group. A group that can't tell, because a server behind the API is down, is left out and logged.

    Args:
        get: Returns the JSON object at a path, asked for with `ACCEPT`.

    Raises:
        KubernetesError: The API does not answer.
    """
    core, groups = await asyncio.gather(get("api"), get("apis"))
    found: list[Kind] = []
    for document, root in ((core, "api"), (groups, "apis")):
        if document.get("kind") == "APIGroupDiscoveryList":
            found += _aggregated(document)
        else:
            found += await _plain(document, root, get)
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


async def _plain(document: Mapping[str, Any], root: str, get: Get) -> Sequence[Kind]:
    if root == "api":
        versions = [("", version) for version in document.get("versions") or ()]
    else:
        versions = [(group["name"], version) for group in document.get("groups") or () for version in _preferred(group)]
    paths = [f"{root}/{group}/{version}" if group else f"{root}/{version}" for group, version in versions]
    lists = await asyncio.gather(*(_resources(path, get) for path in paths))
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


async def _resources(path: str, get: Get) -> Sequence[Mapping[str, Any]]:
    try:
        return (await get(path)).get("resources") or ()
    except KubernetesError as exc:
        if path == "api/v1":
            raise
        _log.warning("the kinds of /%s are not known: %s", path, exc)
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

"""Discovery documents: versions, groups and resources; version and health of the server."""

from collections.abc import Mapping
from dataclasses import dataclass

from signal_gateway.apiserver.apimachinery.objects import JsonObject, encode
from signal_gateway.apiserver.apimachinery.resources import Registry, Resource, Subresource
from signal_gateway.apiserver.apimachinery.status import StatusError
from signal_gateway.apiserver.discovery.aggregated import AGGREGATED_VERSIONS, aggregated_discovery
from signal_gateway.apiserver.discovery.openapi import group_version_openapi, openapi_index

__all__ = ["DiscoveryDocument", "discovery_document", "is_discovery_path", "root_paths"]

_HEALTH_PATHS = ("healthz", "livez", "readyz")
_HEALTH_CHECKS = ("ping", "log", "etcd")
_PLAIN_TYPES = ("application/json", "application/*", "*/*")


@dataclass(frozen=True, slots=True)
class DiscoveryDocument:
    """The body of a discovery or health response.

    Attributes:
        content_type: Media type of the body.
        body: The encoded document.
    """

    content_type: str
    body: bytes


def is_discovery_path(path: str) -> bool:
    """Return whether a path is of discovery, version or health, which every user may read."""
    first, _, _ = path.strip("/").partition("/")
    return first in ("api", "apis", "openapi", "version", *_HEALTH_PATHS)


def discovery_document(
    registry: Registry, path: str, query: Mapping[str, str], host: str, accept: str
) -> DiscoveryDocument | None:
    """Return the document of a discovery or health path.

    Args:
        registry: The served resources.
        path: Path of the request.
        query: Query parameters of the request.
        host: Host header: the address of the server as the client knows it.
        accept: Accept header.

    Returns:
        The document, or `None` for any other path.

    Raises:
        StatusError: 406 if the client does not accept JSON.
    """
    parts = path.strip("/").split("/")
    match parts:
        case [health, *checks] if health in _HEALTH_PATHS:
            return _health(health, checks, is_verbose="verbose" in query)
        case ["api" | "apis"] if version := _aggregated_version(accept):
            content_type = f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
            groups = [""] if parts == ["api"] else registry.groups()
            return DiscoveryDocument(content_type, encode(aggregated_discovery(registry, groups, version)))
    found = _describe(registry, parts, host)
    if found is None:
        return None
    if not _accepts_json(accept):
        raise StatusError(406, "only the following media types are accepted: application/json", reason="NotAcceptable")
    return DiscoveryDocument("application/json", encode(found))


def _health(name: str, checks: list[str], *, is_verbose: bool) -> DiscoveryDocument | None:
    if len(checks) > 1 or (checks and checks[0] not in _HEALTH_CHECKS):
        return None
    text = "ok"
    if is_verbose and not checks:
        text = "".join(f"[+]{check} ok\n" for check in _HEALTH_CHECKS) + f"{name} check passed\n"
    return DiscoveryDocument("text/plain; charset=utf-8", text.encode())


def _aggregated_version(accept: str) -> str | None:
    """Return the version of aggregated discovery that a client prefers; `None` if it prefers plain discovery."""
    for media_type in accept.split(","):
        name, *parameters = [part.strip() for part in media_type.split(";")]
        if name == "application/json" and {"g=apidiscovery.k8s.io", "as=APIGroupDiscoveryList"} <= {*parameters}:
            for version in AGGREGATED_VERSIONS:
                if f"v={version}" in parameters:
                    return version
        elif name in _PLAIN_TYPES:
            return None
    return None


def _accepts_json(accept: str) -> bool:
    accepted = [media_type.partition(";") for media_type in accept.split(",")]
    return not accept or any(name.strip() in _PLAIN_TYPES and "as=" not in rest for name, _, rest in accepted)


def _describe(registry: Registry, parts: list[str], host: str) -> JsonObject | None:
    match parts:
        case [""]:
            return {"paths": root_paths(registry)}
        case ["version"]:
            return _version()
        case ["api"]:
            addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}]
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}
        case ["apis"]:
            groups = [_group(registry, group) for group in registry.groups()]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        case ["apis", group] if registry.of_group(group):
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(registry, group)}
        case ["openapi", "v3"]:
            return openapi_index(registry)
        case ["openapi", "v3", "api", version]:
            return group_version_openapi(registry, "", version)
        case ["openapi", "v3", "apis", group, version]:
            return group_version_openapi(registry, group, version)
        case ["api", version]:
            return _resources(registry, "", version)
        case ["apis", group, version]:
            return _resources(registry, group, version)
        case _:
            return None


def root_paths(registry: Registry) -> list[str]:
    """Return the paths that the root document lists."""
    paths = ["/api", "/api/v1", "/apis", "/openapi/v3", "/version", *(f"/{name}" for name in _HEALTH_PATHS)]
    paths += [f"/{name}/{check}" for name in _HEALTH_PATHS for check in _HEALTH_CHECKS]
    for group in registry.groups():
        paths += [f"/apis/{group}", *(f"/apis/{group}/{version}" for version in registry.of_group(group))]
    return sorted(paths)


def _version() -> JsonObject:
    return {
        "major": "1",
        "minor": "32",
        "gitVersion": "v1.32.0+signal-gateway",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": "",
    }


def _group(registry: Registry, group: str) -> JsonObject:
    versions = [{"groupVersion": f"{group}/{version}", "version": version} for version in registry.of_group(group)]
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def _resources(registry: Registry, group: str, version: str) -> JsonObject | None:
    resources = registry.of_group(group).get(version)
    if resources is None:
        return None
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/{version}" if group else version,
        "resources": [entry for resource in resources for entry in _entries(resource)],
    }


def _entries(resource: Resource) -> list[JsonObject]:
    entry: JsonObject = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    return [entry, *(_subresource_entry(resource, subresource) for subresource in resource.all_subresources())]


def _subresource_entry(resource: Resource, subresource: Subresource) -> JsonObject:
    entry = {
        "name": f"{resource.plural}/{subresource.name}",
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": subresource.kind,
        "verbs": list(subresource.verbs),
    }
    group, _, version = subresource.group_version.rpartition("/")
    return entry | ({"group": group, "version": version} if group else {})

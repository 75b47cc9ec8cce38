"""Discovery: which versions, groups and resources there are; and the server's version and health."""

from signal_gateway.apiserver.objects import JsonObject
from signal_gateway.apiserver.resources import Registry, Resource, Subresource

__all__ = ["discover"]

_HEALTH_PATHS = ("healthz", "livez", "readyz")


def discover(registry: Registry, path: str, host: str) -> JsonObject | str | None:
    """Return what a discovery or health path answers.

    Args:
        registry: The resources that are served.
        path: The request's path.
        host: The address under which the client found the server.

    Returns:
        A JSON object, plain text for the health paths, or `None` if the path is neither.
    """
    match path.strip("/").split("/"):
        case ["version"]:
            return _version()
        case [health, *_] if health in _HEALTH_PATHS:
            return "ok"
        case ["api"]:
            addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}]
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}
        case ["apis"]:
            groups = [_group(registry, group) for group in registry.groups()]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        case ["apis", group] if registry.of_group(group):
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(registry, group)}
        case ["api", version]:
            return _resources(registry, "", version)
        case ["apis", group, version]:
            return _resources(registry, group, version)
        case _:
            return None


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

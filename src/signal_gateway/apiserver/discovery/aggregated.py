"""Aggregated discovery (apidiscovery.k8s.io): all groups, versions and resources in one document."""

from collections.abc import Iterable

from signal_gateway.apiserver.apimachinery.objects import JsonObject
from signal_gateway.apiserver.apimachinery.resources import Registry, Resource, Subresource

__all__ = ["AGGREGATED_VERSIONS", "aggregated_discovery"]

AGGREGATED_VERSIONS = ("v2", "v2beta1")


def aggregated_discovery(registry: Registry, groups: Iterable[str], version: str) -> JsonObject:
    """Return an `APIGroupDiscoveryList`.

    Args:
        registry: The served resources.
        groups: The groups to list; the empty text for core.
        version: API version of the document itself.
    """
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": [_group(registry, group) for group in groups],
    }


def _group(registry: Registry, group: str) -> JsonObject:
    versions = [
        {"version": version, "resources": [_resource(resource) for resource in resources], "freshness": "Current"}
        for version, resources in registry.of_group(group).items()
    ]
    metadata: JsonObject = {"creationTimestamp": None}
    return {"metadata": metadata | ({"name": group} if group else {}), "versions": versions}


def _resource(resource: Resource) -> JsonObject:
    described: JsonObject = {
        "resource": resource.plural,
        "responseKind": _kind(resource, resource.kind),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        described["shortNames"] = list(resource.short_names)
    if resource.categories:
        described["categories"] = list(resource.categories)
    if subresources := resource.all_subresources():
        described["subresources"] = [_subresource(resource, subresource) for subresource in subresources]
    return described


def _subresource(resource: Resource, subresource: Subresource) -> JsonObject:
    group, _, version = subresource.group_version.rpartition("/")
    kind = _kind(resource, subresource.kind)
    if group:
        kind = {"group": group, "version": version, "kind": subresource.kind}
    return {"subresource": subresource.name, "responseKind": kind, "verbs": list(subresource.verbs)}


def _kind(resource: Resource, kind: str) -> JsonObject:
    """Return a kind. As on a real server, a built-in kind leaves out its group and version."""
    group, version = (resource.group, resource.version) if resource.is_custom else ("", "")
    return {"group": group, "version": version, "kind": kind}

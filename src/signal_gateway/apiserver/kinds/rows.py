"""Write a row of the table of kinds in few words."""

from collections.abc import Callable, Mapping

from signal_gateway.apiserver.apimachinery.objects import JsonObject
from signal_gateway.apiserver.apimachinery.resources import (
    Conversion,
    FieldSource,
    NameRule,
    Resource,
    Scale,
    Strategy,
    Subresource,
)

__all__ = ["SCALE", "row", "workload"]

SCALE = Scale(selector="spec.selector")

_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


def row(
    group_version: str,
    kind: str,
    strategy: Strategy,
    *,
    plural: str = "",
    namespaced: bool = True,
    short_names: tuple[str, ...] = (),
    categories: tuple[str, ...] = (),
    has_status: bool = False,
    orphans_dependents: bool = False,
    returns_deleted: bool = False,
    grace_period: Callable[[JsonObject, int | None], int] | None = None,
    has_generation: bool = False,
    needs_resource_version: bool = False,
    name_rule: NameRule = "subdomain",
    selectable_fields: tuple[str, ...] = (),
    field_sources: Mapping[str, FieldSource] | None = None,
    scale: Scale | None = None,
    subresources: tuple[Subresource, ...] = (),
    conversion: Conversion | None = None,
    verbs: tuple[str, ...] = _VERBS,
) -> Resource:
    """Return the resource of a built-in kind: parameters are those of `Resource`, less what follows from the kind."""
    group, _, version = group_version.rpartition("/")
    return Resource(
        group=group,
        version=version,
        plural=plural or f"{kind.lower()}s",
        singular=kind.lower(),
        kind=kind,
        list_kind=f"{kind}List",
        namespaced=namespaced,
        strategy=strategy,
        short_names=short_names,
        categories=categories,
        has_status=has_status,
        orphans_dependents=orphans_dependents,
        returns_deleted=returns_deleted,
        grace_period=grace_period,
        has_generation=has_generation,
        needs_resource_version=needs_resource_version,
        name_rule=name_rule,
        selectable_fields=selectable_fields,
        field_sources=field_sources or {},
        scale=scale,
        subresources=subresources,
        conversion=conversion,
        verbs=verbs,
    )


def workload(
    group_version: str, kind: str, strategy: Strategy, short_names: tuple[str, ...], *, is_scalable: bool = True
) -> Resource:
    """Return the row of what runs pods from a template."""
    return row(
        group_version,
        kind,
        strategy,
        short_names=short_names,
        categories=("all",),
        has_status=True,
        has_generation=True,
        scale=SCALE if is_scalable else None,
    )

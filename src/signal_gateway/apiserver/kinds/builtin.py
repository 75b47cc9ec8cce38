"""The table of the built-in kinds, one row for each."""

from collections.abc import Callable, Mapping

from signal_gateway.apiserver.apiextensions.definitions import CRDS
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
from signal_gateway.apiserver.kinds import apps, autoscaling, batch, coordination, networking, policy, rbac
from signal_gateway.apiserver.kinds.core import configuration, events, nodes, pods, services, volumes
from signal_gateway.apiserver.kinds.core.namespaces import NAMESPACES
from signal_gateway.apiserver.kinds.schema.strategy import ModelStrategy

__all__ = ["BUILTIN", "REVIEWS"]

_RBAC = "rbac.authorization.k8s.io/v1"

_POD_SUBRESOURCES = (
    Subresource("attach", "PodAttachOptions", ("create", "get")),
    Subresource("binding", "Binding", ("create",)),
    Subresource("eviction", "Eviction", ("create",), "policy/v1"),
    Subresource("exec", "PodExecOptions", ("create", "get")),
    Subresource("log", "Pod", ("get",)),
    Subresource("portforward", "PodPortForwardOptions", ("create", "get")),
    Subresource("proxy", "PodProxyOptions", ("create", "delete", "get", "patch", "update")),
)
_POD_FIELDS = (
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
)
_OBJECT_REFERENCE = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
_EVENT_FIELDS = (*(f"involvedObject.{field}" for field in _OBJECT_REFERENCE), "reason", "type")
_NEW_EVENT_FIELDS = tuple(f"regarding.{field}" for field in _OBJECT_REFERENCE)

_SCALE = Scale(selector="spec.selector")

_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


def _row(
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
    """Return the resource of a built-in kind, with the parameters of `Resource` that do not follow from its name."""
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


def _workload(
    group_version: str, kind: str, strategy: Strategy, short_names: tuple[str, ...], *, is_scalable: bool = True
) -> Resource:
    """Return the resource of a workload: a kind that runs pods from a template."""
    return _row(
        group_version,
        kind,
        strategy,
        short_names=short_names,
        categories=("all",),
        has_status=True,
        has_generation=True,
        scale=_SCALE if is_scalable else None,
    )


def _review(group: str, kind: str, *, namespaced: bool = False) -> Resource:
    strategy = ModelStrategy(f"{group}_v1.{kind}")
    return _row(f"{group}.k8s.io/v1", kind, strategy, namespaced=namespaced, verbs=("create",))


_CORE = (
    _row("v1", "ConfigMap", configuration.CONFIG_MAPS, short_names=("cm",)),
    _row("v1", "Endpoints", services.ENDPOINTS, plural="endpoints", short_names=("ep",)),
    _row(
        "v1",
        "Event",
        events.CORE_EVENTS,
        short_names=("ev",),
        selectable_fields=(*_EVENT_FIELDS, "reportingComponent", "source"),
        field_sources={"source": FieldSource("source.component")},
    ),
    NAMESPACES,
    _row(
        "v1",
        "Node",
        nodes.NODES,
        namespaced=False,
        short_names=("no",),
        has_status=True,
        selectable_fields=("spec.unschedulable",),
        field_sources={"spec.unschedulable": FieldSource("spec.unschedulable", "false")},
        subresources=(Subresource("proxy", "NodeProxyOptions", ("create", "delete", "get", "patch", "update")),),
    ),
    _row(
        "v1",
        "PersistentVolumeClaim",
        volumes.CLAIMS,
        short_names=("pvc",),
        has_status=True,
        returns_deleted=True,
    ),
    _row(
        "v1",
        "PersistentVolume",
        volumes.VOLUMES,
        namespaced=False,
        short_names=("pv",),
        has_status=True,
        returns_deleted=True,
    ),
    _row(
        "v1",
        "Pod",
        ModelStrategy("core_v1.Pod", pods.default_pod, pods.validate_pod),
        short_names=("po",),
        categories=("all",),
        has_status=True,
        returns_deleted=True,
        grace_period=pods.grace_period,
        selectable_fields=_POD_FIELDS,
        field_sources={"spec.hostNetwork": FieldSource("spec.hostNetwork", "false")},
        subresources=_POD_SUBRESOURCES,
    ),
    _row(
        "v1",
        "ReplicationController",
        apps.REPLICATION_CONTROLLERS,
        short_names=("rc",),
        categories=("all",),
        has_status=True,
        has_generation=True,
        orphans_dependents=True,
        selectable_fields=("status.replicas",),
        scale=_SCALE,
    ),
    _row("v1", "ResourceQuota", ModelStrategy("core_v1.ResourceQuota"), short_names=("quota",), has_status=True),
    _row("v1", "Secret", configuration.SECRETS, selectable_fields=("type",)),
    _row(
        "v1",
        "ServiceAccount",
        ModelStrategy("core_v1.ServiceAccount"),
        short_names=("sa",),
        returns_deleted=True,
        subresources=(Subresource("token", "TokenRequest", ("create",), "authentication.k8s.io/v1"),),
    ),
    _row(
        "v1",
        "Service",
        services.SERVICES,
        short_names=("svc",),
        categories=("all",),
        has_status=True,
        returns_deleted=True,
        name_rule="dns-1035 label",
        selectable_fields=("spec.clusterIP", "spec.type"),
        subresources=(Subresource("proxy", "ServiceProxyOptions", ("create", "delete", "get", "patch", "update")),),
    ),
)

_APPS = (
    _workload("apps/v1", "DaemonSet", apps.DAEMON_SETS, ("ds",), is_scalable=False),
    _workload("apps/v1", "Deployment", apps.DEPLOYMENTS, ("deploy",)),
    _workload("apps/v1", "ReplicaSet", apps.REPLICA_SETS, ("rs",)),
    _workload("apps/v1", "StatefulSet", apps.STATEFUL_SETS, ("sts",)),
)

_EVENTS = _row(
    "events.k8s.io/v1",
    "Event",
    events.EVENTS,
    short_names=("ev",),
    selectable_fields=(*_NEW_EVENT_FIELDS, "reason", "reportingController", "type"),
    field_sources={
        **{f"regarding.{field}": FieldSource(f"involvedObject.{field}") for field in _OBJECT_REFERENCE},
        "reportingController": FieldSource("reportingComponent"),
    },
    conversion=Conversion("events", events.to_core, events.from_core),
)

_AUTOSCALING = (
    _row(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        autoscaling.AUTOSCALERS,
        short_names=("hpa",),
        categories=("all",),
        has_status=True,
    ),
    _row(
        "autoscaling/v1",
        "HorizontalPodAutoscaler",
        autoscaling.AUTOSCALERS_V1,
        short_names=("hpa",),
        categories=("all",),
        has_status=True,
        conversion=Conversion("horizontalpodautoscalers.autoscaling", autoscaling.to_v2, autoscaling.from_v2),
    ),
)

_BATCH = (
    _row(
        "batch/v1",
        "CronJob",
        batch.CRON_JOBS,
        short_names=("cj",),
        categories=("all",),
        has_status=True,
        has_generation=True,
    ),
    _row(
        "batch/v1",
        "Job",
        batch.JOBS,
        categories=("all",),
        has_status=True,
        has_generation=True,
        orphans_dependents=True,
        selectable_fields=("status.successful",),
        field_sources={"status.successful": FieldSource("status.succeeded", "0")},
    ),
)

_NETWORKING = (
    _row(
        "networking.k8s.io/v1",
        "Ingress",
        networking.INGRESSES,
        plural="ingresses",
        short_names=("ing",),
        has_status=True,
        has_generation=True,
    ),
    _row(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        networking.NETWORK_POLICIES,
        plural="networkpolicies",
        short_names=("netpol",),
        has_generation=True,
    ),
)

_POLICY = _row(
    "policy/v1",
    "PodDisruptionBudget",
    policy.BUDGETS,
    short_names=("pdb",),
    has_status=True,
    has_generation=True,
    needs_resource_version=True,
)

_ROLES = (
    _row(_RBAC, "ClusterRoleBinding", rbac.CLUSTER_ROLE_BINDINGS, namespaced=False, name_rule="path segment"),
    _row(_RBAC, "ClusterRole", rbac.CLUSTER_ROLES, namespaced=False, name_rule="path segment"),
    _row(_RBAC, "RoleBinding", rbac.ROLE_BINDINGS, name_rule="path segment"),
    _row(_RBAC, "Role", rbac.ROLES, name_rule="path segment"),
)

_COORDINATION = _row("coordination.k8s.io/v1", "Lease", coordination.LEASES, needs_resource_version=True)

REVIEWS = (
    _review("authentication", "SelfSubjectReview"),
    _review("authentication", "TokenReview"),
    _review("authorization", "LocalSubjectAccessReview", namespaced=True),
    _review("authorization", "SelfSubjectAccessReview"),
    _review("authorization", "SelfSubjectRulesReview"),
    _review("authorization", "SubjectAccessReview"),
)
"""Kinds that can only be created: the response to the create is the result, and nothing is stored."""

BUILTIN: tuple[Resource, ...] = (
    *_CORE,
    *_APPS,
    _EVENTS,
    *REVIEWS,
    *_AUTOSCALING,
    *_BATCH,
    *_NETWORKING,
    _POLICY,
    *_ROLES,
    CRDS,
    _COORDINATION,
)

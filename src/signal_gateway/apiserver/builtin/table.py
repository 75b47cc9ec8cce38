"""The built-in kinds, one row each."""

from collections.abc import Callable, Mapping

from signal_gateway.apiserver.builtin import (
    configuration,
    events,
    jobs,
    networking,
    nodes,
    pods,
    rbac,
    scaling,
    storage,
    workloads,
)
from signal_gateway.apiserver.builtin.namespaces import NAMESPACES
from signal_gateway.apiserver.builtin.reviews import REVIEWS
from signal_gateway.apiserver.builtin.strategy import ModelStrategy
from signal_gateway.apiserver.crds import CRDS
from signal_gateway.apiserver.objects import JsonObject
from signal_gateway.apiserver.resources import (
    Conversion,
    FieldSource,
    NameRule,
    Resource,
    Scale,
    Strategy,
    Subresource,
)

__all__ = ["BUILTIN"]

_RBAC = "rbac.authorization.k8s.io/v1"
_SCALE = Scale(selector="spec.selector")

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
    takes_status: bool = False,
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
) -> Resource:
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
        takes_status=takes_status,
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
    )


def _workload(
    group_version: str, kind: str, strategy: Strategy, short_names: tuple[str, ...], *, is_scalable: bool = True
) -> Resource:
    """Return the row of what runs pods from a template."""
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


_CORE = (
    _row("v1", "ConfigMap", configuration.CONFIG_MAPS, short_names=("cm",)),
    _row("v1", "Endpoints", networking.ENDPOINTS, plural="endpoints", short_names=("ep",)),
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
        takes_status=True,
        selectable_fields=("spec.unschedulable",),
        field_sources={"spec.unschedulable": FieldSource("spec.unschedulable", "false")},
        subresources=(Subresource("proxy", "NodeProxyOptions", ("create", "delete", "get", "patch", "update")),),
    ),
    _row(
        "v1",
        "PersistentVolumeClaim",
        storage.CLAIMS,
        short_names=("pvc",),
        has_status=True,
        returns_deleted=True,
    ),
    _row(
        "v1",
        "PersistentVolume",
        storage.VOLUMES,
        namespaced=False,
        short_names=("pv",),
        has_status=True,
        returns_deleted=True,
    ),
    _row(
        "v1",
        "Pod",
        ModelStrategy("core_v1.Pod", pods.default_pod, pods.check_pod),
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
        workloads.REPLICATION_CONTROLLERS,
        short_names=("rc",),
        categories=("all",),
        has_status=True,
        has_generation=True,
        orphans_dependents=True,
        selectable_fields=("status.replicas",),
        scale=_SCALE,
    ),
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
        networking.SERVICES,
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
    _workload("apps/v1", "DaemonSet", workloads.DAEMON_SETS, ("ds",), is_scalable=False),
    _workload("apps/v1", "Deployment", workloads.DEPLOYMENTS, ("deploy",)),
    _workload("apps/v1", "ReplicaSet", workloads.REPLICA_SETS, ("rs",)),
    _workload("apps/v1", "StatefulSet", workloads.STATEFUL_SETS, ("sts",)),
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
        scaling.AUTOSCALERS,
        short_names=("hpa",),
        categories=("all",),
        has_status=True,
    ),
    _row(
        "autoscaling/v1",
        "HorizontalPodAutoscaler",
        scaling.AUTOSCALERS_V1,
        short_names=("hpa",),
        categories=("all",),
        has_status=True,
        conversion=Conversion("horizontalpodautoscalers.autoscaling", scaling.to_v2, scaling.from_v2),
    ),
)

_BATCH = (
    _row(
        "batch/v1",
        "CronJob",
        jobs.CRON_JOBS,
        short_names=("cj",),
        categories=("all",),
        has_status=True,
        has_generation=True,
    ),
    _row(
        "batch/v1",
        "Job",
        jobs.JOBS,
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
    scaling.BUDGETS,
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

_COORDINATION = _row("coordination.k8s.io/v1", "Lease", nodes.LEASES, needs_resource_version=True)

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

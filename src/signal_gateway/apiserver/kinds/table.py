"""The built-in kinds, one row each."""

from signal_gateway.apiserver.apiextensions.definitions import CRDS
from signal_gateway.apiserver.apimachinery.resources import Conversion, FieldSource, Resource, Subresource
from signal_gateway.apiserver.kinds import (
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
from signal_gateway.apiserver.kinds.namespaces import NAMESPACES
from signal_gateway.apiserver.kinds.reviews import REVIEWS
from signal_gateway.apiserver.kinds.rows import SCALE, row, workload
from signal_gateway.apiserver.kinds.schema.strategy import ModelStrategy

__all__ = ["BUILTIN"]

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


_CORE = (
    row("v1", "ConfigMap", configuration.CONFIG_MAPS, short_names=("cm",)),
    row("v1", "Endpoints", networking.ENDPOINTS, plural="endpoints", short_names=("ep",)),
    row(
        "v1",
        "Event",
        events.CORE_EVENTS,
        short_names=("ev",),
        selectable_fields=(*_EVENT_FIELDS, "reportingComponent", "source"),
        field_sources={"source": FieldSource("source.component")},
    ),
    NAMESPACES,
    row(
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
    row(
        "v1",
        "PersistentVolumeClaim",
        storage.CLAIMS,
        short_names=("pvc",),
        has_status=True,
        returns_deleted=True,
    ),
    row(
        "v1",
        "PersistentVolume",
        storage.VOLUMES,
        namespaced=False,
        short_names=("pv",),
        has_status=True,
        returns_deleted=True,
    ),
    row(
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
    row(
        "v1",
        "ReplicationController",
        workloads.REPLICATION_CONTROLLERS,
        short_names=("rc",),
        categories=("all",),
        has_status=True,
        has_generation=True,
        orphans_dependents=True,
        selectable_fields=("status.replicas",),
        scale=SCALE,
    ),
    row("v1", "Secret", configuration.SECRETS, selectable_fields=("type",)),
    row(
        "v1",
        "ServiceAccount",
        ModelStrategy("core_v1.ServiceAccount"),
        short_names=("sa",),
        returns_deleted=True,
        subresources=(Subresource("token", "TokenRequest", ("create",), "authentication.k8s.io/v1"),),
    ),
    row(
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
    workload("apps/v1", "DaemonSet", workloads.DAEMON_SETS, ("ds",), is_scalable=False),
    workload("apps/v1", "Deployment", workloads.DEPLOYMENTS, ("deploy",)),
    workload("apps/v1", "ReplicaSet", workloads.REPLICA_SETS, ("rs",)),
    workload("apps/v1", "StatefulSet", workloads.STATEFUL_SETS, ("sts",)),
)

_EVENTS = row(
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
    row(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        scaling.AUTOSCALERS,
        short_names=("hpa",),
        categories=("all",),
        has_status=True,
    ),
    row(
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
    row(
        "batch/v1",
        "CronJob",
        jobs.CRON_JOBS,
        short_names=("cj",),
        categories=("all",),
        has_status=True,
        has_generation=True,
    ),
    row(
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
    row(
        "networking.k8s.io/v1",
        "Ingress",
        networking.INGRESSES,
        plural="ingresses",
        short_names=("ing",),
        has_status=True,
        has_generation=True,
    ),
    row(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        networking.NETWORK_POLICIES,
        plural="networkpolicies",
        short_names=("netpol",),
        has_generation=True,
    ),
)

_POLICY = row(
    "policy/v1",
    "PodDisruptionBudget",
    scaling.BUDGETS,
    short_names=("pdb",),
    has_status=True,
    has_generation=True,
    needs_resource_version=True,
)

_ROLES = (
    row(_RBAC, "ClusterRoleBinding", rbac.CLUSTER_ROLE_BINDINGS, namespaced=False, name_rule="path segment"),
    row(_RBAC, "ClusterRole", rbac.CLUSTER_ROLES, namespaced=False, name_rule="path segment"),
    row(_RBAC, "RoleBinding", rbac.ROLE_BINDINGS, name_rule="path segment"),
    row(_RBAC, "Role", rbac.ROLES, name_rule="path segment"),
)

_COORDINATION = row("coordination.k8s.io/v1", "Lease", nodes.LEASES, needs_resource_version=True)

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

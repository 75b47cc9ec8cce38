"""One small object of every built-in kind, and where it lives."""

from copy import deepcopy

PODS = {"containers": [{"name": "c", "image": "i"}]}
RUNS_ONCE = PODS | {"restartPolicy": "Never"}
LABELS = {"app": "a"}
TEMPLATE = {"metadata": {"labels": LABELS}, "spec": PODS}
WORKLOAD = {"spec": {"selector": {"matchLabels": LABELS}, "template": TEMPLATE}}
TARGET = {"scaleTargetRef": {"kind": "Deployment", "name": "d"}, "maxReplicas": 3}
RULES = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
ROLE = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"}

# group and version, plural, kind, a minimal object without its metadata
NAMESPACED = [
    ("v1", "configmaps", "ConfigMap", {"data": {"k": "v"}}),
    ("v1", "endpoints", "Endpoints", {"subsets": [{"addresses": [{"ip": "10.1.1.1"}], "ports": [{"port": 80}]}]}),
    ("v1", "events", "Event", {"reason": "R", "message": "m", "type": "Warning"}),
    (
        "v1",
        "persistentvolumeclaims",
        "PersistentVolumeClaim",
        {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}},
    ),
    ("v1", "pods", "Pod", {"spec": PODS}),
    ("v1", "replicationcontrollers", "ReplicationController", {"spec": {"template": TEMPLATE}}),
    ("v1", "secrets", "Secret", {"data": {"k": "dg=="}}),
    ("v1", "serviceaccounts", "ServiceAccount", {}),
    ("v1", "services", "Service", {"spec": {"selector": LABELS, "ports": [{"port": 80}]}}),
    ("apps/v1", "daemonsets", "DaemonSet", WORKLOAD),
    ("apps/v1", "deployments", "Deployment", WORKLOAD),
    ("apps/v1", "replicasets", "ReplicaSet", WORKLOAD),
    ("apps/v1", "statefulsets", "StatefulSet", WORKLOAD),
    ("autoscaling/v1", "horizontalpodautoscalers", "HorizontalPodAutoscaler", {"spec": TARGET}),
    ("batch/v1", "jobs", "Job", {"spec": {"template": {"spec": RUNS_ONCE}}}),
    ("coordination.k8s.io/v1", "leases", "Lease", {"spec": {"holderIdentity": "me"}}),
    ("networking.k8s.io/v1", "ingresses", "Ingress", {"spec": {"rules": [{"host": "a.example.com"}]}}),
    ("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy", {"spec": {"podSelector": {}}}),
    ("rbac.authorization.k8s.io/v1", "rolebindings", "RoleBinding", {"roleRef": ROLE}),
    ("rbac.authorization.k8s.io/v1", "roles", "Role", {"rules": RULES}),
]
NEWER = {
    "autoscaling v2": ("autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", {"spec": TARGET}),
    "batch v1 cronjob": (
        "batch/v1",
        "cronjobs",
        "CronJob",
        {"spec": {"schedule": "@daily", "jobTemplate": {"spec": {"template": {"spec": RUNS_ONCE}}}}},
    ),
    "policy v1": (
        "policy/v1",
        "poddisruptionbudgets",
        "PodDisruptionBudget",
        {"spec": {"minAvailable": 1, "selector": {"matchLabels": LABELS}}},
    ),
}
CLUSTERED = [
    ("v1", "nodes", "Node", {}),
    (
        "v1",
        "persistentvolumes",
        "PersistentVolume",
        {"spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}}},
    ),
    ("rbac.authorization.k8s.io/v1", "clusterrolebindings", "ClusterRoleBinding", {"roleRef": ROLE}),
    ("rbac.authorization.k8s.io/v1", "clusterroles", "ClusterRole", {"rules": RULES}),
]


def collection(group_version, plural, namespace=""):
    """Return the path of a collection."""
    root = "/apis" if "/" in group_version else "/api"
    within = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}/{group_version}{within}/{plural}"


def named(fields, name, namespace=""):
    """Return an object with a name; an event is about something in its own namespace."""
    object = {"metadata": {"name": name}, **deepcopy(fields)}
    if "reason" in object and "involvedObject" not in object:
        object["involvedObject"] = {"kind": "Pod", "name": "p", "namespace": namespace}
    return object

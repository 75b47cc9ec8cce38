"""Clusters with the objects of a file of alerts, and the number of its alerts that end at the right object."""

import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from signal_gateway.kubernetes.resources import RemediationRequest
from signal_gateway.testing import EmbeddedCluster, alert, alertmanager_webhook

DATA = Path(__file__).parent / "data"
PATH = "/api/v1/signals/prometheus"

_NATIVE = {
    "HorizontalPodAutoscaler": (
        "autoscaling/v2",
        {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "api", "apiVersion": "apps/v1"}},
    ),
    "PersistentVolumeClaim": (
        "v1",
        {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    ),
    "PodDisruptionBudget": ("policy/v1", {"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}),
    "PersistentVolume": (
        "v1",
        {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}},
    ),
    "ResourceQuota": ("v1", {"hard": {"cpu": "1"}}),
    "Ingress": ("networking.k8s.io/v1", {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}}),
    "ConfigMap": ("v1", None),
    "Service": ("v1", {"ports": [{"port": 80}]}),
    "Role": ("rbac.authorization.k8s.io/v1", None),
}
_CUSTOM = {
    "Kafka": "kafka.strimzi.io",
    "KafkaTopic": "kafka.strimzi.io",
    "StrimziPodSet": "core.strimzi.io",
    "Certificate": "cert-manager.io",
    "Volume": "longhorn.io",
    "Cluster": "postgresql.cnpg.io",
    "Application": "argoproj.io",
    "Rollout": "argoproj.io",
    "Schedule": "velero.io",
    "ScaledObject": "keda.sh",
    "ClusterOperator": "config.openshift.io",
    "Machine": "machine.openshift.io",
    "IngressController": "operator.openshift.io",
    "Kustomization": "kustomize.toolkit.fluxcd.io",
    "HelmRelease": "helm.toolkit.fluxcd.io",
    "KafkaConnector": "kafka.strimzi.io",
    "KafkaNodePool": "kafka.strimzi.io",
    "KafkaRebalance": "kafka.strimzi.io",
    "KafkaUser": "kafka.strimzi.io",
    "ClusterIssuer": "cert-manager.io",
    "InstanceManager": "longhorn.io",
    "ScaledJob": "keda.sh",
    "NodePool": "karpenter.sh",
    "MachineConfigPool": "machineconfiguration.openshift.io",
    "ClusterServiceVersion": "operators.coreos.com",
    "MachineHealthCheck": "machine.openshift.io",
    "CatalogSource": "operators.coreos.com",
    "VirtualMachineInstance": "kubevirt.io",
    "ObjectBucketClaim": "objectbucket.io",
    "Tenant": "minio.min.io",
    "Gateway": "networking.istio.io",
    "Backup": "velero.io",
}
_CLUSTER_SCOPED = ("ClusterIssuer", "ClusterOperator", "MachineConfigPool", "NodePool")
_POD_OF = re.compile(r"\{pod of ([^}]+)\}")


@dataclass
class Score:
    """The right and wrong targets of a file."""

    right: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    total: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    wrong: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        return sum(self.right.values()) / sum(self.total.values())


def read_alerts(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((DATA / name).read_text())
    return content


def custom_definitions():
    """Return the CustomResourceDefinitions of all custom kinds."""
    for kind, group in _CUSTOM.items():
        plural = f"{kind.lower()}s"
        yield {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{group}"},
            "spec": {
                "group": group,
                "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
                "scope": "Cluster" if kind in _CLUSTER_SCOPED else "Namespaced",
                "versions": [
                    {
                        "name": "v1",
                        "served": True,
                        "storage": True,
                        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                    }
                ],
            },
        }


def fill(cluster: EmbeddedCluster, content: dict[str, Any]) -> dict[str, str]:
    """Create the objects of a file; return the name of a pod of each workload."""
    pods: dict[str, str] = {}
    owned = content.get("owned_pods", {})
    namespaces = {text.split("/")[0] for text in content["objects"] if text.partition(" ")[0].count("/") == 2}
    cluster.install(*(_object("v1", "Namespace", "", namespace) for namespace in sorted(namespaces - {"kube-system"})))
    for text in content["objects"]:
        reference, _, detail = text.partition(" ")
        namespace, kind, name = reference.split("/") if reference.count("/") == 2 else ("", *reference.split("/"))
        if kind == "Node":
            address = detail.removeprefix("with InternalIP ") or "10.0.0.99"
            status = {"addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}]}
            cluster.install({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": status})
        elif kind == "Pod":
            cluster.workload("Node/owner-of-" + name)
            [node] = [it for it in cluster.lightkube().list(_node()) if it.metadata.name == "owner-of-" + name]
            owner = {"apiVersion": "v1", "kind": "Node", "name": node.metadata.name, "uid": node.metadata.uid}
            _install_pod(cluster, namespace, name, owner)
        elif kind in _NATIVE:
            version, spec = _NATIVE[kind]
            cluster.install(_object(version, kind, namespace, name) | ({"spec": spec} if spec is not None else {}))
        elif kind in _CUSTOM:
            cluster.install(_object(f"{_CUSTOM[kind]}/v1", kind, namespace, name))
            for pod in owned.get(reference, ()):
                uid = _uid(cluster, kind, namespace, name)
                owner = {"apiVersion": f"{_CUSTOM[kind]}/v1", "kind": kind, "name": name, "uid": uid}
                _install_pod(cluster, namespace, pod, owner)
        elif detail.startswith("on "):
            workload = cluster.workload(reference, pods=0)
            uid = _uid(cluster, kind, namespace, name)
            pods[reference] = f"{workload.name}-x7k2p"
            owner = {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid}
            _install_pod(cluster, namespace, pods[reference], owner, node=detail.removeprefix("on "))
        else:
            made = cluster.workload(reference).pods
            if made:
                pods[reference] = made[0]
    return pods


def targets_of(gateway, content: dict[str, Any], pods: dict[str, str], *, by: str) -> Score:
    """Send every alert on its own, and compare the target of its RemediationRequest."""
    score = Score()
    existing = {text.partition(" ")[0] for text in content["objects"]}
    client = gateway.cluster.lightkube()
    for item in content["alerts"]:
        labels = {key: _POD_OF.sub(lambda it: pods[it[1]], value) for key, value in item["labels"].items()}
        body = alertmanager_webhook(alert(item["alert"], namespace="x"))
        body["alerts"][0]["labels"] = {"alertname": item["alert"], "severity": "warning", **labels}
        body["commonLabels"] = body["groupLabels"] = {"alertname": item["alert"]}
        answer = gateway.client.post(PATH, json=body).json()
        target = None
        name = answer.get("remediationRequestName")
        if name is not None:
            found = client.get(RemediationRequest, name, namespace=gateway.cluster.namespace)
            spec = found["spec"]["targetResource"]
            target = "/".join(spec[key] for key in ("namespace", "kind", "name") if key in spec)
        group = item[by]
        score.total[group] += 1
        score.right[group] += target == item["target"]
        if target != item["target"]:
            score.wrong.append(f"{group} {item['alert']}: {target}, not {item['target']}; {labels}")
        if target is not None and target not in existing:
            score.invented.append(f"{item['alert']}: {target}")
    return score


def _object(version: str, kind: str, namespace: str, name: str) -> dict[str, Any]:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


def _install_pod(cluster, namespace: str, name: str, owner: dict[str, Any], *, node: str | None = None) -> None:
    pod = _object("v1", "Pod", namespace, name)
    pod["metadata"]["ownerReferences"] = [owner | {"controller": True}]
    pod["spec"] = {"containers": [{"name": "main", "image": "example.com/main:1"}]}
    if node is not None:
        pod["spec"]["nodeName"] = node
    cluster.install(pod)


def _node():
    from lightkube.resources.core_v1 import Node

    return Node


def _uid(cluster, kind: str, namespace: str, name: str) -> str:
    from lightkube.generic_resource import create_namespaced_resource
    from lightkube.resources.apps_v1 import DaemonSet

    plural = f"{kind.lower()}s"
    resource = DaemonSet if kind == "DaemonSet" else create_namespaced_resource(_CUSTOM[kind], "v1", kind, plural)
    return cluster.lightkube().get(resource, name, namespace=namespace).metadata.uid

import pytest
import yaml
from lightkube.resources.apps_v1 import Deployment, ReplicaSet
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import ConfigMap, Namespace, Node, Pod

from signal_gateway.errors import HarnessError
from signal_gateway.testing import EmbeddedCluster, Workload

CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "shop"}}
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
WIDGETS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
        ],
    },
}
WIDGET = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}}


@pytest.fixture
def cluster():
    with EmbeddedCluster() as cluster:
        yield cluster


def owner_of(object):
    [reference] = object.metadata.ownerReferences
    return reference.kind, reference.name, reference.controller


def test_deployment_comes_with_its_replica_set_and_pods(cluster):
    workload = cluster.workload("prod/Deployment/api", managed=True, pods=2)

    client = cluster.lightkube()
    deployment = client.get(Deployment, "api", namespace="prod")
    [replica_set] = client.list(ReplicaSet, namespace="prod")
    pods = list(client.list(Pod, namespace="prod"))
    assert workload == Workload("prod", "Deployment", "api", tuple(pod.metadata.name for pod in pods))
    assert len(pods) == 2
    assert deployment.metadata.labels["kubernaut.ai/managed"] == "true"
    assert owner_of(replica_set) == ("Deployment", "api", True)
    assert [owner_of(pod) for pod in pods] == [("ReplicaSet", replica_set.metadata.name, True)] * 2


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet", "Job", "ReplicaSet"])
def test_pods_of_other_kinds_belong_to_it(cluster, kind):
    [name] = cluster.workload(f"prod/{kind}/api").pods

    assert owner_of(cluster.lightkube().get(Pod, name, namespace="prod")) == (kind, "api", True)


def test_pods_of_a_cron_job_belong_to_its_job(cluster):
    [name] = cluster.workload("prod/CronJob/nightly").pods

    client = cluster.lightkube()
    [job] = client.list(Job, namespace="prod")
    assert owner_of(job) == ("CronJob", "nightly", True)
    assert owner_of(client.get(Pod, name, namespace="prod")) == ("Job", job.metadata.name, True)


def test_pod_and_node_stand_alone(cluster):
    assert cluster.workload("prod/Pod/alone", managed=False).pods == ("alone",)
    assert cluster.workload("Node/worker-1").pods == ()

    client = cluster.lightkube()
    assert client.get(Pod, "alone", namespace="prod").metadata.labels["kubernaut.ai/managed"] == "false"
    assert "kubernaut.ai/managed" not in client.get(Node, "worker-1").metadata.labels


def test_two_workloads_share_a_namespace(cluster):
    cluster.workload("prod/Deployment/api")
    cluster.workload("prod/Deployment/web")

    assert len(list(cluster.lightkube().list(Deployment, namespace="prod"))) == 2


@pytest.mark.parametrize(
    "reference",
    ["api", "prod/deployment/api", "prod/Deployment/", "Deployment/api", "prod/Node/a", "a/b/Pod/c", "/Pod/c"],
)
def test_reference_that_is_none_is_refused(cluster, reference):
    with pytest.raises(HarnessError, match="is no workload"):
        cluster.workload(reference)


def test_workload_that_is_there_already_is_refused(cluster):
    cluster.workload("prod/Deployment/api")

    with pytest.raises(HarnessError, match=r'deployments\.apps "api" already exists'):
        cluster.workload("prod/Deployment/api")


def test_manifests_are_installed_in_an_order_that_works(cluster, tmp_path):
    path = tmp_path / "all.yaml"
    path.write_text(yaml.safe_dump_all([CONFIG_MAP, WIDGET, NAMESPACE, WIDGETS]))

    cluster.install(path, {"apiVersion": "v1", "kind": "List", "items": [CONFIG_MAP | {"metadata": {"name": "b"}}]})

    client = cluster.lightkube()
    assert client.get(Namespace, "shop").metadata.name == "shop"
    assert client.get(ConfigMap, "a", namespace="shop").metadata.name == "a"
    assert client.get(ConfigMap, "b", namespace="default").metadata.name == "b"


@pytest.mark.parametrize(
    ("manifest", "complaint"),
    [
        (CONFIG_MAP, 'can\'t install ConfigMap "a": namespaces "shop" not found'),
        (CONFIG_MAP | {"date": {}, "metadata": {"name": "a"}}, 'unknown field "date"'),
        (WIDGET, "the server has no kind Widget in example.com/v1"),
        ({"kind": "Pod"}, "an argument is no Kubernetes object"),
        ({"apiVersion": "v1", "kind": "Pod"}, "an argument, a Pod, has no metadata.name"),
    ],
    ids=["no namespace", "unknown field", "unknown kind", "no version", "no name"],
)
def test_manifest_that_is_refused_is_named_with_the_reason(cluster, manifest, complaint):
    with pytest.raises(HarnessError, match=complaint):
        cluster.install(manifest)


@pytest.mark.parametrize("text", ["{half", "- a\n"])
def test_file_that_can_not_be_read_is_named(cluster, tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text)

    with pytest.raises(HarnessError, match=r"bad\.yaml"):
        cluster.install(path)

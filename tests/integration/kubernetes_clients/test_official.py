import datetime

import pytest
from kubernetes import client, config, watch
from kubernetes.client import ApiException
from kubernetes.dynamic import DynamicClient

POD = {"metadata": {"name": "a", "labels": {"app": "a"}}, "spec": {"containers": [{"name": "main", "image": "main:1"}]}}


@pytest.fixture
def api(kubeconfig):
    """An ApiClient, closed at the end."""
    with config.new_client_from_config(str(kubeconfig)) as api:
        yield api


def test_typed_client_creates_reads_patches_and_deletes(api):
    core = client.CoreV1Api(api)

    created = core.create_namespaced_pod("default", POD)
    patched = core.patch_namespaced_pod("a", "default", {"metadata": {"labels": {"more": "1"}}})
    listed = core.list_namespaced_pod("default", label_selector="app=a")
    core.delete_namespaced_pod("a", "default")

    assert created.status.phase == "Pending"
    assert patched.metadata.labels == {"app": "a", "more": "1"}
    assert [pod.metadata.name for pod in listed.items] == ["a"]
    with pytest.raises(ApiException) as error:
        core.read_namespaced_pod("a", "default")
    assert (error.value.status, error.value.reason) == (404, "Not Found")


@pytest.mark.parametrize(
    ("patch", "image"),
    [
        ({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "main:2"}]}}}}, "main:2"),
        ([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "main:3"}], "main:3"),
    ],
    ids=["merge", "json"],
)
def test_each_patch_that_it_sends_is_taken(api, cluster, patch, image):
    cluster.workload("default/Deployment/api", pods=0)

    patched = client.AppsV1Api(api).patch_namespaced_deployment("api", "default", patch)

    assert patched.spec.template.spec.containers[0].image == image


def test_watch_streams_events(api):
    core = client.CoreV1Api(api)
    core.create_namespaced_pod("default", POD)
    watcher = watch.Watch()

    seen = []
    for event in watcher.stream(core.list_namespaced_pod, "default", timeout_seconds=60):
        seen.append((event["type"], event["object"].metadata.name))
        if len(seen) == 1:
            core.delete_namespaced_pod("a", "default")
        else:
            watcher.stop()

    assert seen == [("ADDED", "a"), ("DELETED", "a")]


def test_custom_objects_with_their_status(api, widget):
    objects = client.CustomObjectsApi(api)
    where = ("example.com", "v1", "default", "widgets")

    objects.create_namespaced_custom_object(*where, widget())
    objects.patch_namespaced_custom_object_status(*where, "a", {"status": {"phase": "Ready"}})
    got = objects.get_namespaced_custom_object(*where, "a")
    objects.delete_namespaced_custom_object(*where, "a")

    assert got["status"] == {"phase": "Ready"}
    assert objects.list_namespaced_custom_object(*where)["items"] == []


def test_custom_object_that_is_invalid_is_refused(api, widget):
    with pytest.raises(ApiException) as error:
        client.CustomObjectsApi(api).create_namespaced_custom_object(
            "example.com", "v1", "default", "widgets", widget(size=0)
        )
    assert error.value.status == 422


def test_scale_and_delete_options(api, cluster):
    cluster.workload("default/Deployment/api", pods=2)
    apps = client.AppsV1Api(api)

    apps.patch_namespaced_deployment_scale("api", "default", {"spec": {"replicas": 7}})
    assert apps.read_namespaced_deployment("api", "default").spec.replicas == 7
    apps.delete_namespaced_deployment("api", "default", body=client.V1DeleteOptions(propagation_policy="Foreground"))

    assert client.CoreV1Api(api).list_namespaced_pod("default").items == []


def test_lease_can_be_held_by_one(api):
    coordination = client.CoordinationV1Api(api)
    now = datetime.datetime.now(datetime.UTC)
    spec = client.V1LeaseSpec(holder_identity="one", lease_duration_seconds=15, renew_time=now)
    body = client.V1Lease(metadata=client.V1ObjectMeta(name="leader"), spec=spec)
    held = coordination.create_namespaced_lease("default", body)
    stale = coordination.read_namespaced_lease("leader", "default")
    held.spec.holder_identity = "two"
    coordination.replace_namespaced_lease("leader", "default", held)

    stale.spec.holder_identity = "three"
    with pytest.raises(ApiException) as error:
        coordination.replace_namespaced_lease("leader", "default", stale)

    assert error.value.status == 409


def test_dynamic_client_finds_kinds_by_discovery(api, widget, tmp_path):
    dynamic = DynamicClient(api, cache_file=str(tmp_path / "discovery.json"))
    widgets = dynamic.resources.get(api_version="example.com/v1", kind="Widget")
    pods = dynamic.resources.get(api_version="v1", kind="Pod")

    widgets.create(body=widget(), namespace="default")
    widgets.patch(
        name="a", namespace="default", body={"spec": {"size": 4}}, content_type="application/merge-patch+json"
    )

    assert widgets.get(name="a", namespace="default").spec.size == 4
    assert pods.get(namespace="default").items == []


def test_version_is_told(api):
    assert client.VersionApi(api).get_code().major == "1"

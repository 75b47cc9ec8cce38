import asyncio

import kr8s
import kr8s.asyncio
import pytest
from kr8s.objects import ConfigMap, Deployment, Pod, new_class

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "a", "namespace": "default", "labels": {"app": "a"}},
    "spec": {"containers": [{"name": "main", "image": "main:1"}]},
}


@pytest.fixture
def api(kubeconfig):
    return kr8s.api(kubeconfig=str(kubeconfig))


def test_pod_is_created_labelled_listed_and_deleted(api):
    pod = Pod(POD, api=api)

    pod.create()
    pod.label(more="1")
    pod.annotate(note="x")
    listed = list(api.get("pods", namespace="default", label_selector={"app": "a"}))
    pod.delete()

    assert [one.name for one in listed] == ["a"]
    assert (listed[0].labels["more"], listed[0].annotations["note"]) == ("1", "x")
    assert not pod.exists()


def test_deployment_is_scaled_and_patched(api, cluster):
    cluster.workload("default/Deployment/api", pods=0)
    deployment = Deployment.get("api", namespace="default", api=api)

    deployment.patch({"spec": {"replicas": 3}})

    assert deployment.replicas == 3
    assert Deployment.get("api", namespace="default", api=api).raw["spec"]["replicas"] == 3


def test_wait_ends_when_the_condition_holds(api):
    pod = Pod(POD, api=api)
    pod.create()
    pod.patch({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}, subresource="status")

    pod.wait("condition=Ready", timeout=60)


def test_custom_resource_is_an_object_like_any_other(api, widget):
    widgets = new_class(kind="Widget", version="example.com/v1", namespaced=True)
    one = widgets(widget(), api=api)

    one.create()
    one.patch({"spec": {"size": 5}})

    assert widgets.get("a", namespace="default", api=api).spec.size == 5


def test_not_found_is_an_error_of_its_own(api):
    with pytest.raises(kr8s.NotFoundError):
        ConfigMap.get("missing", namespace="default", api=api)


@pytest.mark.asyncio
async def test_async_client_watches(kubeconfig):
    api = await kr8s.asyncio.api(kubeconfig=str(kubeconfig))
    pod = await kr8s.asyncio.objects.Pod(POD, api=api)
    await pod.create()

    async with asyncio.timeout(20):
        async for event, object in api.watch("pods", namespace="default"):
            seen = event, object.name
            break

    assert seen == ("ADDED", "a")

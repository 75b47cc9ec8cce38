import pytest
from lightkube import ApiError
from lightkube.generic_resource import create_namespaced_resource
from lightkube.models.apps_v1 import DeploymentSpec
from lightkube.models.core_v1 import Container, PodSpec, PodTemplateSpec
from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Pod
from lightkube.types import CascadeType, PatchType

Widget = create_namespaced_resource("example.com", "v1", "Widget", "widgets")


def deployment(name="api", replicas=2):
    labels = {"app": name}
    template = PodTemplateSpec(
        metadata=ObjectMeta(labels=labels), spec=PodSpec(containers=[Container(name="main", image="main:1")])
    )
    return Deployment(
        metadata=ObjectMeta(name=name, namespace="default", labels=labels),
        spec=DeploymentSpec(replicas=replicas, selector=LabelSelector(matchLabels=labels), template=template),
    )


def test_object_is_created_read_replaced_patched_and_deleted(cluster):
    client = cluster.lightkube()

    created = client.create(deployment())
    created.spec.replicas = 3
    replaced = client.replace(created)
    patched = client.patch(
        Deployment, "api", {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "main:2"}]}}}}
    )
    client.delete(Deployment, "api")

    assert (created.metadata.generation, replaced.metadata.generation, patched.metadata.generation) == (1, 2, 3)
    assert patched.spec.template.spec.containers[0].image == "main:2"
    with pytest.raises(ApiError, match="not found") as error:
        client.get(Deployment, "api")
    assert error.value.status.code == 404


def test_stale_replace_is_a_conflict(cluster):
    client = cluster.lightkube()
    first = client.create(deployment())
    second = client.get(Deployment, "api")
    first.spec.replicas = 4
    client.replace(first)

    with pytest.raises(ApiError) as error:
        client.replace(second)
    assert (error.value.status.code, error.value.status.reason) == (409, "Conflict")


def test_lists_are_narrowed_and_come_in_pages(cluster):
    client = cluster.lightkube()
    for number in range(7):
        labels = {"even": str(number % 2 == 0).lower()}
        client.create(ConfigMap(metadata=ObjectMeta(name=f"c{number}", namespace="default", labels=labels)))

    even = client.list(ConfigMap, labels={"even": "true"}, chunk_size=2)

    assert [one.metadata.name for one in even] == ["c0", "c2", "c4", "c6"]
    [named] = client.list(ConfigMap, fields={"metadata.name": "c3"})
    assert named.metadata.name == "c3"


def test_watch_sees_what_happens(cluster):
    client = cluster.lightkube()
    client.create(ConfigMap(metadata=ObjectMeta(name="a", namespace="default"), data={"n": "1"}))
    events = client.watch(ConfigMap, server_timeout=60)

    first = next(events)
    client.patch(ConfigMap, "a", {"data": {"n": "2"}}, patch_type=PatchType.MERGE)
    second = next(events)

    assert [(event, object.data["n"]) for event, object in (first, second)] == [("ADDED", "1"), ("MODIFIED", "2")]


def test_wait_ends_when_the_condition_holds(cluster):
    client = cluster.lightkube()
    client.create(deployment())
    condition = {"type": "Available", "status": "True"}
    client.patch(Deployment.Status, "api", {"status": {"conditions": [condition]}}, patch_type=PatchType.MERGE)

    waited = client.wait(Deployment, "api", for_conditions=["Available"])

    assert waited.status.conditions[0].type == "Available"


def test_scale_and_status_are_resources_of_their_own(cluster):
    client = cluster.lightkube()
    client.create(deployment())

    scale = client.get(Deployment.Scale, "api")
    scale.spec.replicas = 5
    client.replace(scale, "api")

    assert client.get(Deployment, "api").spec.replicas == 5


def test_custom_resource_has_a_status_that_a_main_write_leaves_alone(cluster, widget):
    client = cluster.lightkube()
    client.create(Widget(widget()))

    client.patch(Widget.Status, "a", {"status": {"phase": "Ready"}}, patch_type=PatchType.MERGE)
    client.patch(Widget, "a", {"status": {"phase": "Lost"}, "spec": {"size": 2}}, patch_type=PatchType.MERGE)

    got = client.get(Widget, "a")
    assert (got["status"]["phase"], got["spec"]["size"]) == ("Ready", 2)


def test_invalid_custom_resource_is_refused_with_its_cause(cluster, widget):
    with pytest.raises(ApiError) as error:
        cluster.lightkube().create(Widget(widget(size=0)))

    assert error.value.status.code == 422
    assert error.value.status.details.causes[0].field == "spec.size"


def test_cascade_takes_the_pods(cluster):
    workload = cluster.workload("default/Deployment/api", pods=2)
    client = cluster.lightkube()

    client.delete(Deployment, "api", cascade=CascadeType.FOREGROUND)

    assert len(workload.pods) == 2
    assert list(client.list(Pod)) == []


def test_server_side_apply_says_that_it_is_not_built(cluster):
    client = cluster.lightkube()

    with pytest.raises(ApiError, match="does not support server-side apply") as error:
        client.apply(deployment(), field_manager="tests")
    assert error.value.status.code == 501


@pytest.mark.asyncio
async def test_async_client_does_the_same(cluster):
    client = cluster.async_lightkube()

    await client.create(ConfigMap(metadata=ObjectMeta(name="a", namespace="default"), data={"n": "1"}))
    await client.patch(ConfigMap, "a", {"data": {"n": "2"}}, patch_type=PatchType.MERGE)
    names = [one.metadata.name async for one in client.list(ConfigMap)]
    async for event, object in client.watch(ConfigMap, server_timeout=60):
        seen = event, object.data["n"]
        break
    await client.delete(ConfigMap, "a")

    assert (names, seen) == (["a"], ("ADDED", "2"))

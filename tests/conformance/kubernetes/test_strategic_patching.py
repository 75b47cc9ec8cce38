import pytest

CONTAINER = {"name": "app", "image": "app:1", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}
SIDECAR = {"name": "sidecar", "image": "sidecar:1"}


@pytest.fixture
def deployment(api):
    """A deployment with two containers, and a function that patches it."""
    path = f"/apis/apps/v1/namespaces/{api.namespace}/deployments"
    labels = {"app": "a"}
    body = {
        "metadata": {"name": "a", "finalizers": ["example.com/one"]},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [CONTAINER, SIDECAR], "tolerations": [{"key": "a", "operator": "Exists"}]},
            },
        },
    }
    assert api.post(body, path).status_code == 201

    def patch(change):
        response = api.patch("a", change, type="strategic", path=f"{path}/a")
        assert response.status_code == 200, response.text
        return response.json()

    return patch


def pod_spec(**fields):
    return {"spec": {"template": {"spec": fields}}}


def containers_of(deployment):
    return deployment["spec"]["template"]["spec"]["containers"]


def test_container_is_found_by_its_name(deployment):
    containers = containers_of(deployment(pod_spec(containers=[{"name": "app", "image": "app:2"}])))

    assert [(one["name"], one["image"]) for one in containers] == [("app", "app:2"), ("sidecar", "sidecar:1")]
    assert containers[0]["env"] == CONTAINER["env"]


def test_new_container_comes_before_those_that_the_patch_does_not_name(deployment):
    containers = containers_of(deployment(pod_spec(containers=[{"name": "new", "image": "new:1"}])))

    assert [one["name"] for one in containers] == ["new", "app", "sidecar"]


def test_environment_is_merged_by_name_and_ports_by_number(deployment):
    change = {"name": "app", "env": [{"name": "B", "value": "3"}], "ports": [{"containerPort": 80}]}

    first = containers_of(deployment(pod_spec(containers=[change])))[0]
    second = containers_of(deployment(pod_spec(containers=[{"name": "app", "ports": [{"containerPort": 81}]}])))[0]

    assert sorted((one["name"], one["value"]) for one in first["env"]) == [("A", "1"), ("B", "3")]
    assert sorted(one["containerPort"] for one in second["ports"]) == [80, 81]


def test_directive_deletes_an_item(deployment):
    containers = containers_of(deployment(pod_spec(containers=[{"name": "sidecar", "$patch": "delete"}])))

    assert [one["name"] for one in containers] == ["app"]


def test_directive_replaces_a_list(deployment):
    new = {"name": "new", "image": "new:1"}

    containers = containers_of(deployment(pod_spec(containers=[new, {"$patch": "replace"}])))

    assert [one["name"] for one in containers] == ["new"]


def test_directive_orders_a_list(deployment):
    change = {"$setElementOrder/containers": [{"name": "sidecar"}, {"name": "app"}], "containers": [{"name": "app"}]}

    containers = containers_of(deployment(pod_spec(**change)))

    assert [one["name"] for one in containers] == ["sidecar", "app"]


def test_list_without_a_key_is_replaced(deployment):
    change = pod_spec(tolerations=[{"key": "b", "operator": "Exists"}])

    assert [one["key"] for one in deployment(change)["spec"]["template"]["spec"]["tolerations"]] == ["b"]


def test_finalizers_are_merged(deployment):
    patched = deployment({"metadata": {"finalizers": ["example.com/two"]}})
    emptied = deployment({"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/one", "example.com/two"]}})

    assert sorted(patched["metadata"]["finalizers"]) == ["example.com/one", "example.com/two"]
    assert "finalizers" not in emptied["metadata"]


def test_null_removes_a_field(deployment):
    patched = deployment(pod_spec(tolerations=None))

    assert "tolerations" not in patched["spec"]["template"]["spec"]


def test_retained_keys_drop_the_others(deployment):
    before = deployment({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}})
    after = deployment({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}})

    assert before["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 1
    assert after["spec"]["strategy"] == {"type": "Recreate"}


def test_map_can_be_replaced_as_a_whole(api):
    path = f"/api/v1/namespaces/{api.namespace}/configmaps"
    api.post({"metadata": {"name": "a"}, "data": {"one": "1", "two": "2"}}, path)

    patched = api.patch("a", {"data": {"$patch": "replace", "three": "3"}}, type="strategic", path=f"{path}/a")

    assert patched.json()["data"] == {"three": "3"}


def test_conditions_are_merged_by_type(api):
    path = f"/api/v1/namespaces/{api.namespace}/pods"
    api.post({"metadata": {"name": "a"}, "spec": {"containers": [CONTAINER]}}, path)
    ready, scheduled = {"type": "Ready", "status": "True"}, {"type": "PodScheduled", "status": "True"}
    api.patch("a", {"status": {"conditions": [scheduled]}}, type="strategic", path=f"{path}/a/status")

    patched = api.patch("a", {"status": {"conditions": [ready]}}, type="strategic", path=f"{path}/a/status").json()

    assert sorted(one["type"] for one in patched["status"]["conditions"]) == ["PodScheduled", "Ready"]


def test_item_without_its_key_is_refused(api, failure):
    path = f"/api/v1/namespaces/{api.namespace}/pods"
    api.post({"metadata": {"name": "a"}, "spec": {"containers": [CONTAINER]}}, path)

    response = api.patch("a", {"spec": {"containers": [{"image": "x"}]}}, type="strategic", path=f"{path}/a")

    code, _, message = failure(response)
    assert code in (400, 500)
    assert "does not contain declared merge key: name" in message


def test_patch_that_is_no_object_is_a_bad_request(api, failure):
    path = f"/api/v1/namespaces/{api.namespace}/configmaps"
    api.post({"metadata": {"name": "a"}}, path)

    code, reason, _ = failure(api.patch("a", ["x"], type="strategic", path=f"{path}/a"))

    assert (code, reason) == (400, "BadRequest")

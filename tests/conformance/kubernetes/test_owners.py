import pytest


@pytest.fixture
def config_map(api):
    """Make a config map, perhaps one that others own."""
    path = f"/api/v1/namespaces/{api.namespace}/configmaps"

    def make(name, *owners, **metadata):
        references = [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"],
            }
            | more
            for owner, more in owners
        ]
        body = {"metadata": {"name": name, **metadata} | ({"ownerReferences": references} if references else {})}
        response = api.post(body, path)
        assert response.status_code == 201, response.text
        return response.json()

    make.path = path
    return make


def delete(api, config_map, name, policy):
    return api.delete(name, {"propagationPolicy": policy} if policy else None, path=f"{config_map.path}/{name}")


def test_foreground_deletion_marks_the_owner_with_a_finalizer(api, config_map):
    config_map("owner", finalizers=["example.com/hold"])

    marked = delete(api, config_map, "owner", "Foreground").json()

    assert marked["kind"] == "ConfigMap"
    assert marked["metadata"]["finalizers"] == ["example.com/hold", "foregroundDeletion"]
    assert marked["metadata"]["deletionTimestamp"]


def test_orphaning_marks_the_owner_with_a_finalizer(api, config_map):
    config_map("owner", finalizers=["example.com/hold"])

    marked = api.delete("", {"orphanDependents": True}, path=f"{config_map.path}/owner").json()

    assert marked["metadata"]["finalizers"] == ["example.com/hold", "orphan"]


def test_background_deletion_takes_the_owner_at_once(api, config_map):
    config_map("owner")

    response = delete(api, config_map, "owner", "Background")

    assert (response.status_code, response.json()["kind"]) == (200, "Status")
    assert api.get(f"{config_map.path}/owner").status_code == 404


def test_policy_can_be_a_parameter(api, config_map):
    config_map("owner", finalizers=["example.com/hold"])

    path = f"{config_map.path}/owner"
    marked = api.http.request("DELETE", path, params={"propagationPolicy": "Foreground"}).json()

    assert "foregroundDeletion" in marked["metadata"]["finalizers"]


def test_policy_and_the_old_flag_can_not_both_be_set(api, config_map, failure):
    config_map("owner")

    response = api.delete(
        "", {"orphanDependents": True, "propagationPolicy": "Orphan"}, path=f"{config_map.path}/owner"
    )

    code, reason, message = failure(response)
    assert (code, reason) == (422, "Invalid")
    assert "cannot be both set" in message


@pytest.mark.feature("controllers")
@pytest.mark.parametrize("policy", [None, "Background", "Foreground"])
def test_dependents_go_with_their_owner(api, config_map, policy):
    owner = config_map("owner")
    child = config_map("child", (owner, {"blockOwnerDeletion": True}))
    config_map("grandchild", (child, {"blockOwnerDeletion": True}))
    config_map("stranger")

    delete(api, config_map, "owner", policy)

    names = api.names(config_map.path)
    assert [name for name in names if name != "kube-root-ca.crt"] == ["stranger"]


@pytest.mark.feature("controllers")
def test_watch_sees_the_owner_go_before_its_dependents_in_the_background(api, config_map):
    owner = config_map("owner")
    config_map("child", (owner, {}))
    since = api.get(config_map.path).json()["metadata"]["resourceVersion"]

    delete(api, config_map, "owner", "Background")

    with api.watching(config_map.path, resourceVersion=since) as events:
        seen = [next(events) for _ in range(2)]
    assert [(event["type"], event["object"]["metadata"]["name"]) for event in seen] == [
        ("DELETED", "owner"),
        ("DELETED", "child"),
    ]


@pytest.mark.feature("controllers")
def test_owner_in_the_foreground_waits_for_a_dependent_that_is_held(api, config_map):
    owner = config_map("owner")
    config_map("child", (owner, {"blockOwnerDeletion": True}), finalizers=["example.com/hold"])

    delete(api, config_map, "owner", "Foreground")
    held = api.get(f"{config_map.path}/owner").json()
    api.patch("child", {"metadata": {"finalizers": None}}, path=f"{config_map.path}/child")

    assert held["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert api.get(f"{config_map.path}/owner").status_code == 404
    assert api.get(f"{config_map.path}/child").status_code == 404


@pytest.mark.feature("controllers")
def test_owner_in_the_foreground_does_not_wait_for_who_does_not_block(api, config_map):
    owner = config_map("owner")
    config_map("child", (owner, {}), finalizers=["example.com/hold"])

    delete(api, config_map, "owner", "Foreground")

    assert api.get(f"{config_map.path}/owner").status_code == 404
    assert api.get(f"{config_map.path}/child").json()["metadata"]["deletionTimestamp"]


@pytest.mark.feature("controllers")
def test_orphans_forget_their_owner(api, config_map):
    owner = config_map("owner")
    config_map("child", (owner, {}))

    delete(api, config_map, "owner", "Orphan")

    assert api.get(f"{config_map.path}/owner").status_code == 404
    assert "ownerReferences" not in api.get(f"{config_map.path}/child").json()["metadata"]


@pytest.mark.feature("controllers")
def test_dependent_with_another_owner_stays_and_forgets_the_one_that_is_gone(api, config_map):
    one, two = config_map("one"), config_map("two")
    config_map("child", (one, {}), (two, {}))

    delete(api, config_map, "one", "Background")

    references = api.get(f"{config_map.path}/child").json()["metadata"]["ownerReferences"]
    assert [reference["name"] for reference in references] == ["two"]


@pytest.mark.feature("controllers")
def test_object_whose_owner_is_not_there_goes(api, config_map):
    config_map("child", ({"metadata": {"name": "never", "uid": "0c5d3d9e-0000-4000-8000-000000000000"}}, {}))

    assert api.get(f"{config_map.path}/child").status_code == 404


@pytest.mark.feature("controllers")
def test_owner_of_an_unknown_kind_is_taken_to_be_there(api):
    reference = {"apiVersion": "unknown.example.com/v1", "kind": "Unknown", "name": "a", "uid": "1"}

    api.create("a", metadata={"ownerReferences": [reference]})

    assert api.read("a")["metadata"]["ownerReferences"][0]["kind"] == "Unknown"


@pytest.mark.feature("controllers")
def test_custom_resource_owns_built_in_objects(api, config_map):
    widget = api.create("a")
    reference = {"apiVersion": widget["apiVersion"], "kind": "Widget", "name": "a", "uid": widget["metadata"]["uid"]}
    api.post({"metadata": {"name": "child", "ownerReferences": [reference]}}, config_map.path)

    api.delete("a")

    assert api.get(f"{config_map.path}/child").status_code == 404


@pytest.mark.parametrize("field", ["apiVersion", "kind", "name", "uid"])
def test_owner_reference_must_be_complete(api, failure, field):
    reference = {"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "1"} | {field: ""}

    code, reason, message = failure(api.post(api.widget("a", metadata={"ownerReferences": [reference]})))

    assert (code, reason) == (422, "Invalid")
    assert f"metadata.ownerReferences.{field}" in message


def test_only_one_owner_is_the_controller(api, failure):
    reference = {"apiVersion": "v1", "kind": "Pod", "controller": True}
    references = [reference | {"name": "a", "uid": "1"}, reference | {"name": "b", "uid": "2"}]

    code, _, message = failure(api.post(api.widget("a", metadata={"ownerReferences": references})))

    assert code == 422
    assert "Only one reference can have Controller set to true" in message

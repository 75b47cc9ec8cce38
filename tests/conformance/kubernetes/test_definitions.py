import itertools

import pytest

SPEC = {"type": "object", "properties": {"n": {"type": "integer"}}}


@pytest.fixture
def crd(make_definition, api):
    """A definition in a group of the case's own."""
    return make_definition("things", "Thing", SPEC, group=f"{api.namespace}.example.com")


def things(api, crd):
    return f"/apis/{crd['spec']['group']}/v1/namespaces/{api.namespace}/things"


def thing(crd, **metadata):
    return {"apiVersion": f"{crd['spec']['group']}/v1", "kind": "Thing", "metadata": metadata, "spec": {"n": 1}}


def test_established_definition_is_served(api, crd):
    established = api.define(crd)

    assert api.names(things(api, crd)) == []
    conditions = {item["type"]: item["reason"] for item in established["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "NoConflicts", "Established": "InitialNamesAccepted"}
    assert established["status"]["acceptedNames"]["plural"] == "things"
    assert established["status"]["storedVersions"] == ["v1"]


def test_definition_gets_its_defaults(api, crd):
    del crd["spec"]["names"]["singular"]

    spec = api.define(crd)["spec"]

    assert spec["names"]["singular"] == "thing"
    assert spec["names"]["listKind"] == "ThingList"
    assert spec["conversion"] == {"strategy": "None"}


def test_deleted_definition_takes_its_objects_with_it(api, crd):
    api.define(crd)
    api.post(thing(crd, name="a"), things(api, crd))
    path = f"{api.definitions}/{crd['metadata']['name']}"
    since = api.get(api.definitions).json()["metadata"]["resourceVersion"]

    marked = api.delete("", path=path).json()
    with api.watching(
        api.definitions, resourceVersion=since, fieldSelector=f"metadata.name={marked['metadata']['name']}"
    ) as events:
        types = list(itertools.takewhile(lambda type: type != "DELETED", (event["type"] for event in events)))

    assert marked["metadata"]["deletionTimestamp"]
    assert marked["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
    assert set(types) == {"MODIFIED"}
    assert api.get(path).status_code == 404
    assert api.get(things(api, crd)).status_code == 404


def test_name_must_be_plural_and_group(api, crd, failure):
    crd["metadata"]["name"] = "wrong"

    code, reason, message = failure(api.post(crd, api.definitions))

    assert (code, reason) == (422, "Invalid")
    assert message.endswith('metadata.name: Invalid value: "wrong": must be spec.names.plural+"."+spec.group')


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"scope": "Nowhere"}, "spec.scope"),
        ({"versions": []}, "spec.versions"),
        ({"group": "short"}, "spec.group"),
    ],
)
def test_definition_is_validated(api, crd, failure, change, field):
    crd["spec"] |= change

    response = api.post(crd, api.definitions)

    assert failure(response)[:2] == (422, "Invalid")
    assert field in [cause["field"] for cause in response.json()["details"]["causes"]]


def test_schema_is_required_and_must_be_structural(api, crd, failure):
    version = crd["spec"]["versions"][0]
    version["schema"]["openAPIV3Schema"]["properties"]["untyped"] = {}
    untyped = api.post(crd, api.definitions)
    del version["schema"]
    missing = api.post(crd, api.definitions)

    assert failure(untyped)[:2] == (422, "Invalid")
    assert "must not be empty for specified object fields" in untyped.json()["message"]
    assert failure(missing)[:2] == (422, "Invalid")
    assert "schemas are required" in missing.json()["message"]


def test_each_served_version_shows_the_same_objects(api, crd):
    second = crd["spec"]["versions"][0] | {"name": "v2", "storage": False}
    crd["spec"]["versions"].append(second)
    api.define(crd)
    api.post(thing(crd, name="a"), things(api, crd))

    group = crd["spec"]["group"]
    read = api.get(f"/apis/{group}/v2/namespaces/{api.namespace}/things/a").json()

    assert read["apiVersion"] == f"{group}/v2"
    assert read["spec"] == {"n": 1}


def test_cluster_scoped_resource_has_no_namespace(api, crd):
    crd["spec"]["scope"] = "Cluster"
    api.define(crd)
    path = f"/apis/{crd['spec']['group']}/v1/things"

    created = api.post(thing(crd, name="a"), path)

    assert created.status_code == 201
    assert "namespace" not in created.json()["metadata"]
    assert api.names(path) == ["a"]


def test_resource_without_status_subresource_keeps_the_status(api, crd):
    del crd["spec"]["versions"][0]["subresources"]
    api.define(crd)

    created = api.post(thing(crd, name="a") | {"status": {"phase": "Done"}}, things(api, crd)).json()

    assert created["status"] == {"phase": "Done"}
    assert api.get(f"{things(api, crd)}/a/status").status_code == 404

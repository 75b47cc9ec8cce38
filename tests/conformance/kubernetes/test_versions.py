import copy

import pytest

GROUP = "conformance.example.com"


@pytest.fixture
def definition(api, make_definition):
    """A definition with two versions, the first of which is stored."""
    plural = f"versioned{api.namespace.replace('-', '')}"
    crd = make_definition(plural, plural.capitalize(), {"type": "object", "properties": {"a": {"type": "string"}}})
    del crd["spec"]["names"]["shortNames"]  # they would be taken
    second = copy.deepcopy(crd["spec"]["versions"][0]) | {"name": "v2", "storage": False}
    second["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["a"]["maxLength"] = 3
    crd["spec"]["versions"].append(second)
    return crd


@pytest.fixture
def names(definition):
    return definition["spec"]["names"]


def path(api, names, version):
    return f"/apis/{GROUP}/{version}/namespaces/{api.namespace}/{names['plural']}"


def create(api, names, version, spec):
    body = {"apiVersion": f"{GROUP}/{version}", "kind": names["kind"], "metadata": {"name": "a"}, "spec": spec}
    return api.post(body, path(api, names, version))


def change(api, crd, **fields):
    response = api.patch("", fields, path=f"{api.definitions}/{crd['metadata']['name']}")
    assert response.status_code == 200, response.text
    return response.json()


def test_object_is_seen_in_each_served_version(api, definition, names):
    api.define(definition)
    create(api, names, "v1", {"a": "1"})

    first = api.get(path(api, names, "v1") + "/a").json()
    second = api.get(path(api, names, "v2") + "/a").json()

    assert (first["apiVersion"], second["apiVersion"]) == (f"{GROUP}/v1", f"{GROUP}/v2")
    assert first["metadata"]["uid"] == second["metadata"]["uid"]


def test_each_version_has_a_schema_of_its_own(api, definition, names, failure):
    api.define(definition)

    assert failure(create(api, names, "v2", {"a": "long"}))[:2] == (422, "Invalid")
    assert create(api, names, "v1", {"a": "long"}).status_code == 201
    assert api.get(path(api, names, "v2") + "/a").json()["spec"] == {"a": "long"}


def test_version_that_is_not_served_is_not_found(api, definition, names):
    definition["spec"]["versions"][1]["served"] = False
    api.define(definition)

    assert api.get(path(api, names, "v2")).status_code == 404
    assert api.get(path(api, names, "v1")).status_code == 200


def test_watch_is_in_the_version_that_it_was_asked_in(api, definition, names):
    api.define(definition)
    create(api, names, "v1", {"a": "1"})

    with api.watching(path(api, names, "v2")) as events:
        assert next(events)["object"]["apiVersion"] == f"{GROUP}/v2"


def test_stored_versions_remember_each_that_was_stored(api, definition):
    api.define(definition)
    versions = copy.deepcopy(definition["spec"]["versions"])
    versions[0]["storage"], versions[1]["storage"] = False, True

    changed = change(api, definition, spec={"versions": versions})

    assert changed["status"]["storedVersions"] == ["v1", "v2"]


def test_exactly_one_version_is_stored(api, definition, failure):
    definition["spec"]["versions"][1]["storage"] = True

    code, reason, message = failure(api.post(definition, api.definitions))

    assert (code, reason) == (422, "Invalid")
    assert "must have exactly one version marked as storage version" in message


def test_versions_have_names_of_their_own(api, definition, failure):
    definition["spec"]["versions"][1]["name"] = "v1"

    assert failure(api.post(definition, api.definitions))[:2] == (422, "Invalid")


def test_group_and_scope_and_names_stay(api, definition, failure):
    api.define(definition)

    for spec in ({"group": "other.example.com"}, {"scope": "Cluster"}, {"names": {"kind": "Other"}}):
        response = api.patch("", {"spec": spec}, path=f"{api.definitions}/{definition['metadata']['name']}")
        assert failure(response)[:2] == (422, "Invalid")


@pytest.mark.parametrize(
    ("field", "value"), [("singular", "widget"), ("shortNames", ["wi"]), ("kind", "Widget"), ("listKind", "WidgetList")]
)
def test_names_that_another_definition_has_are_not_accepted(api, definition, field, value):
    definition["spec"]["names"][field] = value
    since = api.get(api.definitions).json()["metadata"]["resourceVersion"]
    assert api.post(definition, api.definitions).status_code == 201

    name = definition["metadata"]["name"]
    with api.watching(api.definitions, resourceVersion=since, fieldSelector=f"metadata.name={name}") as events:
        conditions = next(
            found
            for event in events
            if (found := {one["type"]: one["status"] for one in event["object"]["status"].get("conditions") or []})
        )

    assert conditions["NamesAccepted"] == "False"
    assert conditions.get("Established", "False") == "False"

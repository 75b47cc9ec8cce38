import pytest

PARTIAL = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


def get(api, path, accept, **query):
    return api.http.get(path, headers={"accept": accept}, params=query)


def test_object_is_read_as_its_metadata(api):
    widget = api.create("a")

    partial = get(api, api.path("a"), PARTIAL).json()

    assert (partial["kind"], partial["apiVersion"]) == ("PartialObjectMetadata", "meta.k8s.io/v1")
    assert partial["metadata"]["uid"] == widget["metadata"]["uid"]
    assert "spec" not in partial


def test_list_is_read_as_metadata(api):
    for name in ("a", "b", "c"):
        api.create(name)

    page = get(api, api.collection, PARTIAL_LIST, limit=2).json()

    assert (page["kind"], page["apiVersion"]) == ("PartialObjectMetadataList", "meta.k8s.io/v1")
    assert [item["metadata"]["name"] for item in page["items"]] == ["a", "b"]
    assert {item["kind"] for item in page["items"]} == {"PartialObjectMetadata"}
    assert page["metadata"]["continue"]
    assert not any("spec" in item for item in page["items"])


def test_watch_is_read_as_metadata(api):
    since = api.revision()
    api.create("a")
    headers = {"accept": PARTIAL}
    params = {"watch": "true", "resourceVersion": since}

    with api.http.stream("GET", api.collection, params=params, headers=headers) as response:
        line = next(response.iter_lines())

    assert '"kind":"PartialObjectMetadata"' in line
    assert '"name":"a"' in line
    assert '"spec"' not in line


def test_built_in_kind_is_read_as_metadata(api):
    partial = get(api, f"/api/v1/namespaces/{api.namespace}", PARTIAL).json()

    assert (partial["kind"], partial["metadata"]["name"]) == ("PartialObjectMetadata", api.namespace)
    assert "status" not in partial


def test_created_object_is_answered_as_its_metadata(api):
    response = api.http.post(api.collection, json=api.widget("a"), headers={"accept": PARTIAL})

    assert response.status_code == 201
    assert response.json()["kind"] == "PartialObjectMetadata"


@pytest.mark.parametrize(
    "accept",
    [f"application/yaml2, {PARTIAL}", f"{PARTIAL}, application/json", f"{PARTIAL};q=0.9, application/json;q=0.8"],
)
def test_first_that_can_be_had_is_taken(api, accept):
    api.create("a")

    assert get(api, api.path("a"), accept).json()["kind"] == "PartialObjectMetadata"


def test_plain_json_before_it_wins(api):
    api.create("a")

    assert get(api, api.path("a"), f"application/json, {PARTIAL}").json()["kind"] == "Widget"


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "application/json;as=Unknown;g=meta.k8s.io;v=v1",
        "application/json;as=PartialObjectMetadata;g=other.io;v=v1",
        "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v9",
    ],
)
def test_what_can_not_be_had_is_not_acceptable(api, failure, accept):
    api.create("a")

    assert failure(get(api, api.path("a"), accept))[:2] == (406, "NotAcceptable")


def test_errors_are_statuses_all_the_same(api, failure):
    assert failure(get(api, api.path("a"), PARTIAL))[:2] == (404, "NotFound")

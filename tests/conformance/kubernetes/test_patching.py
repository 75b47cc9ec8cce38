import pytest


def test_merge_patch_merges_maps_and_removes_nulls(api):
    api.create("a", metadata={"labels": {"old": "1", "kept": "1"}}, spec={"size": 1, "color": "red", "tags": ["x"]})

    patched = api.patch("a", {"metadata": {"labels": {"old": None, "new": "1"}}, "spec": {"tags": ["y"]}}).json()

    assert patched["metadata"]["labels"] == {"kept": "1", "new": "1"}
    assert patched["spec"] == {"size": 1, "color": "red", "mode": "auto", "tags": ["y"]}


def test_patch_that_changes_nothing_keeps_the_resource_version(api):
    widget = api.create("a")

    assert api.patch("a", {"spec": {"size": 1}, "metadata": {"generation": 9}}).json() == widget


def test_null_removes_a_field_and_its_default_comes_back(api):
    api.create("a", spec={"size": 1, "color": "red", "mode": "manual"})

    assert api.patch("a", {"spec": {"mode": None}}).json()["spec"]["mode"] == "auto"


@pytest.mark.parametrize("subresource", ["", "status"])
def test_resource_version_in_a_patch_is_checked(api, failure, subresource):
    widget = api.create("a")
    version = widget["metadata"]["resourceVersion"]
    change = {"spec": {"size": 2}, "status": {"phase": "Done"}}

    accepted = api.patch("a", {"metadata": {"resourceVersion": version}, **change}, subresource=subresource)
    refused = api.patch("a", {"metadata": {"resourceVersion": version}, **change}, subresource=subresource)

    assert accepted.status_code == 200
    assert failure(refused)[:2] == (409, "Conflict")


def test_patch_is_validated(api, failure):
    api.create("a")

    response = api.patch("a", {"spec": {"size": 50}})

    assert failure(response)[:2] == (422, "Invalid")
    assert api.read("a")["spec"]["size"] == 1


@pytest.mark.parametrize(
    ("patch", "code"),
    [
        ({"metadata": {"name": "b"}}, 400),
        ({"metadata": {"namespace": "other"}}, 400),
        ({"metadata": {"uid": "other"}}, 422),
        ({"metadata": {"deletionTimestamp": "2020-01-01T00:00:00Z"}}, 422),
        ({"kind": "Other"}, 422),
        ({"apiVersion": "conformance.example.com/v9"}, 422),
    ],
)
def test_patch_can_not_turn_an_object_into_another(api, failure, patch, code):
    widget = api.create("a")

    assert failure(api.patch("a", patch))[0] == code
    assert api.read("a") == widget


def test_creation_time_stays(api):
    widget = api.create("a")

    assert api.patch("a", {"metadata": {"creationTimestamp": "2020-01-01T00:00:00Z"}}).json() == widget


def test_patch_of_what_is_not_there_is_not_found(api, failure):
    assert failure(api.patch("a", {}))[:2] == (404, "NotFound")


@pytest.mark.parametrize("type", ["strategic", "application/json", "text/plain"])
def test_other_patch_types_are_refused_for_custom_resources(api, failure, type):
    api.create("a")

    code, reason, message = failure(api.patch("a", {"spec": {"size": 2}}, type=type))

    assert (code, reason) == (415, "UnsupportedMediaType")
    assert "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml" in message


def test_json_patch_applies_its_operations_in_order(api):
    api.create("a", metadata={"labels": {"from": "1"}}, spec={"size": 1, "color": "red", "tags": ["x"]})
    operations = [
        {"op": "test", "path": "/spec/size", "value": 1},
        {"op": "replace", "path": "/spec/size", "value": 2},
        {"op": "add", "path": "/spec/tags/-", "value": "y"},
        {"op": "add", "path": "/spec/tags/0", "value": "w"},
        {"op": "remove", "path": "/spec/tags/1"},
        {"op": "move", "from": "/metadata/labels/from", "path": "/metadata/labels/to"},
        {"op": "copy", "from": "/spec/size", "path": "/spec/ratio"},
        {"op": "add", "path": "/metadata/labels/example.com~1k", "value": "v"},
    ]

    patched = api.patch("a", operations, type="json").json()

    assert patched["spec"] == {"size": 2, "color": "red", "mode": "auto", "tags": ["w", "y"], "ratio": 2}
    assert patched["metadata"]["labels"] == {"to": "1", "example.com/k": "v"}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/spec/size", "value": 9},
        {"op": "remove", "path": "/spec/absent"},
        {"op": "replace", "path": "/spec/absent/deeper", "value": 1},
        {"op": "add", "path": "/spec/tags/5", "value": "x"},
        {"op": "bogus", "path": "/spec/size"},
    ],
)
def test_json_patch_that_can_not_be_applied_changes_nothing(api, failure, operation):
    widget = api.create("a", spec={"size": 1, "color": "red", "tags": ["x"]})
    first = {"op": "replace", "path": "/spec/size", "value": 2}

    response = api.patch("a", [operation, first], type="json")

    message = "the server rejected our request due to an error in our request"
    assert failure(response) == (422, "Invalid", message)
    assert api.read("a") == widget


def test_json_patch_that_is_no_list_is_a_bad_request(api, failure):
    api.create("a")

    assert failure(api.patch("a", {"op": "remove", "path": "/spec"}, type="json"))[:2] == (400, "BadRequest")


def test_patch_needs_a_name(api, failure):
    assert failure(api.patch("", {}, path=api.collection)) == (400, "BadRequest", "name must be provided")

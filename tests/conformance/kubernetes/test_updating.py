import pytest

CONFLICT = (
    'Operation cannot be fulfilled on widgets.conformance.example.com "a": '
    "the object has been modified; please apply your changes to the latest version and try again"
)


def test_put_replaces_the_object(api):
    widget = api.create("a", metadata={"labels": {"k": "v"}})
    widget["spec"] = {"size": 2, "color": "green"}
    del widget["metadata"]["labels"]

    response = api.put("a", widget)

    assert response.status_code == 200
    updated = response.json()
    assert updated["spec"] == {"size": 2, "color": "green", "mode": "auto"}
    assert "labels" not in updated["metadata"]
    assert int(updated["metadata"]["resourceVersion"]) > int(widget["metadata"]["resourceVersion"])


def test_what_only_the_server_sets_survives_a_put(api):
    widget = api.create("a")
    body = api.widget("a", metadata={"resourceVersion": widget["metadata"]["resourceVersion"]})

    updated = api.put("a", body).json()

    for field in ("uid", "creationTimestamp", "generation"):
        assert updated["metadata"][field] == widget["metadata"][field]


def test_put_based_on_an_old_version_is_a_conflict(api, failure):
    widget = api.create("a")
    api.patch("a", {"spec": {"size": 2}})

    response = api.put("a", widget)

    assert failure(response) == (409, "Conflict", CONFLICT)
    assert api.read("a")["spec"]["size"] == 2


def test_put_needs_a_resource_version(api, failure):
    widget = api.create("a")
    del widget["metadata"]["resourceVersion"]

    code, reason, message = failure(api.put("a", widget))

    assert (code, reason) == (422, "Invalid")
    assert message.endswith("metadata.resourceVersion: Invalid value: 0x0: must be specified for an update")


def test_resource_version_that_is_no_number_is_refused(api, failure):
    widget = api.create("a")
    widget["metadata"]["resourceVersion"] = "latest"

    assert failure(api.put("a", widget)) == (500, None, 'strconv.ParseUint: parsing "latest": invalid syntax')


def test_put_that_changes_nothing_keeps_the_resource_version(api):
    widget = api.create("a")

    assert api.put("a", widget).json() == widget
    assert api.read("a") == widget


def test_put_of_what_is_not_there_is_not_found(api, failure):
    response = api.put("a", api.widget("a", metadata={"resourceVersion": "5"}))

    assert failure(response) == (404, "NotFound", 'widgets.conformance.example.com "a" not found')


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("name", "the name of the object (other) does not match the name on the URL (a)"),
        ("namespace", "the namespace of the object (other) does not match the namespace on the request ({namespace})"),
    ],
)
def test_put_must_match_its_url(api, failure, field, message):
    widget = api.create("a")
    widget["metadata"][field] = "other"

    assert failure(api.put("a", widget)) == (400, "BadRequest", message.format(namespace=api.namespace))


def test_put_for_an_object_that_was_made_anew_is_a_conflict(api, failure):
    widget = api.create("a")
    widget["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000"

    assert failure(api.put("a", widget))[:2] == (409, "Conflict")


def test_generation_counts_changes_of_the_spec_only(api):
    widget = api.create("a")
    labelled = api.patch("a", {"metadata": {"labels": {"k": "v"}}}).json()
    resized = api.patch("a", {"spec": {"size": 2}}).json()
    reported = api.patch("a", {"status": {"phase": "Done"}}, subresource="status").json()

    generations = [item["metadata"]["generation"] for item in (widget, labelled, resized, reported)]
    assert generations == [1, 1, 2, 2]


def test_main_write_does_not_touch_the_status(api):
    api.create("a")
    api.patch("a", {"status": {"phase": "Done"}}, subresource="status")
    widget = api.read("a")
    widget["status"] = {"phase": "Undone"}
    widget["spec"]["size"] = 2

    put = api.put("a", widget).json()
    patched = api.patch("a", {"status": {"phase": "Undone"}}).json()

    assert put["status"] == {"phase": "Done"}
    assert put["spec"]["size"] == 2
    assert patched["status"] == {"phase": "Done"}


def test_status_write_touches_only_the_status(api):
    widget = api.create("a", metadata={"labels": {"k": "v"}})
    body = widget | {"status": {"phase": "Done"}, "spec": {"size": 9, "color": "green"}}
    body["metadata"] = widget["metadata"] | {"labels": {"k": "other"}}

    put = api.put("a", body, "status").json()
    patch = {"spec": {"size": 9}, "metadata": {"labels": {"k": "other"}}, "status": {"count": 1}}
    patched = api.patch("a", patch, subresource="status").json()

    for answer in (put, patched):
        assert answer["spec"] == widget["spec"]
        assert answer["metadata"]["labels"] == {"k": "v"}
    assert patched["status"] == {"phase": "Done", "count": 1}


def test_status_is_validated_and_pruned(api, failure):
    api.create("a")

    refused = api.patch("a", {"status": {"phase": 3}}, subresource="status")
    pruned = api.patch("a", {"status": {"phase": "Done", "bogus": 1}}, subresource="status")

    assert failure(refused)[:2] == (422, "Invalid")
    assert pruned.json()["status"] == {"phase": "Done"}


def test_status_can_be_read_alone(api):
    widget = api.create("a")

    assert api.get(api.path("a", "status")).json() == widget


def test_unknown_subresource_is_not_found(api, failure):
    api.create("a")

    assert failure(api.get(api.path("a", "scale")))[:2] == (404, "NotFound")


def test_status_can_not_be_deleted(api, failure):
    api.create("a")

    assert failure(api.delete("a", path=api.path("a", "status")))[:2] == (405, "MethodNotAllowed")


@pytest.mark.feature("cel")
def test_immutable_spec_is_enforced(api, failure):
    gadgets = api.collection.replace("widgets", "gadgets")
    gadget = {"apiVersion": "conformance.example.com/v1", "kind": "Gadget", "metadata": {"name": "g"}}
    api.post(gadget | {"spec": {"serial": "1"}}, gadgets)

    changed = api.patch("g", {"spec": {"serial": "2"}}, path=f"{gadgets}/g")
    labelled = api.patch("g", {"metadata": {"labels": {"k": "v"}}}, path=f"{gadgets}/g")

    message = 'Gadget.conformance.example.com "g" is invalid: spec: Invalid value: "object": spec is immutable'
    assert failure(changed) == (422, "Invalid", message)
    assert labelled.status_code == 200

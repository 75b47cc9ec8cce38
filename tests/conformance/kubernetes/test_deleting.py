import pytest


def test_delete_answers_with_a_status(api):
    widget = api.create("a")

    response = api.delete("a")

    assert response.status_code == 200
    status = response.json()
    assert (status["kind"], status["status"]) == ("Status", "Success")
    assert status["details"] == {
        "name": "a",
        "group": "conformance.example.com",
        "kind": "widgets",
        "uid": widget["metadata"]["uid"],
    }
    assert api.get(api.path("a")).status_code == 404


def test_delete_of_what_is_not_there_is_not_found(api, failure):
    assert failure(api.delete("a")) == (404, "NotFound", 'widgets.conformance.example.com "a" not found')


def test_finalizers_hold_an_object_until_they_are_gone(api, failure):
    api.create("a", metadata={"finalizers": ["example.com/hold"]})

    marked = api.delete("a").json()
    again = api.delete("a").json()
    taken = api.post(api.widget("a"))
    released = api.patch("a", {"metadata": {"finalizers": None}})

    assert marked["kind"] == "Widget"
    assert marked["metadata"]["deletionTimestamp"]
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 0
    assert marked["metadata"]["generation"] == 2
    assert again == marked
    assert failure(taken) == (
        409,
        "AlreadyExists",
        'object is being deleted: widgets.conformance.example.com "a" already exists',
    )
    assert released.status_code == 200
    assert "finalizers" not in released.json()["metadata"]
    assert api.get(api.path("a")).status_code == 404


def test_object_being_deleted_takes_no_new_finalizers(api, failure):
    api.create("a", metadata={"finalizers": ["example.com/hold"]})
    api.delete("a")

    code, reason, message = failure(api.patch("a", {"metadata": {"finalizers": ["example.com/hold", "example.com/b"]}}))

    assert (code, reason) == (422, "Invalid")
    assert "no new finalizers can be added if the object is being deleted" in message


def test_object_being_deleted_can_still_be_changed(api):
    api.create("a", metadata={"finalizers": ["example.com/hold"]})
    marked = api.delete("a").json()

    changed = api.patch("a", {"spec": {"size": 2}}).json()

    assert changed["spec"]["size"] == 2
    assert changed["metadata"]["deletionTimestamp"] == marked["metadata"]["deletionTimestamp"]


@pytest.mark.parametrize("field", ["uid", "resourceVersion"])
def test_precondition_that_fails_is_a_conflict(api, failure, field):
    widget = api.create("a")

    refused = api.delete("a", {"preconditions": {field: "1"}})
    accepted = api.delete("a", {"preconditions": {field: widget["metadata"][field]}})

    assert failure(refused)[:2] == (409, "Conflict")
    assert accepted.status_code == 200


def test_unknown_propagation_policy_is_invalid(api, failure):
    api.create("a")

    assert failure(api.delete("a", {"propagationPolicy": "Sideways"}))[:2] == (422, "Invalid")


def test_dry_run_deletes_nothing(api):
    api.create("a")

    response = api.http.delete(api.path("a"), params={"dryRun": "All"})

    assert response.status_code == 200
    assert api.get(api.path("a")).status_code == 200


def test_collection_is_deleted_by_selector(api):
    api.create("a", metadata={"labels": {"k": "1"}})
    api.create("b", metadata={"labels": {"k": "2"}})

    response = api.http.delete(api.collection, params={"labelSelector": "k=1"})

    assert response.json()["kind"] == "WidgetList"
    assert [item["metadata"]["name"] for item in response.json()["items"]] == ["a"]
    assert api.names() == ["b"]


def test_object_made_anew_has_another_uid(api):
    first = api.create("a")
    api.delete("a")

    assert api.create("a")["metadata"]["uid"] != first["metadata"]["uid"]

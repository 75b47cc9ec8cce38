import pytest
from tests.conformance.kubernetes.kinds import collection


@pytest.fixture
def core(api):
    return collection("v1", "events", api.namespace)


@pytest.fixture
def new(api):
    return collection("events.k8s.io/v1", "events", api.namespace)


def event(api, name="a", *, about=None, **fields):
    about = {"kind": "Pod", "name": "p", "namespace": api.namespace} if about is None else about
    fields = {"reason": "Killed", "message": "m", "type": "Warning", "source": {"component": "kubelet"}, **fields}
    return {"metadata": {"name": name}, "involvedObject": about, **fields}


def new_event(api):
    return {
        "metadata": {"name": "a"},
        "regarding": {"kind": "Pod", "name": "p", "namespace": api.namespace},
        "eventTime": "2024-01-01T00:00:00.000000Z",
        "reason": "Killed",
        "note": "m",
        "type": "Warning",
        "action": "Kill",
        "reportingController": "example.com/c",
        "reportingInstance": "c-1",
    }


def test_event_shows_what_it_always_shows(api, core):
    created = api.post(event(api, firstTimestamp="2024-01-01T00:00:00.5+01:00"), core).json()

    assert created["firstTimestamp"] == "2023-12-31T23:00:00Z"
    assert (created["lastTimestamp"], created["eventTime"]) == (None, None)
    assert (created["reportingComponent"], created["reportingInstance"]) == ("", "")
    assert created["source"] == {"component": "kubelet"}


@pytest.mark.parametrize("about", [{"kind": "Pod", "name": "p", "namespace": "other"}, {"kind": "Pod", "name": "p"}])
def test_event_lives_in_the_namespace_of_what_it_is_about(api, core, failure, about):
    response = api.post(event(api, about=about), core)

    assert failure(response)[:2] == (422, "Invalid")
    [cause] = response.json()["details"]["causes"]
    assert cause["field"] == "involvedObject.namespace"
    assert cause["message"].endswith("does not match event.namespace")


def test_event_about_something_without_a_namespace_lives_in_the_default_one(api):
    name = f"{api.namespace}-node"

    response = api.post(event(api, name, about={"kind": "Node", "name": "n"}), collection("v1", "events", "default"))

    assert response.status_code == 201


def test_event_with_a_time_of_its_own_must_say_who_reports_it(api, core, failure):
    response = api.post(event(api, eventTime="2024-01-01T00:00:00.000000Z"), core)

    assert failure(response)[:2] == (422, "Invalid")
    fields = {cause["field"] for cause in response.json()["details"]["causes"]}
    assert fields == {"reportingController", "reportingInstance", "action"}


@pytest.mark.parametrize(
    ("field", "time"), [("firstTimestamp", "yesterday"), ("eventTime", "2024-01-01T00:00:00Z"), ("lastTimestamp", 5)]
)
def test_what_is_no_time_is_a_bad_request(api, core, failure, field, time):
    assert failure(api.post(event(api, **{field: time}), core))[:2] == (400, "BadRequest")


def test_core_event_is_the_same_object_in_the_new_group(api, core, new):
    created = api.post(event(api, count=2), core).json()

    read = api.get(f"{new}/a").json()

    assert (read["apiVersion"], read["metadata"]["uid"]) == ("events.k8s.io/v1", created["metadata"]["uid"])
    assert (read["regarding"], read["note"]) == (created["involvedObject"], "m")
    assert (read["deprecatedCount"], read["deprecatedSource"]) == (2, {"component": "kubelet"})
    assert "reportingController" not in read
    assert api.names(new) == ["a"]


def test_new_event_is_the_same_object_in_core(api, core, new):
    created = api.post(new_event(api), new)

    read = api.get(f"{core}/a").json()

    assert created.status_code == 201, created.text
    assert created.json()["note"] == "m"
    assert (read["message"], read["reportingComponent"]) == ("m", "example.com/c")
    assert read["involvedObject"] == created.json()["regarding"]
    assert read["eventTime"] == "2024-01-01T00:00:00.000000Z"


def test_new_event_needs_a_time_and_a_type(api, new, failure):
    sent = new_event(api)
    del sent["eventTime"], sent["type"]

    response = api.post(sent, new)

    assert failure(response)[:2] == (422, "Invalid")
    assert {"eventTime", "type"} <= {cause["field"] for cause in response.json()["details"]["causes"]}


def test_watch_shows_an_event_in_the_version_that_is_watched(api, core, new):
    since = api.get(new).json()["metadata"]["resourceVersion"]

    with api.watching(new, resourceVersion=since) as changes:
        api.post(event(api), core)
        seen = next(changes)["object"]

    assert (seen["apiVersion"], seen["note"]) == ("events.k8s.io/v1", "m")


def test_patch_speaks_the_version_that_is_patched(api, core, new):
    api.post(event(api, count=1), core)

    patched = api.patch("a", {"note": "again", "deprecatedCount": 2}, path=f"{new}/a").json()

    assert (patched["note"], patched["deprecatedCount"]) == ("again", 2)
    assert api.get(f"{core}/a").json()["message"] == "again"


@pytest.mark.parametrize(
    "selector",
    ["involvedObject.name=p", "involvedObject.kind=Pod,reason=Killed", "type=Warning", "source=kubelet"],
)
def test_core_events_can_be_selected_by_field(api, core, selector):
    api.post(event(api), core)

    assert api.names(core, fieldSelector=selector) == ["a"]
    assert api.names(core, fieldSelector=f"{selector},involvedObject.name=other") == []


def test_new_events_can_be_selected_by_their_own_names_of_fields(api, core, new, failure):
    api.post(event(api), core)

    assert api.names(new, fieldSelector="regarding.name=p,reason=Killed") == ["a"]
    refused = api.get(new, fieldSelector="involvedObject.name=p")
    assert failure(refused) == (400, "BadRequest", "field label not supported: involvedObject.name")

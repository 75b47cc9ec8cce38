import pytest


def seen(event):
    """Return what a case compares: type, name and size."""
    return event["type"], event["object"]["metadata"]["name"], event["object"]["spec"]["size"]


def test_watch_replays_what_was_missed_then_goes_on(api):
    since = api.revision()
    api.create("a")
    api.patch("a", {"spec": {"size": 2}})
    api.delete("a")

    with api.watching(resourceVersion=since) as events:
        missed = [seen(next(events)) for _ in range(3)]
        api.create("b")
        live = seen(next(events))

    assert missed == [("ADDED", "a", 1), ("MODIFIED", "a", 2), ("DELETED", "a", 2)]
    assert live == ("ADDED", "b", 1)


def test_every_event_has_a_newer_resource_version(api):
    since = api.revision()
    api.create("a")
    api.patch("a", {"spec": {"size": 2}})
    api.delete("a")

    with api.watching(resourceVersion=since) as events:
        versions = [int(next(events)["object"]["metadata"]["resourceVersion"]) for _ in range(3)]

    assert int(since) < versions[0] < versions[1] < versions[2]


def test_write_that_changes_nothing_is_no_event(api):
    api.create("a")
    since = api.revision()
    api.patch("a", {"spec": {"size": 1}})
    api.patch("a", {"spec": {"size": 2}})

    with api.watching(resourceVersion=since) as events:
        assert seen(next(events)) == ("MODIFIED", "a", 2)


def test_watch_without_a_version_begins_with_what_is_there(api):
    api.create("a")
    api.create("b")

    for query in ({}, {"resourceVersion": "0"}):
        with api.watching(**query) as events:
            first = {seen(next(events)), seen(next(events))}
            api.patch("a", {"metadata": {"labels": {"again": str(len(query))}}})
            live = seen(next(events))

        assert first == {("ADDED", "a", 1), ("ADDED", "b", 1)}
        assert live == ("MODIFIED", "a", 1)


def test_object_that_leaves_the_selection_is_deleted_and_one_that_enters_is_added(api):
    since = api.revision()
    api.create("a", metadata={"labels": {"k": "1"}})
    api.patch("a", {"metadata": {"labels": {"k": "2"}}})
    api.patch("a", {"spec": {"size": 2}})
    api.patch("a", {"metadata": {"labels": {"k": "1"}}})

    with api.watching(resourceVersion=since, labelSelector="k=1") as events:
        added, left, entered = next(events), next(events), next(events)

    assert [seen(event) for event in (added, left, entered)] == [
        ("ADDED", "a", 1),
        ("DELETED", "a", 1),
        ("ADDED", "a", 2),
    ]
    assert left["object"]["metadata"]["labels"] == {"k": "1"}
    assert int(left["object"]["metadata"]["resourceVersion"]) > int(added["object"]["metadata"]["resourceVersion"])


def test_field_selector_narrows_a_watch(api):
    since = api.revision()
    for name in ("a", "b", "c"):
        api.create(name)

    with api.watching(resourceVersion=since, fieldSelector="metadata.name=c") as events:
        assert seen(next(events)) == ("ADDED", "c", 1)


def test_watch_across_namespaces_sees_this_one(api):
    since = api.revision()
    api.create("a")

    with api.watching(api.everywhere, resourceVersion=since) as events:
        assert next(events)["object"]["metadata"]["namespace"] == api.namespace


def test_finalizer_is_seen_as_a_change_before_the_deletion(api):
    api.create("a", metadata={"finalizers": ["example.com/hold"]})
    since = api.revision()
    api.delete("a")
    api.patch("a", {"metadata": {"finalizers": None}})

    with api.watching(resourceVersion=since) as events:
        marked, gone = next(events), next(events)

    assert marked["type"] == "MODIFIED"
    assert marked["object"]["metadata"]["deletionTimestamp"]
    assert gone["type"] == "DELETED"
    assert gone["object"]["metadata"]["finalizers"] == ["example.com/hold"]


def test_resource_version_that_is_too_old_is_expired(api):
    with api.watching(resourceVersion="1") as events:
        event = next(events)

    assert event["type"] == "ERROR"
    status = event["object"]
    assert (status["kind"], status["code"], status["reason"]) == ("Status", 410, "Expired")
    assert status["message"].startswith("too old resource version: 1 (")


def test_watch_ends_after_its_timeout(api):
    api.create("a")

    with api.watching(timeoutSeconds=1) as events:
        assert [seen(event) for event in events] == [("ADDED", "a", 1)]


def test_many_watches_see_the_same(api):
    since = api.revision()

    with (
        api.watching(resourceVersion=since) as first,
        api.watching(resourceVersion=since) as second,
        api.watching(resourceVersion=since, labelSelector="k") as third,
    ):
        api.create("a")
        api.create("b", metadata={"labels": {"k": "v"}})
        names = [seen(next(events))[1] for events in (first, second, first, second, third)]

    assert names == ["a", "a", "b", "b", "b"]


def test_watch_refuses_what_a_list_refuses(api, failure):
    assert failure(api.get(api.collection, watch="1", labelSelector="a b"))[:2] == (400, "BadRequest")
    assert failure(api.get(api.collection, watch="1", resourceVersion="x"))[0] == 500


@pytest.mark.feature("watch list")
def test_watch_can_begin_with_what_is_there_and_say_where_that_ends(api):
    api.create("a")
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}

    with api.watching(**query) as events:
        first, second = next(events), next(events)
        api.create("b")
        third = next(events)

    assert seen(first) == ("ADDED", "a", 1)
    assert second["type"] == "BOOKMARK"
    assert second["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert int(second["object"]["metadata"]["resourceVersion"]) >= int(first["object"]["metadata"]["resourceVersion"])
    assert seen(third) == ("ADDED", "b", 1)


@pytest.mark.feature("watch list")
def test_watch_can_leave_out_what_is_there(api):
    api.create("a")

    with api.watching(sendInitialEvents="false", resourceVersionMatch="NotOlderThan") as events:
        api.create("b")
        assert seen(next(events)) == ("ADDED", "b", 1)


@pytest.mark.feature("watch list")
@pytest.mark.parametrize(
    "query",
    [
        {"sendInitialEvents": "true"},
        {"sendInitialEvents": "true", "resourceVersionMatch": "Exact"},
        {"resourceVersionMatch": "NotOlderThan", "resourceVersion": "1"},
    ],
    ids=["no match", "exact", "match alone"],
)
def test_initial_events_and_match_need_each_other(api, failure, query):
    assert failure(api.get(api.collection, watch="true", **query))[:2] == (422, "Invalid")


@pytest.mark.feature("watch list")
def test_list_has_no_initial_events(api, failure):
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "resourceVersion": "1"}

    assert failure(api.get(api.collection, **query))[:2] == (422, "Invalid")


def test_watch_of_one_object_sees_no_other(api):
    since = api.revision()
    api.create("b")
    api.create("a")

    with api.watching(resourceVersion=since, fieldSelector="metadata.name=a") as events:
        assert seen(next(events)) == ("ADDED", "a", 1)


def test_status_write_is_a_change(api):
    api.create("a")
    since = api.revision()
    api.patch("a", {"status": {"phase": "Ready"}}, subresource="status")

    with api.watching(resourceVersion=since) as events:
        event = next(events)

    assert (event["type"], event["object"]["status"]["phase"]) == ("MODIFIED", "Ready")


def test_watches_of_built_in_kinds_see_their_changes(api):
    path = f"/api/v1/namespaces/{api.namespace}/configmaps"
    since = api.get(path).json()["metadata"]["resourceVersion"]
    api.post({"metadata": {"name": "a"}, "data": {"k": "1"}}, path)
    api.patch("a", {"data": {"k": "2"}}, path=f"{path}/a")
    api.delete("a", path=f"{path}/a")

    with api.watching(path, resourceVersion=since, fieldSelector="metadata.name=a") as events:
        got = [next(events) for _ in range(3)]

    assert [event["type"] for event in got] == ["ADDED", "MODIFIED", "DELETED"]
    assert [event["object"]["kind"] for event in got] == ["ConfigMap"] * 3

import pytest

from signal_gateway.apiserver import create_apiserver


@pytest.mark.asyncio
async def test_each_event_is_sent_at_once(widgets):
    watch = widgets.watch()
    await watch.message()

    await widgets.create("a")
    first = await watch.events()
    await widgets.create("b")
    second = await watch.events()

    assert [event["object"]["metadata"]["name"] for event in (*first, *second)] == ["a", "b"]
    watch.disconnect()
    await watch.ended()


@pytest.mark.asyncio
async def test_watch_ends_when_its_client_leaves(widgets):
    watch = widgets.watch()
    await watch.message()

    watch.disconnect()

    await watch.ended()


@pytest.mark.asyncio
async def test_stop_ends_every_watch(widget_server, widgets):
    watches = [widgets.watch(), widgets.watch("labelSelector=k")]
    for watch in watches:
        await watch.message()

    widget_server.stop()

    for watch in watches:
        await watch.ended()
        assert (await watch.message())["more_body"] is False


@pytest.mark.asyncio
async def test_watch_opened_after_the_stop_ends_with_what_is_there(widget_server, widgets):
    await widgets.create("a")
    widget_server.stop()

    watch = widgets.watch()
    await watch.message()
    events = await watch.events()
    await watch.ended()

    assert [event["type"] for event in events] == ["ADDED"]


@pytest.mark.asyncio
async def test_watch_ends_when_its_definition_is_deleted(widget_server, widgets):
    watch = widgets.watch()
    await watch.message()
    await widgets.create("a")
    await watch.events()

    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.com"
    definitions = type(widgets)(widget_server)
    definitions.path = path
    await definitions.request("DELETE")

    assert [event["type"] for event in await watch.events()] == ["DELETED"]
    await watch.ended()


@pytest.mark.asyncio
async def test_watch_that_fell_behind_receives_an_expired_error(crd, widgets_of):
    widgets = widgets_of(create_apiserver(crds=[crd], history=2))
    watch = widgets.watch()
    await watch.message()
    watch.may_send.clear()
    await widgets.create("a")
    for number in range(10):
        await widgets.create(f"b{number}")

    watch.may_send.set()
    events = [*await watch.events(), *await watch.events()]
    await watch.ended()

    assert events[0]["type"] == "ADDED"
    assert (events[-1]["object"]["code"], events[-1]["object"]["reason"]) == (410, "Expired")


@pytest.mark.asyncio
async def test_history_bounds_how_far_back_a_watch_can_start(crd, widgets_of):
    widgets = widgets_of(create_apiserver(crds=[crd], history=2))
    created = [await widgets.create(f"a{number}") for number in range(10)]
    old, recent = (item["metadata"]["resourceVersion"] for item in (created[0], created[-2]))

    expired, replayed = widgets.watch(f"resourceVersion={old}"), widgets.watch(f"resourceVersion={recent}")
    for watch in (expired, replayed):
        await watch.message()
    events = [(await watch.events())[0]["type"] for watch in (expired, replayed)]
    replayed.disconnect()

    assert events == ["ERROR", "ADDED"]
    await expired.ended()
    await replayed.ended()


@pytest.mark.asyncio
async def test_bookmark_at_the_end_carries_the_newest_revision(widgets):
    created = await widgets.create("a")
    selected_by_none = f"resourceVersion={created['metadata']['resourceVersion']}&labelSelector=k"
    await widgets.create("b")
    newest = (await widgets.request("GET"))[2]["metadata"]["resourceVersion"]

    watch = widgets.watch(f"{selected_by_none}&allowWatchBookmarks=true&timeoutSeconds=1")
    await watch.message()
    (bookmark,) = await watch.events()
    await watch.ended()

    assert bookmark["type"] == "BOOKMARK"
    assert bookmark["object"]["metadata"]["resourceVersion"] == newest
    assert (bookmark["object"]["kind"], bookmark["object"]["apiVersion"]) == ("Widget", "example.com/v1")


@pytest.mark.asyncio
async def test_page_of_a_forgotten_revision_is_gone(crd, widgets_of):
    widgets = widgets_of(create_apiserver(crds=[crd], history=2))
    for number in range(3):
        await widgets.create(f"a{number}")
    token = (await widgets.request("GET", query="limit=1"))[2]["metadata"]["continue"]
    for number in range(10):
        await widgets.create(f"b{number}")

    status, _, body = await widgets.request("GET", query=f"limit=1&continue={token}")

    assert (status, body["reason"]) == (410, "Expired")

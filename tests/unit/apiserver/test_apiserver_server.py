import pytest

from signal_gateway.apiserver import create_apiserver
from signal_gateway.errors import ApiServerError


@pytest.mark.asyncio
async def test_two_clusters_share_nothing(crd, widgets_of):
    first, second = (widgets_of(create_apiserver(crds=[crd])) for _ in range(2))
    await first.create("a")

    assert (await second.request("GET"))[2]["items"] == []


@pytest.mark.asyncio
async def test_fresh_cluster_has_its_namespaces(widgets):
    widgets.path = "/api/v1/namespaces"

    listed = (await widgets.request("GET"))[2]

    assert [item["metadata"]["name"] for item in listed["items"]] == ["default", "kube-system", "kubernaut-system"]


def test_rejected_definition_is_an_error_at_once(crd):
    crd["spec"]["scope"] = "Nowhere"

    with pytest.raises(ApiServerError, match=r"spec\.scope"):
        create_apiserver(crds=[crd])


def test_rule_that_cannot_be_enforced_is_rejected_rather_than_ignored(crd):
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"]["spec"]["x-kubernetes-validations"] = [{"rule": "isURL(self.link)"}]

    with pytest.raises(ApiServerError, match="the function isURL in the validation rule"):
        create_apiserver(crds=[crd])


@pytest.mark.parametrize(
    "change",
    [
        {"names": []},
        {"versions": "v1"},
        {"versions": [{"name": 1}]},
        {
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"properties": []}}}
            ]
        },
    ],
)
def test_malformed_definition_is_rejected_without_a_server_error(crd, change):
    crd["spec"] |= change

    with pytest.raises(ApiServerError) as caught:
        create_apiserver(crds=[crd])

    assert caught.value.__cause__ is not None


def test_definition_passed_in_is_not_changed(crd):
    before = repr(crd)

    create_apiserver(crds=[crd])

    assert repr(crd) == before


@pytest.mark.asyncio
async def test_time_comes_from_the_clock(widgets, clock):
    clock.advance(90)

    created = await widgets.create("a")

    assert created["metadata"]["creationTimestamp"] == "2026-01-01T00:01:30Z"


@pytest.mark.asyncio
async def test_unsupported_patch_format_is_not_implemented(widget_server):
    headers = [(b"content-type", b"application/apply-patch+yaml")]
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"{}"}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "PATCH", "path": "/api/v1/namespaces/default", "query_string": b""}
    await widget_server.app(scope | {"headers": headers}, receive, send)

    assert sent[0]["status"] == 501


@pytest.mark.asyncio
async def test_body_that_is_too_large_is_rejected(widgets):
    status, _, body = await widgets.request("POST", body={"spec": "x" * (3 * 1024 * 1024)})

    assert (status, body["reason"]) == (413, "RequestEntityTooLarge")


@pytest.mark.asyncio
async def test_half_a_body_deletes_nothing(widget_server, widgets):
    await widgets.create("a")
    messages = [
        {"type": "http.request", "body": b'{"preconditions":', "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive():
        return messages.pop(0)

    async def send(message):
        pass

    scope = {"type": "http", "method": "DELETE", "path": f"{widgets.path}/a", "query_string": b"", "headers": []}
    await widget_server.app(scope, receive, send)

    assert (await widgets.request("GET", "a"))[0] == 200


@pytest.mark.asyncio
async def test_namespace_is_gone_with_its_content(widget_server, widgets):
    namespaces = type(widgets)(widget_server)
    namespaces.path = "/api/v1/namespaces"
    await namespaces.request("POST", body={"metadata": {"name": "n"}})
    widgets.path = widgets.path.replace("default", "n")
    await widgets.create("a")

    status, _, marked = await namespaces.request("DELETE", "n")

    assert (status, marked["status"]["phase"]) == (200, "Terminating")
    assert (await namespaces.request("GET", "n"))[0] == 404
    assert (await widgets.request("GET", "a"))[0] == 404


@pytest.mark.asyncio
async def test_namespace_waits_for_finalizers_in_it(widget_server, widgets):
    namespaces = type(widgets)(widget_server)
    namespaces.path = "/api/v1/namespaces"
    await namespaces.request("POST", body={"metadata": {"name": "n"}})
    widgets.path = widgets.path.replace("default", "n")
    await widgets.create("a")
    await widgets.request("PATCH", "a", {"metadata": {"finalizers": ["example.com/hold"]}})

    await namespaces.request("DELETE", "n")
    before = (await namespaces.request("GET", "n"))[0]
    await widgets.request("PATCH", "a", {"metadata": {"finalizers": None}})
    after = (await namespaces.request("GET", "n"))[0]

    assert (before, after) == (200, 404)

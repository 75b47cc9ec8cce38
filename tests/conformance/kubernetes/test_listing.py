import pytest


@pytest.fixture
def widgets(api):
    api.create("a", metadata={"labels": {"k": "1"}})
    api.create("b", metadata={"labels": {"k": "2", "only": "b"}})
    api.create("c", metadata={"labels": {"k": "3", "only": "c"}})
    api.create("d")


@pytest.mark.usefixtures("widgets")
def test_list_has_kind_version_and_items(api):
    listed = api.get(api.collection).json()

    assert (listed["kind"], listed["apiVersion"]) == ("WidgetList", "conformance.example.com/v1")
    assert listed["items"][0] == api.read("a")
    newest = max(int(item["metadata"]["resourceVersion"]) for item in listed["items"])
    assert int(listed["metadata"]["resourceVersion"]) >= newest


def test_list_of_an_empty_or_unknown_namespace_is_empty(api):
    assert api.names() == []
    assert api.names(api.collection.replace(api.namespace, "nowhere")) == []


@pytest.mark.usefixtures("widgets")
def test_list_across_namespaces_has_them_all(api):
    listed = api.get(api.everywhere, fieldSelector=f"metadata.namespace={api.namespace}").json()

    assert {item["metadata"]["name"] for item in listed["items"]} == {"a", "b", "c", "d"}
    assert len(api.names(api.everywhere)) >= 4


@pytest.mark.usefixtures("widgets")
@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("k=1", "a"),
        ("k==2", "b"),
        ("k!=1", "bcd"),
        ("k in (1,2)", "ab"),
        ("k in (1, 3),only", "c"),
        ("k notin (1,2)", "cd"),
        ("only", "bc"),
        ("!only", "ad"),
        ("k=1,k=2", ""),
        ("k>1", "bc"),
        ("k<2", "a"),
        ("k=", ""),
        (" k = 1 ", "a"),
        ("", "abcd"),
    ],
)
def test_label_selector_narrows_the_list(api, selector, names):
    assert api.names(labelSelector=selector) == list(names)


@pytest.mark.parametrize("selector", ["a b", "k=a b", "k in (1", "=", "k=1,", "k=1,,k=2"])
def test_malformed_label_selector_is_a_bad_request(api, failure, selector):
    assert failure(api.get(api.collection, labelSelector=selector))[:2] == (400, "BadRequest")


@pytest.mark.usefixtures("widgets")
@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("metadata.name=b", "b"),
        ("metadata.name==b", "b"),
        ("metadata.name!=b", "acd"),
        ("metadata.name=a,metadata.name=b", ""),
        ("metadata.namespace=other", ""),
    ],
)
def test_field_selector_narrows_the_list(api, selector, names):
    assert api.names(fieldSelector=selector) == list(names)


def test_field_that_can_not_be_selected_by_is_a_bad_request(api, failure):
    message = "field label not supported: spec.size"

    assert failure(api.get(api.collection, fieldSelector="spec.size=1")) == (400, "BadRequest", message)


def test_malformed_field_selector_is_a_bad_request(api, failure):
    message = "invalid selector: 'metadata.name'; can't understand 'metadata.name'"

    assert failure(api.get(api.collection, fieldSelector="metadata.name")) == (400, "BadRequest", message)


@pytest.mark.feature("selectable fields")
def test_selectable_field_narrows_the_list(api):
    gadgets = api.collection.replace("widgets", "gadgets")
    for name, color in (("x", "red"), ("y", "green")):
        gadget = {"apiVersion": "conformance.example.com/v1", "kind": "Gadget", "metadata": {"name": name}}
        api.post(gadget | {"spec": {"serial": "1", "color": color}}, gadgets)

    assert api.names(gadgets, fieldSelector="spec.color=green") == ["y"]
    assert api.names(gadgets, fieldSelector="spec.color!=green") == ["x"]


@pytest.mark.usefixtures("widgets")
def test_pages_are_of_one_revision(api):
    first = api.get(api.collection, limit=2).json()
    api.delete("c")
    api.create("e")

    rest = api.get(api.collection, limit=5, **{"continue": first["metadata"]["continue"]}).json()

    assert [item["metadata"]["name"] for item in first["items"]] == ["a", "b"]
    assert first["metadata"]["remainingItemCount"] == 2
    assert [item["metadata"]["name"] for item in rest["items"]] == ["c", "d"]
    assert rest["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert not rest["metadata"].get("continue")


@pytest.mark.usefixtures("widgets")
def test_pages_of_a_selection_do_not_count_the_rest(api):
    first = api.get(api.collection, limit=1, labelSelector="only").json()

    assert first["metadata"]["continue"]
    assert "remainingItemCount" not in first["metadata"]


def test_malformed_paging_is_a_bad_request(api, failure):
    assert failure(api.get(api.collection, **{"continue": "bogus"}))[:2] == (400, "BadRequest")
    assert failure(api.get(api.collection, limit="many"))[:2] == (400, "BadRequest")


@pytest.mark.usefixtures("widgets")
def test_list_of_a_past_revision_is_exact(api):
    then = api.revision()
    api.delete("a")
    api.patch("b", {"spec": {"size": 9}})

    listed = api.get(api.collection, resourceVersion=then, resourceVersionMatch="Exact").json()

    assert [(item["metadata"]["name"], item["spec"]["size"]) for item in listed["items"]] == [
        ("a", 1),
        ("b", 1),
        ("c", 1),
        ("d", 1),
    ]
    assert listed["metadata"]["resourceVersion"] == then


def test_resource_version_to_come_is_a_timeout(api, failure):
    future = int(api.revision()) + 1_000_000

    code, reason, message = failure(api.get(api.collection, resourceVersion=future))

    assert (code, reason) == (504, "Timeout")
    assert message.startswith(f"Timeout: Too large resource version: {future}, current: ")


def test_match_needs_a_resource_version(api, failure):
    assert failure(api.get(api.collection, resourceVersionMatch="Exact"))[:2] == (422, "Invalid")


def test_only_json_is_offered(api):
    response = api.http.get(api.collection, headers={"accept": "text/html"})

    assert response.status_code == 406
    assert response.json()["reason"] == "NotAcceptable"

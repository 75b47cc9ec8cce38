"""The client that the gateway uses, unchanged."""

import pytest
from lightkube import ApiError
from lightkube.generic_resource import create_namespaced_resource
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Namespace
from lightkube.types import PatchType

Widget = create_namespaced_resource("conformance.example.com", "v1", "Widget", "widgets")


def widget(name, **metadata):
    return Widget(metadata=ObjectMeta(name=name, **metadata), spec={"size": 1, "color": "red"})


def test_object_is_created_read_replaced_and_deleted(lightkube):
    created = lightkube.create(widget("a"))
    created.spec["size"] = 2
    lightkube.replace(created)
    read = lightkube.get(Widget, "a")
    lightkube.delete(Widget, "a")

    assert read.spec["size"] == 2
    with pytest.raises(ApiError) as caught:
        lightkube.get(Widget, "a")
    assert (caught.value.status.code, caught.value.status.reason) == (404, "NotFound")


def test_error_is_an_api_error_with_its_causes(lightkube):
    broken = widget("a")
    broken.spec["size"] = 99

    with pytest.raises(ApiError) as caught:
        lightkube.create(broken)

    assert caught.value.status.reason == "Invalid"
    assert caught.value.status.details.causes[0].field == "spec.size"


def test_status_is_patched_on_its_subresource(lightkube):
    lightkube.create(widget("a"))

    patched = lightkube.patch(Widget.Status, "a", {"status": {"phase": "Done"}}, patch_type=PatchType.MERGE)

    assert patched.status == {"phase": "Done"}


def test_selectors_and_pages_go_through(lightkube):
    for name in ("a", "b", "c"):
        lightkube.create(widget(name, labels={"name": name}))

    selected = [item.metadata.name for item in lightkube.list(Widget, labels={"name": ["a", "c"]})]
    paged = [item.metadata.name for item in lightkube.list(Widget, chunk_size=1)]

    assert selected == ["a", "c"]
    assert paged == ["a", "b", "c"]


def test_watch_goes_on_from_a_list(lightkube):
    lightkube.create(widget("a"))
    listed = lightkube.list(Widget)
    names = [item.metadata.name for item in listed]
    lightkube.create(widget("b"))

    kind, item = next(lightkube.watch(Widget, resource_version=listed.resourceVersion, server_timeout=5))

    assert names == ["a"]
    assert (kind, item.metadata.name) == ("ADDED", "b")


def test_namespace_is_a_typed_object(lightkube, api):
    namespace = lightkube.get(Namespace, api.namespace)

    assert namespace.status.phase == "Active"
    assert namespace.metadata.creationTimestamp.tzinfo is not None

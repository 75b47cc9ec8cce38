import pytest

GROUP = "conformance.example.com"


def test_version_is_told(api):
    version = api.get("/version").json()

    assert version["major"] == "1"
    assert version["gitVersion"].startswith(f"v1.{version['minor'].rstrip('+')}")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/livez"])
def test_server_is_healthy(api, path):
    response = api.get(path)

    assert (response.status_code, response.text) == (200, "ok")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


def test_core_has_one_version(api):
    assert api.get("/api").json()["versions"] == ["v1"]


def test_groups_are_listed(api):
    groups = {group["name"]: group for group in api.get("/apis").json()["groups"]}

    version = {"groupVersion": f"{GROUP}/v1", "version": "v1"}
    assert groups[GROUP] == {"name": GROUP, "versions": [version], "preferredVersion": version}
    assert "apiextensions.k8s.io" in groups


def test_one_group_is_described(api):
    group = api.get(f"/apis/{GROUP}").json()

    assert (group["kind"], group["name"]) == ("APIGroup", GROUP)
    assert group["preferredVersion"]["version"] == "v1"


def test_resources_of_a_version_are_listed(api):
    listed = api.get(f"/apis/{GROUP}/v1").json()

    resources = {resource["name"]: resource for resource in listed["resources"]}
    widgets = resources["widgets"]
    assert (listed["kind"], listed["groupVersion"]) == ("APIResourceList", f"{GROUP}/v1")
    assert (widgets["kind"], widgets["namespaced"], widgets["singularName"]) == ("Widget", True, "widget")
    assert widgets["shortNames"] == ["wi"]
    assert set(widgets["verbs"]) == {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
    assert set(resources["widgets/status"]["verbs"]) == {"get", "patch", "update"}


def test_core_resources_are_listed(api):
    resources = {resource["name"]: resource for resource in api.get("/api/v1").json()["resources"]}

    assert resources["namespaces"]["namespaced"] is False
    assert set(resources["namespaces"]["verbs"]) == {"create", "delete", "get", "list", "patch", "update", "watch"}


@pytest.mark.parametrize(
    "path",
    [
        "/apis/nobody.example.com",
        "/apis/nobody.example.com/v1/widgets",
        f"/apis/{GROUP}/v9",
        f"/apis/{GROUP}/v9/widgets",
        f"/apis/{GROUP}/v1/nothings",
    ],
)
def test_unknown_group_version_or_resource_is_not_found(api, path):
    response = api.get(path)

    assert (response.status_code, response.text) == (404, "404 page not found\n")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


def test_unknown_core_resource_is_not_found(api, failure):
    message = "the server could not find the requested resource"

    assert failure(api.get("/api/v1/nothings")) == (404, "NotFound", message)


def test_discovery_is_read_only(api, failure):
    assert failure(api.http.post("/version", json={}))[:2] == (405, "MethodNotAllowed")

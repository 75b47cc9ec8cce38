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
    assert version in groups[GROUP]["versions"]  # definitions of other tests may add versions to the group
    assert groups[GROUP]["preferredVersion"] == version
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


KINDS = {
    "/api/v1": {
        "namespaces": ("Namespace", False, ["ns"], None),
        "pods": ("Pod", True, ["po"], ["all"]),
        "nodes": ("Node", False, ["no"], None),
        "services": ("Service", True, ["svc"], ["all"]),
        "configmaps": ("ConfigMap", True, ["cm"], None),
        "secrets": ("Secret", True, None, None),
        "events": ("Event", True, ["ev"], None),
        "serviceaccounts": ("ServiceAccount", True, ["sa"], None),
        "persistentvolumeclaims": ("PersistentVolumeClaim", True, ["pvc"], None),
        "persistentvolumes": ("PersistentVolume", False, ["pv"], None),
        "endpoints": ("Endpoints", True, ["ep"], None),
        "replicationcontrollers": ("ReplicationController", True, ["rc"], ["all"]),
    },
    "/apis/apps/v1": {
        "deployments": ("Deployment", True, ["deploy"], ["all"]),
        "replicasets": ("ReplicaSet", True, ["rs"], ["all"]),
        "statefulsets": ("StatefulSet", True, ["sts"], ["all"]),
        "daemonsets": ("DaemonSet", True, ["ds"], ["all"]),
    },
    "/apis/batch/v1": {"jobs": ("Job", True, None, ["all"])},
    "/apis/coordination.k8s.io/v1": {"leases": ("Lease", True, None, None)},
    "/apis/autoscaling/v1": {"horizontalpodautoscalers": ("HorizontalPodAutoscaler", True, ["hpa"], ["all"])},
    "/apis/rbac.authorization.k8s.io/v1": {
        "roles": ("Role", True, None, None),
        "rolebindings": ("RoleBinding", True, None, None),
        "clusterroles": ("ClusterRole", False, None, None),
        "clusterrolebindings": ("ClusterRoleBinding", False, None, None),
    },
    "/apis/networking.k8s.io/v1": {
        "networkpolicies": ("NetworkPolicy", True, ["netpol"], None),
        "ingresses": ("Ingress", True, ["ing"], None),
    },
    "/apis/events.k8s.io/v1": {"events": ("Event", True, ["ev"], None)},
    "/apis/authentication.k8s.io/v1": {"tokenreviews": ("TokenReview", False, None, None)},
    "/apis/authorization.k8s.io/v1": {
        "subjectaccessreviews": ("SubjectAccessReview", False, None, None),
        "selfsubjectaccessreviews": ("SelfSubjectAccessReview", False, None, None),
        "localsubjectaccessreviews": ("LocalSubjectAccessReview", True, None, None),
    },
}


def resources_at(api, path):
    return {resource["name"]: resource for resource in api.get(path).json()["resources"]}


@pytest.mark.parametrize("path", KINDS)
def test_kinds_are_described(api, path):
    resources = resources_at(api, path)

    for name, described in KINDS[path].items():
        resource = resources[name]
        shown = (resource["kind"], resource["namespaced"], resource.get("shortNames"), resource.get("categories"))
        assert shown == described


@pytest.mark.feature("singular names")
def test_kinds_have_singular_names(api):
    assert resources_at(api, "/apis/apps/v1")["statefulsets"]["singularName"] == "statefulset"


def test_subresources_are_described(api):
    core, apps = resources_at(api, "/api/v1"), resources_at(api, "/apis/apps/v1")

    assert set(apps["deployments/status"]["verbs"]) == {"get", "patch", "update"}
    scale = apps["deployments/scale"]
    assert (scale["group"], scale["version"], scale["kind"]) == ("autoscaling", "v1", "Scale")
    assert (core["pods/eviction"]["group"], core["pods/eviction"]["kind"]) == ("policy", "Eviction")
    assert core["namespaces/finalize"]["verbs"] == ["update"]
    assert "daemonsets/scale" not in apps
    assert "secrets/status" not in core


def test_root_lists_the_paths(api):
    paths = api.get("/").json()["paths"]

    assert {"/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1", "/version", "/readyz"} <= set(paths)


def test_path_of_nothing_is_answered_with_the_paths(api):
    response = api.get("/nothing/here")

    assert response.status_code == 404
    assert "/apis" in response.json()["paths"]


@pytest.mark.parametrize("path", ["/api/v2", "/apis/apps/v2", "/apis/apps/v1/nothings", "/apis/apps/v2/deployments"])
def test_version_or_resource_that_a_built_in_group_lacks_is_not_found(api, failure, path):
    message = "the server could not find the requested resource"

    assert failure(api.get(path)) == (404, "NotFound", message)


def test_client_that_takes_no_json_is_refused(api):
    response = api.http.get("/apis", headers={"accept": "text/html"})

    assert (response.status_code, response.json()["reason"]) == (406, "NotAcceptable")


@pytest.mark.parametrize("path", ["/readyz", "/livez"])
def test_health_tells_its_checks(api, path):
    response = api.get(path, verbose="")

    assert response.status_code == 200
    assert response.text.startswith("[+]ping ok\n")
    assert response.text.rstrip().endswith("check passed")
    assert api.get(f"{path}/ping").text == "ok"
    assert api.get(f"{path}/nothing").status_code == 404


AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"


@pytest.mark.parametrize("path", ["/api", "/apis"])
def test_unknown_form_of_discovery_falls_back_to_the_plain_one(api, path):
    response = api.http.get(path, headers={"accept": f"{AGGREGATED.format('v9')},application/json"})

    assert response.status_code == 200
    assert response.json()["kind"] in ("APIVersions", "APIGroupList")


@pytest.mark.feature("aggregated discovery")
def test_aggregated_discovery_tells_everything_at_once(api):
    response = api.http.get("/apis", headers={"accept": f"{AGGREGATED.format('v2')},application/json"})

    groups = {group["metadata"]["name"]: group["versions"] for group in response.json()["items"]}
    deployments = next(resource for resource in groups["apps"][0]["resources"] if resource["resource"] == "deployments")
    assert response.headers["content-type"] == AGGREGATED.format("v2")
    assert (response.json()["kind"], response.json()["apiVersion"]) == (
        "APIGroupDiscoveryList",
        "apidiscovery.k8s.io/v2",
    )
    assert (deployments["scope"], deployments["singularResource"]) == ("Namespaced", "deployment")
    assert [subresource["subresource"] for subresource in deployments["subresources"]] == ["scale", "status"]
    assert groups[GROUP][0]["freshness"] == "Current"

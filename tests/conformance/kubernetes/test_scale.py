import pytest
from tests.conformance.kubernetes.kinds import WORKLOAD, collection, named

SCALABLE = ["deployments", "replicasets", "statefulsets"]


@pytest.fixture(params=SCALABLE)
def scaled(api, request):
    """A workload that wants three replicas; gives its path."""
    path = collection("apps/v1", request.param, api.namespace)
    response = api.post(named({"spec": {**WORKLOAD["spec"], "replicas": 3}}, "a"), path)
    assert response.status_code == 201
    return f"{path}/a"


@pytest.fixture
def deployment(api):
    path = collection("apps/v1", "deployments", api.namespace)
    assert api.post(named(WORKLOAD, "a"), path).status_code == 201
    return f"{path}/a"


def test_scale_shows_wanted_and_actual_replicas(api, scaled):
    object = api.get(scaled).json()

    scale = api.get(f"{scaled}/scale").json()

    assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert scale["spec"] == {"replicas": 3}
    assert scale["status"] == {"replicas": 0, "selector": "app=a"}
    shown = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    assert scale["metadata"] == {field: object["metadata"][field] for field in shown}


def test_updated_scale_changes_the_object(api, scaled):
    scale = api.get(f"{scaled}/scale").json()
    scale["spec"]["replicas"] = 7

    response = api.http.put(f"{scaled}/scale", json=scale)

    object = api.get(scaled).json()
    assert response.status_code == 200
    assert response.json()["spec"] == {"replicas": 7}
    assert response.json()["metadata"]["resourceVersion"] == object["metadata"]["resourceVersion"]
    assert object["spec"]["replicas"] == 7
    assert object["metadata"]["generation"] == 2


def test_stale_scale_is_a_conflict(api, failure, scaled):
    scale = api.get(f"{scaled}/scale").json()
    api.patch("", {"spec": {"replicas": 5}}, path=scaled)

    assert failure(api.http.put(f"{scaled}/scale", json=scale))[:2] == (409, "Conflict")


@pytest.mark.parametrize(
    ("type", "patch"),
    [("merge", {"spec": {"replicas": 4}}), ("json", [{"op": "replace", "path": "/spec/replicas", "value": 4}])],
)
def test_patched_scale_changes_the_object(api, deployment, type, patch):
    response = api.patch("", patch, type=type, path=f"{deployment}/scale")

    assert response.status_code == 200
    assert api.get(deployment).json()["spec"]["replicas"] == 4


def test_scale_can_be_tried(api, deployment):
    before = api.get(f"{deployment}/scale").json()
    wanted = before | {"spec": {"replicas": 9}}

    tried = api.http.put(f"{deployment}/scale", json=wanted, params={"dryRun": "All"})

    assert tried.json()["spec"] == {"replicas": 9}
    assert api.get(f"{deployment}/scale").json() == before


def test_scale_to_nothing_is_zero(api, deployment):
    scale = api.patch("", {"spec": {"replicas": None}}, path=f"{deployment}/scale").json()

    assert scale["spec"] == {}
    assert api.get(deployment).json()["spec"]["replicas"] == 0


def test_scale_can_not_be_negative(api, failure, deployment):
    message = 'Scale.autoscaling "a" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0'

    assert failure(api.patch("", {"spec": {"replicas": -1}}, path=f"{deployment}/scale")) == (422, "Invalid", message)


def test_scale_of_nothing_is_not_found(api, failure):
    path = collection("apps/v1", "deployments", api.namespace)

    assert failure(api.get(f"{path}/none/scale")) == (404, "NotFound", 'deployments/scale.apps "none" not found')


def test_scale_must_name_its_object(api, failure, deployment):
    unnamed = {"metadata": {"namespace": api.namespace}, "spec": {"replicas": 2}}
    other = {"metadata": {"name": "other", "namespace": api.namespace}, "spec": {"replicas": 2}}

    assert failure(api.http.put(f"{deployment}/scale", json=unnamed))[:2] == (400, "BadRequest")
    assert failure(api.http.put(f"{deployment}/scale", json=other))[:2] == (400, "BadRequest")


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_scale_can_not_be_created_or_deleted(api, failure, deployment, method):
    assert failure(api.http.request(method, f"{deployment}/scale", json={}))[:2] == (405, "MethodNotAllowed")


def test_workload_that_does_not_count_replicas_has_no_scale(api, failure):
    path = collection("apps/v1", "daemonsets", api.namespace)
    api.post(named(WORKLOAD, "a"), path)

    assert failure(api.get(f"{path}/a/scale"))[:2] == (404, "NotFound")


def test_status_of_a_workload_can_not_count_more_ready_than_all(api, failure, deployment):
    wrong = api.patch("", {"status": {"replicas": 1, "readyReplicas": 2}}, path=f"{deployment}/status")
    right = api.patch("", {"status": {"replicas": 2, "readyReplicas": 2}}, path=f"{deployment}/status")

    assert failure(wrong)[:2] == (422, "Invalid")
    assert "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas" in wrong.json()["message"]
    assert right.json()["status"] == {"replicas": 2, "readyReplicas": 2}

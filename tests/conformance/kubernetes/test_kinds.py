import pytest
from tests.conformance.kubernetes.kinds import CLUSTERED, NAMESPACED, NEWER, collection, named

RETURNED_WHEN_DELETED = {"Pod", "ServiceAccount", "PersistentVolumeClaim", "PersistentVolume"}
WITH_GENERATION = {
    "ReplicationController",
    "DaemonSet",
    "Deployment",
    "ReplicaSet",
    "StatefulSet",
    "Ingress",
    "NetworkPolicy",
}

STATELESS = {
    "ConfigMap",
    "Endpoints",
    "Event",
    "Secret",
    "ServiceAccount",
    "Lease",
    "NetworkPolicy",
    "RoleBinding",
    "Role",
}
WITH_STATUS = [row for row in NAMESPACED if row[2] not in STATELESS]
SETTLED = [row for row in NAMESPACED if row[2] != "Job"]  # jobs have had a generation only since 1.22


def ids(rows):
    return [f"{group_version}-{plural}" for group_version, plural, *_ in rows]


def write_and_read(api, row, namespace):
    """Create, read, list, label, put back and delete an object of a kind."""
    group_version, plural, kind, fields = row
    path = collection(group_version, plural, namespace)
    name = f"{api.namespace}-one"

    created = api.post(named(fields, name, namespace), path)
    read = api.get(f"{path}/{name}")
    listed = api.get(path, fieldSelector=f"metadata.name={name}").json()
    labelled = api.patch(name, {"metadata": {"labels": {"a": "b"}}}, path=f"{path}/{name}")
    unchanged = api.patch(name, {"metadata": {"labels": {"a": "b"}}}, path=f"{path}/{name}")
    put_back = api.http.put(f"{path}/{name}", json=labelled.json())
    api.patch(name, {"metadata": {"finalizers": None}}, path=f"{path}/{name}")
    deleted = api.delete("", {"propagationPolicy": "Background"}, path=f"{path}/{name}")

    assert created.status_code == 201, created.text
    assert (created.json()["apiVersion"], created.json()["kind"]) == (group_version, kind)
    assert read.json() == created.json()
    assert listed["kind"] == f"{kind}List"
    assert [item["metadata"]["name"] for item in listed["items"]] == [name]
    assert labelled.json()["metadata"]["labels"]["a"] == "b"
    assert unchanged.json() == put_back.json() == labelled.json()
    assert deleted.status_code == 200
    if kind != "Service":  # returned since 1.23
        assert deleted.json()["kind"] == (kind if kind in RETURNED_WHEN_DELETED else "Status")
    assert api.get(f"{path}/{name}").status_code == 404
    return created.json()


@pytest.mark.parametrize("row", NAMESPACED, ids=ids(NAMESPACED))
def test_namespaced_kind_can_be_written_and_read(api, row):
    created = write_and_read(api, row, api.namespace)

    assert created["metadata"]["namespace"] == api.namespace


@pytest.mark.parametrize("row", CLUSTERED, ids=ids(CLUSTERED))
def test_cluster_scoped_kind_can_be_written_and_read(api, row):
    created = write_and_read(api, row, "")

    assert "namespace" not in created["metadata"]


@pytest.mark.feature("batch v1 cronjob")
def test_cron_job_can_be_written_and_read(api):
    spec = write_and_read(api, NEWER["batch v1 cronjob"], api.namespace)["spec"]

    assert (spec["concurrencyPolicy"], spec["suspend"]) == ("Allow", False)
    assert (spec["successfulJobsHistoryLimit"], spec["failedJobsHistoryLimit"]) == (3, 1)


@pytest.mark.feature("policy v1")
def test_disruption_budget_can_be_written_and_read(api):
    created = write_and_read(api, NEWER["policy v1"], api.namespace)

    assert created["metadata"]["generation"] == 1
    assert created["status"]["disruptionsAllowed"] == 0


@pytest.mark.feature("autoscaling v2")
def test_autoscaler_of_version_2_can_be_written_and_read(api):
    created = write_and_read(api, NEWER["autoscaling v2"], api.namespace)

    assert created["spec"]["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 80}


@pytest.mark.feature("autoscaling v2")
def test_autoscaler_is_the_same_object_in_both_versions(api):
    row = NEWER["autoscaling v2"]
    target = {"type": "AverageValue", "averageValue": "1Gi"}
    fields = {
        "spec": row[3]["spec"] | {"metrics": [{"type": "Resource", "resource": {"name": "memory", "target": target}}]}
    }
    old, new = (collection(f"autoscaling/{version}", row[1], api.namespace) for version in ("v1", "v2"))
    created = api.post(named(fields, "a"), new).json()

    seen = api.get(f"{old}/a").json()
    api.patch("a", {"spec": {"targetCPUUtilizationPercentage": 70}}, path=f"{old}/a")

    metrics = api.get(f"{new}/a").json()["spec"]["metrics"]
    assert seen["metadata"]["uid"] == created["metadata"]["uid"]
    assert "autoscaling.alpha.kubernetes.io/metrics" in seen["metadata"]["annotations"]
    assert [metric["resource"]["name"] for metric in metrics] == ["cpu", "memory"]
    assert metrics[1]["resource"]["target"] == target


@pytest.mark.feature("autoscaling v2")
def test_write_in_an_old_version_loses_nothing_of_the_new_one(api):
    row = NEWER["autoscaling v2"]
    old, new = (collection(f"autoscaling/{version}", row[1], api.namespace) for version in ("v1", "v2"))
    api.post(named(row[3], "a"), new)
    condition = {"type": "AbleToScale", "status": "True", "lastTransitionTime": "2024-01-01T00:00:00Z"}
    cpu = {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 10}}}
    status = {"currentReplicas": 2, "desiredReplicas": 3, "conditions": [condition], "currentMetrics": [cpu]}
    written = api.patch("a", {"status": status}, path=f"{new}/a/status").json()["status"]

    in_v1 = api.get(f"{old}/a").json()
    api.http.put(f"{old}/a", json=in_v1 | {"spec": in_v1["spec"] | {"maxReplicas": 9}})

    assert in_v1["status"]["currentCPUUtilizationPercentage"] == 10
    assert api.get(f"{new}/a").json()["status"] == written


@pytest.mark.parametrize("row", SETTLED, ids=ids(SETTLED))
def test_generation_is_counted_where_a_kind_has_it(api, row):
    group_version, plural, kind, fields = row
    created = api.post(named(fields, "a", api.namespace), collection(group_version, plural, api.namespace)).json()

    assert created["metadata"].get("generation") == (1 if kind in WITH_GENERATION else None)


@pytest.mark.parametrize("row", NAMESPACED, ids=ids(NAMESPACED))
def test_field_of_the_wrong_type_is_a_bad_request(api, failure, row):
    group_version, plural, kind, fields = row
    field = next(iter(fields), "secrets")

    response = api.post(
        named(fields, "a", api.namespace) | {field: 5}, collection(group_version, plural, api.namespace)
    )

    code, reason, message = failure(response)
    version = group_version.rpartition("/")[2]
    assert (code, reason) == (400, "BadRequest")
    assert message.startswith(f'{kind} in version "{version}" cannot be handled as a {kind}: ')


@pytest.mark.parametrize("row", WITH_STATUS, ids=ids(WITH_STATUS))
def test_status_that_is_sent_with_a_new_object_is_read_and_dropped(api, failure, row):
    group_version, plural, _, fields = row
    path = collection(group_version, plural, api.namespace)

    wrong = api.post(named(fields, "a", api.namespace) | {"status": 5}, path)
    plain = api.post(named(fields, "a", api.namespace), path).json()
    with_status = api.post(named(fields, "b", api.namespace) | {"status": {"conditions": []}}, path).json()

    assert failure(wrong)[:2] == (400, "BadRequest")
    assert with_status["status"] == plain["status"]


@pytest.mark.parametrize("row", NAMESPACED, ids=ids(NAMESPACED))
def test_unknown_field_is_dropped(api, row):
    group_version, plural, _, fields = row
    path = collection(group_version, plural, api.namespace)

    created = api.post(named(fields, "a", api.namespace) | {"unknown": 1}, path)

    assert created.status_code == 201
    assert "unknown" not in created.json()


@pytest.mark.feature("field validation")
def test_unknown_field_is_refused_when_validation_is_strict(api, failure):
    pod = {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "i", "color": "red"}]}}

    response = api.post(pod, collection("v1", "pods", api.namespace), fieldValidation="Strict")

    assert failure(response)[:2] == (400, "BadRequest")
    assert response.json()["message"].endswith('strict decoding error: unknown field "spec.containers[0].color"')


def test_null_and_empty_fields_are_not_kept(api):
    spec = {"containers": [{"name": "c", "image": "i"}], "nodeSelector": {}, "nodeName": "", "hostNetwork": False}

    created = api.post(
        {"metadata": {"name": "a"}, "spec": spec | {"affinity": None}}, collection("v1", "pods", api.namespace)
    )

    assert not {"nodeSelector", "nodeName", "hostNetwork", "affinity"} & created.json()["spec"].keys()

from copy import deepcopy

import pytest
from tests.conformance.kubernetes.kinds import PODS, RUNS_ONCE, TEMPLATE, WORKLOAD, collection, named

WORKLOADS = ["deployments", "replicasets", "statefulsets", "daemonsets"]


def workload(**spec):
    return named({"spec": {**deepcopy(WORKLOAD["spec"]), **spec}}, "a")


def causes(response):
    return {cause["field"]: cause["message"] for cause in response.json()["details"]["causes"]}


@pytest.fixture
def deployments(api):
    return collection("apps/v1", "deployments", api.namespace)


def test_deployment_gets_its_defaults(api, deployments):
    created = api.post(workload(), deployments).json()

    spec = created["spec"]
    assert (spec["replicas"], spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (1, 10, 600)
    rolling = {"maxUnavailable": "25%", "maxSurge": "25%"}
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": rolling}
    assert spec["template"]["spec"]["restartPolicy"] == "Always"
    assert created["status"] == {}


def test_other_workloads_get_their_defaults(api):
    stateful = api.post(workload(), collection("apps/v1", "statefulsets", api.namespace)).json()
    daemon = api.post(workload(), collection("apps/v1", "daemonsets", api.namespace)).json()
    replicas = api.post(workload(), collection("apps/v1", "replicasets", api.namespace)).json()

    assert stateful["spec"]["podManagementPolicy"] == "OrderedReady"
    assert stateful["spec"]["updateStrategy"] == {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}
    assert daemon["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"] == 1
    assert daemon["metadata"]["annotations"] == {"deprecated.daemonset.template.generation": "1"}
    assert (replicas["spec"]["replicas"], replicas["status"]) == (1, {"replicas": 0})


def test_replication_controller_takes_selector_and_labels_from_its_template(api):
    path = collection("v1", "replicationcontrollers", api.namespace)

    created = api.post(named({"spec": {"template": TEMPLATE}}, "a"), path).json()

    assert created["spec"]["selector"] == {"app": "a"}
    assert created["metadata"]["labels"] == {"app": "a"}


@pytest.mark.parametrize("plural", WORKLOADS)
def test_selector_must_match_the_template(api, failure, plural):
    template = {"metadata": {"labels": {"app": "b"}}, "spec": PODS}

    response = api.post(workload(template=template), collection("apps/v1", plural, api.namespace))

    assert failure(response)[:2] == (422, "Invalid")
    message = 'Invalid value: map[string]string{"app":"b"}: `selector` does not match template `labels`'
    assert causes(response) == {"spec.template.metadata.labels": message}


@pytest.mark.parametrize("plural", WORKLOADS[:2])
def test_workload_needs_selector_and_containers(api, failure, plural):
    response = api.post(named({"spec": {}}, "a"), collection("apps/v1", plural, api.namespace))

    assert failure(response)[:2] == (422, "Invalid")
    found = causes(response)
    assert found["spec.selector"] == "Required value"
    assert found["spec.template.spec.containers"] == "Required value"


def test_empty_selector_is_refused(api, failure, deployments):
    response = api.post(workload(selector={}), deployments)

    assert failure(response)[:2] == (422, "Invalid")
    assert causes(response)["spec.selector"].endswith("empty selector is invalid for deployment")


@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
        ({"replicas": -1}, "spec.replicas", "Invalid value: -1: must be greater than or equal to 0"),
        (
            {"strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}},
            "spec.strategy.rollingUpdate",
            "Forbidden: may not be specified when strategy `type` is 'Recreate'",
        ),
        (
            {"template": TEMPLATE | {"spec": RUNS_ONCE}},
            "spec.template.spec.restartPolicy",
            'Unsupported value: "Never": supported values: "Always"',
        ),
    ],
)
def test_invalid_deployment_is_refused_with_its_cause(api, failure, deployments, spec, field, message):
    response = api.post(workload(**spec), deployments)

    assert failure(response)[:2] == (422, "Invalid")
    assert causes(response) == {field: message}


@pytest.mark.parametrize("plural", ["deployments", "replicasets", "daemonsets"])
def test_selector_can_not_be_changed(api, failure, plural):
    path = collection("apps/v1", plural, api.namespace)
    api.post(workload(), path)
    labels = {"app": "b"}
    changed = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}}}

    response = api.patch("a", {"spec": changed}, path=f"{path}/a")

    assert failure(response)[:2] == (422, "Invalid")
    assert causes(response)["spec.selector"].endswith("field is immutable")


def test_stateful_set_can_change_little(api, failure):
    path = collection("apps/v1", "statefulsets", api.namespace)
    api.post(workload(serviceName="s"), path)

    replicas = api.patch("a", {"spec": {"replicas": 3}}, path=f"{path}/a")
    service = api.patch("a", {"spec": {"serviceName": "other"}}, path=f"{path}/a")

    assert replicas.json()["metadata"]["generation"] == 2
    assert failure(service)[:2] == (422, "Invalid")
    assert causes(service)["spec"].startswith("Forbidden: updates to statefulset spec for fields other than 'replicas'")


def test_stateful_set_mounts_what_it_claims(api):
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    pods = deepcopy(PODS)
    pods["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    path = collection("apps/v1", "statefulsets", api.namespace)

    created = api.post(workload(template=TEMPLATE | {"spec": pods}, volumeClaimTemplates=[claim]), path)

    assert created.status_code == 201
    assert created.json()["spec"]["volumeClaimTemplates"][0]["metadata"]["name"] == "data"


@pytest.mark.parametrize(
    ("pods", "wrong"),
    [
        ({"containers": [{"name": "main", "volumeMounts": [{"name": "none", "mountPath": "/x"}]}]}, {}),
        (RUNS_ONCE, {"spec.template.spec.restartPolicy": 'Unsupported value: "Never": supported values: "Always"'}),
    ],
    ids=["containers", "restartPolicy"],
)
def test_of_a_stateful_sets_pods_only_the_restart_policy_is_checked(api, pods, wrong):
    path = collection("apps/v1", "statefulsets", api.namespace)

    response = api.post(workload(template=TEMPLATE | {"spec": pods}), path)

    assert response.status_code == (422 if wrong else 201)
    assert not wrong or causes(response) == wrong


def test_generation_is_that_of_the_spec(api, deployments):
    api.post(workload(), deployments)

    status = api.patch("a", {"status": {"replicas": 1}}, path=f"{deployments}/a/status").json()
    labels = api.patch("a", {"metadata": {"labels": {"x": "y"}}}, path=f"{deployments}/a").json()
    spec = api.patch("a", {"spec": {"paused": True}}, path=f"{deployments}/a").json()

    generations = [object["metadata"]["generation"] for object in (status, labels, spec)]
    assert generations == [1, 1, 2]


def test_job_gets_its_defaults_and_selects_its_own_pods(api):
    path = collection("batch/v1", "jobs", api.namespace)

    job = api.post(named({"spec": {"template": {"spec": RUNS_ONCE}}}, "a"), path).json()

    spec = job["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert (spec["parallelism"], spec["completions"], spec["backoffLimit"]) == (1, 1, 6)
    assert (labels["controller-uid"], labels["job-name"]) == (job["metadata"]["uid"], "a")
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    assert job["metadata"]["labels"] == labels


@pytest.mark.parametrize("policy", [{}, {"restartPolicy": "Always"}])
def test_job_must_end(api, failure, policy):
    response = api.post(
        named({"spec": {"template": {"spec": PODS | policy}}}, "a"), collection("batch/v1", "jobs", api.namespace)
    )

    assert failure(response)[:2] == (422, "Invalid")
    message = 'Required value: valid values: "OnFailure", "Never"'
    assert causes(response) == {"spec.template.spec.restartPolicy": message}


def test_job_keeps_its_template_and_completions(api, failure):
    path = collection("batch/v1", "jobs", api.namespace)
    api.post(named({"spec": {"template": {"spec": RUNS_ONCE}}}, "a"), path)

    completions = api.patch("a", {"spec": {"completions": 4}}, path=f"{path}/a")
    template = api.patch("a", {"spec": {"template": {"spec": {"restartPolicy": "OnFailure"}}}}, path=f"{path}/a")
    parallelism = api.patch("a", {"spec": {"parallelism": 4}}, path=f"{path}/a")

    assert causes(completions) == {"spec.completions": "Invalid value: 4: field is immutable"}
    assert failure(template)[:2] == (422, "Invalid")
    assert parallelism.json()["spec"]["parallelism"] == 4


def test_selector_of_a_job_is_the_servers_unless_it_is_meant(api):
    path = collection("batch/v1", "jobs", api.namespace)
    template = {"metadata": {"labels": {"app": "a"}}, "spec": RUNS_ONCE}
    spec = {"selector": {"matchLabels": {"app": "a"}}, "template": template}

    refused = api.post(named({"spec": spec}, "a"), path)
    meant = api.post(named({"spec": spec | {"manualSelector": True}}, "a"), path)

    assert causes(refused)["spec.selector"].endswith("`selector` not auto-generated")
    assert meant.status_code == 201


@pytest.mark.feature("batch v1 cronjob")
def test_schedule_of_a_cron_job_has_five_fields(api, failure):
    job = {"spec": {"template": {"spec": RUNS_ONCE}}}

    response = api.post(
        named({"spec": {"schedule": "daily", "jobTemplate": job}}, "a"),
        collection("batch/v1", "cronjobs", api.namespace),
    )

    assert failure(response)[:2] == (422, "Invalid")
    assert "xpected exactly 5 fields, found 1" in causes(response)["spec.schedule"]


def test_pods_of_a_job_outlive_it_unless_its_deletion_says_otherwise(api):
    path = collection("batch/v1", "jobs", api.namespace)
    for name in ("a", "b"):
        api.post(named({"spec": {"template": {"spec": RUNS_ONCE}}}, name), path)

    orphaning = api.delete("a", path=f"{path}/a").json()
    in_the_background = api.delete("b", {"propagationPolicy": "Background"}, path=f"{path}/b").json()

    assert (orphaning["kind"], orphaning["metadata"]["finalizers"]) == ("Job", ["orphan"])
    assert in_the_background["kind"] == "Status"


def test_replication_controller_orphans_its_pods_unless_told_not_to(api):
    path = collection("v1", "replicationcontrollers", api.namespace)
    for name in ("a", "b"):
        api.post(named({"spec": {"template": TEMPLATE}}, name), path)

    orphaning = api.delete("a", path=f"{path}/a").json()
    told_not_to = api.delete("b", {"orphanDependents": False}, path=f"{path}/b").json()

    assert orphaning["metadata"]["finalizers"] == ["orphan"]
    assert told_not_to["kind"] == "Status"

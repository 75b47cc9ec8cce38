"""Roles, autoscalers, disruption budgets, leases, nodes and volumes."""

import pytest
from tests.conformance.kubernetes.kinds import ROLE, RULES, TARGET, collection

RBAC = "rbac.authorization.k8s.io/v1"


def named(name="a", **fields):
    return {"metadata": {"name": name}, **fields}


def causes(response):
    return {cause["field"]: cause["message"] for cause in response.json()["details"]["causes"]}


def test_name_of_a_role_may_have_colons_but_no_slash(api, failure):
    path = collection(RBAC, "roles", api.namespace)

    assert api.post(named("system:reader", rules=RULES), path).status_code == 201
    refused = api.post(named("a/b", rules=RULES), path)
    assert failure(refused)[:2] == (422, "Invalid")
    assert causes(refused) == {"metadata.name": "Invalid value: \"a/b\": may not contain '/'"}


def test_role_without_rules_shows_that_it_has_none(api):
    assert api.post(named(), collection(RBAC, "roles", api.namespace)).json()["rules"] is None


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        ({"apiGroups": [""], "resources": ["pods"]}, {"rules[0].verbs"}),
        ({"verbs": ["get"]}, {"rules[0].apiGroups", "rules[0].resources"}),
        ({"verbs": ["get"], "nonResourceURLs": ["/x"]}, {"rules[0].nonResourceURLs"}),
    ],
)
def test_rule_of_a_role_must_be_complete(api, failure, rule, fields):
    response = api.post(named(rules=[rule]), collection(RBAC, "roles", api.namespace))

    assert failure(response)[:2] == (422, "Invalid")
    assert causes(response).keys() == fields


def test_binding_names_groups_of_its_role_and_subjects(api):
    subjects = [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s", "namespace": "n"}]
    role = {"kind": "Role", "name": "r"}

    binding = api.post(named(roleRef=role, subjects=subjects), collection(RBAC, "rolebindings", api.namespace)).json()

    assert binding["roleRef"]["apiGroup"] == "rbac.authorization.k8s.io"
    assert binding["subjects"][0]["apiGroup"] == "rbac.authorization.k8s.io"
    assert "apiGroup" not in binding["subjects"][1]


def test_role_of_a_binding_can_not_be_changed(api, failure):
    path = collection(RBAC, "rolebindings", api.namespace)
    api.post(named(roleRef=ROLE), path)

    response = api.patch("a", {"roleRef": {"name": "other"}}, path=f"{path}/a")

    assert failure(response)[:2] == (422, "Invalid")
    assert causes(response)["roleRef"].endswith("cannot change roleRef")


def test_binding_of_the_cluster_needs_a_cluster_role_and_namespaces(api):
    path = collection(RBAC, "clusterrolebindings")
    subject = {"kind": "ServiceAccount", "name": "s"}

    response = api.post(named(roleRef=ROLE | {"kind": "Role"}, subjects=[subject]), path)

    assert causes(response) == {
        "roleRef.kind": 'Unsupported value: "Role": supported values: "ClusterRole"',
        "subjects[0].namespace": "Required value",
    }


def test_autoscaler_gets_its_defaults(api):
    created = api.post(named(spec=TARGET), collection("autoscaling/v1", "horizontalpodautoscalers", api.namespace))

    spec = created.json()["spec"]
    assert (spec["minReplicas"], spec["targetCPUUtilizationPercentage"]) == (1, 80)
    assert created.json()["status"] == {"currentReplicas": 0, "desiredReplicas": 0}


def test_autoscaler_has_room_between_least_and_most(api, failure):
    path = collection("autoscaling/v1", "horizontalpodautoscalers", api.namespace)

    response = api.post(named(spec=TARGET | {"minReplicas": 5}), path)

    assert failure(response)[:2] == (422, "Invalid")
    assert causes(response) == {"spec.maxReplicas": "Invalid value: 3: must be greater than or equal to `minReplicas`"}


@pytest.mark.feature("policy v1")
@pytest.mark.parametrize(
    "spec", [{"minAvailable": 1, "maxUnavailable": 1}, {"minAvailable": "x"}, {"minAvailable": -1}]
)
def test_disruption_budget_has_one_valid_limit(api, failure, spec):
    response = api.post(named(spec=spec), collection("policy/v1", "poddisruptionbudgets", api.namespace))

    assert failure(response)[:2] == (422, "Invalid")


@pytest.mark.parametrize(("field", "value"), [("leaseDurationSeconds", 0), ("leaseTransitions", -1)])
def test_lease_has_a_duration_and_counts_transitions(api, failure, field, value):
    response = api.post(named(spec={field: value}), collection("coordination.k8s.io/v1", "leases", api.namespace))

    assert failure(response)[:2] == (422, "Invalid")
    assert causes(response).keys() == {f"spec.{field}"}


def test_time_of_a_lease_has_microseconds(api, failure):
    path = collection("coordination.k8s.io/v1", "leases", api.namespace)

    refused = api.post(named(spec={"renewTime": "2024-01-01T00:00:00Z"}), path)
    created = api.post(named(spec={"renewTime": "2024-01-01T01:00:00.000001+01:00"}), path)

    assert failure(refused)[:2] == (400, "BadRequest")
    assert created.json()["spec"]["renewTime"] == "2024-01-01T00:00:00.000001Z"


def test_lease_is_updated_from_a_version_only(api, failure):
    path = collection("coordination.k8s.io/v1", "leases", api.namespace)
    api.post(named(spec={"holderIdentity": "a"}), path)

    response = api.http.put(f"{path}/a", json=named(spec={"holderIdentity": "b"}))

    assert failure(response)[:2] == (422, "Invalid")
    assert causes(response)["metadata.resourceVersion"].endswith("must be specified for an update")


def test_node_keeps_its_status_and_is_not_ready_at_first(api):
    name = f"{api.namespace}-node"
    conditions = [{"type": "Ready", "status": "True"}]

    node = api.post(
        named(name, status={"capacity": {"cpu": "4000m"}, "conditions": conditions}), "/api/v1/nodes"
    ).json()

    assert node["status"]["capacity"] == node["status"]["allocatable"] == {"cpu": "4"}
    assert node["status"]["conditions"][0]["status"] == "True"
    assert node["spec"]["taints"] == [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]


def test_nodes_can_be_selected_by_being_schedulable(api):
    name = f"{api.namespace}-node"
    api.post(named(name), "/api/v1/nodes")

    assert api.names("/api/v1/nodes", fieldSelector=f"spec.unschedulable=false,metadata.name={name}") == [name]
    api.patch("", {"spec": {"unschedulable": True}}, path=f"/api/v1/nodes/{name}")
    assert api.names("/api/v1/nodes", fieldSelector=f"spec.unschedulable=true,metadata.name={name}") == [name]


def test_claim_is_protected_and_needs_access_modes_and_storage(api, failure):
    path = collection("v1", "persistentvolumeclaims", api.namespace)
    requests = {"requests": {"storage": "1024Mi"}}

    refused = api.post(named(spec={}), path)
    claim = api.post(named(spec={"accessModes": ["ReadWriteOnce"], "resources": requests}), path).json()

    assert failure(refused)[:2] == (422, "Invalid")
    assert causes(refused).keys() == {"spec.accessModes", "spec.resources[storage]"}
    assert claim["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    assert claim["spec"]["resources"]["requests"] == {"storage": "1Gi"}
    assert claim["status"] == {"phase": "Pending"}


def test_claim_stays_as_it_is(api, failure):
    path = collection("v1", "persistentvolumeclaims", api.namespace)
    requests = {"requests": {"storage": "1Gi"}}
    api.post(named(spec={"accessModes": ["ReadWriteOnce"], "resources": requests}), path)

    response = api.patch("a", {"spec": {"accessModes": ["ReadWriteMany"]}}, path=f"{path}/a")

    assert failure(response)[:2] == (422, "Invalid")
    assert causes(response)["spec"].startswith("Forbidden: spec is immutable after creation except resources.requests")


def test_volume_must_say_what_it_is(api, failure):
    response = api.post(named(f"{api.namespace}-v", spec={"capacity": {"storage": "1Gi"}}), "/api/v1/persistentvolumes")

    assert failure(response)[:2] == (422, "Invalid")
    assert causes(response)["spec"] == "Required value: must specify a volume type"

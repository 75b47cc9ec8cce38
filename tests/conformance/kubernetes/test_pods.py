import pytest
from tests.conformance.kubernetes.kinds import collection

CONTAINER = {"name": "c", "image": "i:1.2"}


@pytest.fixture
def pods(api):
    return collection("v1", "pods", api.namespace)


def pod(name="a", *, containers=(CONTAINER,), **spec):
    return {"metadata": {"name": name}, "spec": {"containers": list(containers), **spec}}


def test_pod_gets_its_defaults(api, pods):
    created = api.post(pod(), pods).json()

    spec = created["spec"]
    defaults = {
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "terminationGracePeriodSeconds": 30,
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "enableServiceLinks": True,
        "preemptionPolicy": "PreemptLowerPriority",
        "priority": 0,
    }
    assert {field: spec[field] for field in defaults} == defaults
    assert spec["containers"][0] == CONTAINER | {
        "resources": {},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
    }
    assert [toleration["key"] for toleration in spec["tolerations"]] == [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ]


def test_pod_starts_pending_whatever_status_was_sent(api, pods):
    created = api.post(pod() | {"status": {"phase": "Running"}}, pods).json()

    assert created["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    assert "generation" not in created["metadata"]


@pytest.mark.parametrize(
    ("image", "policy"),
    [("i", "Always"), ("i:latest", "Always"), ("i:1", "IfNotPresent"), ("host:5000/i", "Always")],
)
def test_image_is_pulled_again_unless_it_has_a_tag(api, pods, image, policy):
    created = api.post(pod(containers=[{"name": "c", "image": image}]), pods).json()

    assert created["spec"]["containers"][0]["imagePullPolicy"] == policy


def test_parts_of_a_pod_get_their_defaults(api, pods):
    container = CONTAINER | {
        "ports": [{"containerPort": 80}],
        "env": [{"name": "A", "value": ""}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "livenessProbe": {"httpGet": {"port": 80}},
    }
    volumes = [{"name": "v", "configMap": {"name": "x"}}, {"name": "e"}]

    spec = api.post(pod(containers=[container], volumes=volumes), pods).json()["spec"]

    shaped = spec["containers"][0]
    assert shaped["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert shaped["env"][0] == {"name": "A"}
    assert shaped["env"][1]["valueFrom"]["fieldRef"]["apiVersion"] == "v1"
    assert shaped["livenessProbe"] == {
        "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    assert spec["volumes"] == [
        {"name": "v", "configMap": {"name": "x", "defaultMode": 420}},
        {"name": "e", "emptyDir": {}},
    ]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("1000m", "1"),
        ("0.5", "500m"),
        (2, "2"),
        (0.25, "250m"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("100k", "100k"),
        ("1e3", "1e3"),
        ("1000Ki", "1000Ki"),
        ("0", "0"),
        ("1500", "1500"),
        ("2000000", "2M"),
        ("512", "512"),
        ("0.5Ki", "512"),
    ],
)
def test_quantity_is_kept_in_its_canonical_form(api, pods, sent, kept):
    container = CONTAINER | {"resources": {"limits": {"memory": sent}}}

    created = api.post(pod(containers=[container]), pods).json()

    assert created["spec"]["containers"][0]["resources"]["limits"] == {"memory": kept}


def test_limits_are_requested_too(api, pods):
    resources = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}

    created = api.post(pod(containers=[CONTAINER | {"resources": resources}]), pods).json()

    assert created["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "500m", "memory": "1Gi"}
    assert created["status"]["qosClass"] == "Burstable"


@pytest.mark.parametrize(
    ("sent", "field", "message"),
    [
        ({"containers": ()}, "spec.containers", "Required value"),
        ({"containers": [{"image": "i"}]}, "spec.containers[0].name", "Required value"),
        ({"containers": [{"name": "c"}]}, "spec.containers[0].image", "Required value"),
        ({"containers": [CONTAINER, CONTAINER]}, "spec.containers[1].name", 'Duplicate value: "c"'),
        ({"restartPolicy": "No"}, "spec.restartPolicy", 'Unsupported value: "No": supported values: "Always", '),
        ({"dnsPolicy": "No"}, "spec.dnsPolicy", 'Unsupported value: "No": supported values: '),
        (
            {"containers": [CONTAINER | {"imagePullPolicy": "No"}]},
            "spec.containers[0].imagePullPolicy",
            'Unsupported value: "No": supported values: "Always", "IfNotPresent", "Never"',
        ),
        ({"containers": [CONTAINER | {"ports": [{"name": "x"}]}]}, "spec.containers[0].ports[0].containerPort", "Req"),
        ({"containers": [CONTAINER | {"env": [{"value": "x"}]}]}, "spec.containers[0].env[0].name", "Required value"),
        (
            {"containers": [CONTAINER | {"volumeMounts": [{"name": "v", "mountPath": "/x"}]}]},
            "spec.containers[0].volumeMounts[0].name",
            'Not found: "v"',
        ),
        (
            {"containers": [CONTAINER | {"resources": {"limits": {"cpu": "1"}, "requests": {"cpu": 2}}}]},
            "spec.containers[0].resources.requests",
            'Invalid value: "2": must be less than or equal to cpu limit',
        ),
        ({"containers": [{"name": "C_", "image": "i"}]}, "spec.containers[0].name", 'Invalid value: "C_": a lowercase'),
    ],
)
def test_invalid_pod_is_refused_with_its_cause(api, pods, failure, sent, field, message):
    response = api.post(pod(**sent), pods)

    assert failure(response)[:2] == (422, "Invalid")
    [cause] = response.json()["details"]["causes"]
    assert cause["field"] == field
    assert cause["message"].startswith(message)


def test_what_is_no_quantity_is_a_bad_request(api, pods, failure):
    container = CONTAINER | {"resources": {"limits": {"cpu": "much"}}}

    code, reason, message = failure(api.post(pod(containers=[container]), pods))

    assert (code, reason) == (400, "BadRequest")
    assert "quantities must match the regular expression" in message


def test_patch_to_a_wrong_type_is_invalid(api, pods, failure):
    api.post(pod(), pods)

    response = api.patch("a", {"spec": {"priority": "high"}}, path=f"{pods}/a")

    code, reason, message = failure(response)
    assert (code, reason) == (422, "Invalid")
    assert message.startswith(' "" is invalid: patch: Invalid value: ')


def test_image_of_a_pod_can_be_changed(api, pods):
    created = api.post(pod(), pods).json()
    created["spec"]["containers"][0]["image"] = "other:1"

    response = api.http.put(f"{pods}/a", json=created)

    assert response.status_code == 200
    assert response.json()["spec"]["containers"][0]["image"] == "other:1"


@pytest.mark.parametrize("change", [{"nodeName": "n"}, {"restartPolicy": "Never"}, {"hostNetwork": True}])
def test_other_fields_of_a_pod_can_not_be_changed(api, pods, failure, change):
    api.post(pod(), pods)

    code, reason, message = failure(api.patch("a", {"spec": change}, path=f"{pods}/a"))

    assert (code, reason) == (422, "Invalid")
    assert "spec: Forbidden: pod updates may not change fields other than" in message


def test_pod_can_be_replaced_by_what_was_sent_first(api, pods):
    api.post(pod(), pods)

    assert api.http.put(f"{pods}/a", json=pod()).status_code == 200


def test_status_of_a_pod_is_written_alone(api, pods):
    api.post(pod(), pods)
    condition = {"type": "Ready", "status": "True"}

    patch = {"status": {"phase": "Running", "conditions": [condition]}, "spec": {"nodeName": "n"}}
    response = api.patch("a", patch, path=f"{pods}/a/status")

    shown = response.json()
    assert "nodeName" not in shown["spec"]
    assert shown["status"]["phase"] == "Running"
    assert shown["status"]["conditions"] == [condition | {"lastProbeTime": None, "lastTransitionTime": None}]


@pytest.mark.parametrize(
    "selector",
    [
        "status.phase=Pending",
        "spec.nodeName=",
        "spec.restartPolicy=Always",
        "spec.schedulerName=default-scheduler",
        "status.podIP=,spec.serviceAccountName=",
    ],
)
def test_pods_can_be_selected_by_field(api, pods, selector):
    api.post(pod(), pods)

    assert api.names(pods, fieldSelector=selector) == ["a"]
    assert api.names(pods, fieldSelector=f"{selector},status.phase!=Pending") == []


def test_evicted_pod_is_deleted(api, pods, failure):
    api.post(pod(), pods)

    response = api.post({"metadata": {"name": "a"}}, f"{pods}/a/eviction")

    assert response.status_code == 201
    assert (response.json()["kind"], response.json()["status"]) == ("Status", "Success")
    assert failure(api.get(f"{pods}/a"))[:2] == (404, "NotFound")


def test_eviction_can_be_tried(api, pods):
    api.post(pod(), pods)

    response = api.post({"metadata": {"name": "a"}, "deleteOptions": {"dryRun": ["All"]}}, f"{pods}/a/eviction")

    assert response.status_code == 201
    assert api.names(pods) == ["a"]


def test_eviction_must_be_of_this_pod_and_of_one_that_is_there(api, pods, failure):
    api.post(pod(), pods)
    message = "name in URL does not match name in Eviction object"

    assert failure(api.post({"metadata": {"name": "b"}}, f"{pods}/a/eviction")) == (400, "BadRequest", message)
    missing = api.post({"metadata": {"name": "b"}}, f"{pods}/b/eviction")
    assert failure(missing) == (404, "NotFound", 'pods "b" not found')


def test_pod_that_runs_nowhere_goes_at_once_and_is_returned(api, pods, failure):
    api.post(pod(), pods)

    deleted = api.delete("a", {"gracePeriodSeconds": 5}, path=f"{pods}/a").json()

    assert (deleted["kind"], deleted["metadata"]["deletionGracePeriodSeconds"]) == ("Pod", 0)
    assert failure(api.get(f"{pods}/a"))[0] == 404


@pytest.mark.parametrize(("asked", "given"), [({}, 30), ({"gracePeriodSeconds": 5}, 5)])
def test_pod_on_a_node_is_given_time_to_end(api, pods, asked, given):
    api.post(pod(nodeName="n"), pods)

    marked = api.delete("a", asked, path=f"{pods}/a").json()

    read = api.get(f"{pods}/a").json()
    assert marked["metadata"]["deletionTimestamp"]
    assert marked["metadata"]["deletionGracePeriodSeconds"] == given
    assert read == marked


def test_terminating_pod_goes_when_it_is_deleted_without_grace(api, pods, failure):
    api.post(pod(nodeName="n"), pods)
    since = api.get(pods).json()["metadata"]["resourceVersion"]
    api.delete("a", path=f"{pods}/a")

    patched = api.patch("a", {"status": {"phase": "Running"}}, path=f"{pods}/a/status")
    with api.watching(pods, resourceVersion=since) as changes:
        deleted = api.delete("a", {"gracePeriodSeconds": 0}, path=f"{pods}/a").json()
        types = [next(changes)["type"] for _ in range(4)]

    assert patched.status_code == 200
    assert deleted["metadata"]["deletionGracePeriodSeconds"] == 0
    assert types == ["MODIFIED", "MODIFIED", "MODIFIED", "DELETED"]
    assert failure(api.get(f"{pods}/a"))[0] == 404


def test_finished_pod_goes_at_once(api, pods, failure):
    api.post(pod(nodeName="n"), pods)
    api.patch("a", {"status": {"phase": "Succeeded"}}, path=f"{pods}/a/status")

    api.delete("a", path=f"{pods}/a")

    assert failure(api.get(f"{pods}/a"))[0] == 404


def test_pods_deleted_as_a_collection_are_given_time_too(api, pods):
    api.post(pod(nodeName="n"), pods)
    api.post(pod("b"), pods)

    api.http.delete(pods)

    assert api.names(pods) == ["a"]

import pytest


def test_created_namespace_is_active(api):
    namespace = api.get(f"{api.namespaces}/{api.namespace}").json()

    assert (namespace["kind"], namespace["apiVersion"]) == ("Namespace", "v1")
    assert namespace["spec"] == {"finalizers": ["kubernetes"]}
    assert namespace["status"] == {"phase": "Active"}
    assert "generation" not in namespace["metadata"]
    assert "namespace" not in namespace["metadata"]


def test_cluster_starts_with_its_namespaces(api):
    assert {"default", "kube-system"} <= set(api.names(api.namespaces))


def test_items_of_a_core_list_do_not_repeat_the_kind(api):
    listed = api.get(api.namespaces).json()

    assert listed["kind"] == "NamespaceList"
    assert "kind" not in listed["items"][0]


def test_name_that_is_taken_is_refused(api, failure):
    response = api.post({"metadata": {"name": "default"}}, api.namespaces)

    assert failure(response) == (409, "AlreadyExists", 'namespaces "default" already exists')
    assert response.json()["details"] == {"name": "default", "kind": "namespaces"}


def test_name_must_be_a_label(api, failure):
    code, reason, message = failure(api.post({"metadata": {"name": "a.b"}}, api.namespaces))

    assert (code, reason) == (422, "Invalid")
    assert message.startswith('Namespace "a.b" is invalid: metadata.name: Invalid value: "a.b": a lowercase RFC 1123')


def test_put_without_a_resource_version_is_accepted(api):
    body = {"metadata": {"name": api.namespace, "labels": {"team": "a"}}}

    response = api.http.put(f"{api.namespaces}/{api.namespace}", json=body)

    assert response.status_code == 200
    assert response.json()["metadata"]["labels"]["team"] == "a"
    assert response.json()["status"] == {"phase": "Active"}


def test_phase_can_be_selected_by(api):
    names = api.names(api.namespaces, fieldSelector="status.phase=Active")

    assert api.namespace in names
    assert api.names(api.namespaces, fieldSelector="status.phase=Terminating,metadata.name=default") == []


@pytest.mark.parametrize("name", ["default", "kube-system"])
def test_namespace_of_the_system_can_not_be_deleted(api, failure, name):
    response = api.delete("", path=f"{api.namespaces}/{name}")

    assert failure(response) == (
        403,
        "Forbidden",
        f'namespaces "{name}" is forbidden: this namespace may not be deleted',
    )


def test_terminating_namespace_takes_nothing_new(api, failure):
    api.create("held", metadata={"finalizers": ["example.com/hold"]})

    marked = api.delete("", path=f"{api.namespaces}/{api.namespace}").json()
    late = api.post(api.widget("late"))

    assert marked["status"] == {"phase": "Terminating"}
    assert marked["metadata"]["deletionTimestamp"]
    assert failure(late) == (
        403,
        "Forbidden",
        'widgets.conformance.example.com "late" is forbidden: unable to create new content in namespace '
        f"{api.namespace} because it is being terminated",
    )
    assert late.json()["details"]["causes"][0]["reason"] == "NamespaceTerminating"


def test_namespaces_are_not_deleted_as_a_collection(api, failure):
    assert failure(api.http.delete(api.namespaces))[:2] == (405, "MethodNotAllowed")


def test_other_kind_in_the_body_is_a_bad_request(api, failure):
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}

    assert failure(api.post(body, api.namespaces))[:2] == (400, "BadRequest")


@pytest.mark.parametrize("field", ["spec", "status"])
def test_field_of_the_wrong_type_is_a_bad_request(api, failure, field):
    response = api.post({"metadata": {"name": f"{api.namespace}-x"}, field: 5}, api.namespaces)

    assert failure(response)[:2] == (400, "BadRequest")


@pytest.mark.feature("namespace label")
def test_namespace_is_labelled_with_its_name(api):
    labels = api.get(f"{api.namespaces}/{api.namespace}").json()["metadata"]["labels"]

    assert labels == {"kubernetes.io/metadata.name": api.namespace}


def test_status_of_a_namespace_is_written_alone(api):
    path = f"{api.namespaces}/{api.namespace}"
    condition = {"type": "X", "status": "True"}

    patched = api.patch("", {"status": {"conditions": [condition]}}, path=f"{path}/status").json()
    replaced = api.http.put(path, json={"metadata": {"name": api.namespace}, "status": {"phase": "Odd"}}).json()

    assert patched["status"]["phase"] == "Active"
    assert patched["status"]["conditions"] == [condition | {"lastTransitionTime": None}]
    assert replaced["status"] == patched["status"]

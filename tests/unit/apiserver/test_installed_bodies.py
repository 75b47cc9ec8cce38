import copy

import pytest

from signal_gateway.apiserver import create_apiserver
from signal_gateway.errors import ApiServerError
from signal_gateway.kubernetes import crd_manifest


def test_definition_that_another_cluster_has_installed_gets_an_identity_of_its_own():
    manifest = crd_manifest()

    first, second = (create_apiserver().install(manifest) for _ in range(2))

    assert first["metadata"]["uid"] != second["metadata"]["uid"]
    for created in (first, second):
        for field in ("uid", "creationTimestamp"):
            del created["metadata"][field]
        for condition in created["status"]["conditions"]:
            del condition["lastTransitionTime"]
    assert first == second


def test_change_in_one_cluster_does_not_reach_the_next():
    name = "kubernaut-extra"
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"a": "1"}}}
    created = create_apiserver().install(namespace)
    created["metadata"]["labels"]["a"] = "changed"
    namespace["metadata"]["labels"]["b"] = "2"

    again = create_apiserver().install(copy.deepcopy(namespace) | {"metadata": {"name": name, "labels": {"a": "1"}}})

    assert again["metadata"]["labels"]["a"] == "1"
    assert "b" not in again["metadata"]["labels"]


def test_second_install_into_one_cluster_is_still_refused():
    api = create_apiserver(crds=[crd_manifest()])

    with pytest.raises(ApiServerError, match="already exists"):
        api.install(crd_manifest())


def test_rejected_definition_is_rejected_again():
    manifest = crd_manifest()
    manifest["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["type"] = "nothing"

    for _ in range(2):
        with pytest.raises(ApiServerError, match="type"):
            create_apiserver().install(manifest)


def test_generated_names_differ():
    api = create_apiserver()
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "test-"}}

    names = {api.install(namespace)["metadata"]["name"] for _ in range(3)}

    assert len(names) == 3

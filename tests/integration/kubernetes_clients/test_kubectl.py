import json
import re
import shutil
import subprocess

import pytest
import yaml
from lightkube.resources.core_v1 import Pod
from lightkube.types import PatchType

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "a", "namespace": "default", "labels": {"app": "a"}},
    "spec": {"containers": [{"name": "main", "image": "main:1"}]},
}


@pytest.fixture(scope="module")
def program(unavailable):
    path = shutil.which("kubectl")
    if path is None:
        unavailable("needs kubectl: apt-get install kubernetes-client")
    return path


@pytest.fixture(scope="module")
def version(program):
    """Its version, such as (1, 32)."""
    said = json.loads(
        subprocess.run([program, "version", "--client", "-o", "json"], capture_output=True, check=True).stdout
    )
    version = said["clientVersion"]
    return int(version["major"]), int(re.match(r"\d+", version["minor"])[0])


@pytest.fixture
def kubectl(program, kubeconfig, tmp_path, version):
    """Run kubectl, perhaps with an object on its standard input; give what it printed."""

    def run(*arguments, object=None):
        command = [program, *arguments, "--kubeconfig", str(kubeconfig), f"--cache-dir={tmp_path / 'cache'}"]
        if object is not None:
            command += ["-f", "-"] + (
                ["--validate=false"] if version < (1, 27) else []
            )  # older ones ask for /openapi/v2
        text = None if object is None else yaml.safe_dump(object)
        result = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    return run


@pytest.fixture
def since(version):
    """Skip what the kubectl that is there does not know yet; a newer one comes from Kubernetes' own packages."""

    def need(*wanted):
        if version < wanted:
            pytest.skip(f"kubectl {'.'.join(map(str, version))} can't do that before {'.'.join(map(str, wanted))}")

    return need


def test_objects_are_created_shown_and_deleted(kubectl):
    assert kubectl("create", object=POD) == "pod/a created"
    assert kubectl("get", "pods", "-o", "name") == "pod/a"
    assert kubectl("get", "pod", "a", "-o", "jsonpath={.status.phase}") == "Pending"
    assert "a" in kubectl("get", "pods", "-A")
    assert kubectl("get", "pods", "-l", "app=b", "-o", "name") == ""
    assert "deleted" in kubectl("delete", "pod", "a")


def test_custom_resources_have_their_short_names(kubectl, widget):
    kubectl("create", object=widget(size=3))

    assert kubectl("get", "wd", "a", "-o", "jsonpath={.spec.size}") == "3"


def test_kinds_are_listed(kubectl):
    resources = kubectl("api-resources")
    versions = kubectl("api-versions").split()

    for plural in ("pods", "deployments", "widgets", "remediationrequests", "leases"):
        assert re.search(rf"^{plural}\b", resources, re.MULTILINE)
    assert {"v1", "apps/v1", "example.com/v1", "kubernaut.ai/v1alpha1"} <= set(versions)


@pytest.mark.parametrize("type", ["strategic", "merge", "json"])
def test_each_kind_of_patch_is_taken(kubectl, cluster, type):
    cluster.workload("default/Deployment/api", pods=0)
    change = {"spec": {"replicas": 4}}
    patch = json.dumps([{"op": "add", "path": "/spec/replicas", "value": 4}] if type == "json" else change)

    kubectl("patch", "deployment", "api", f"--type={type}", "-p", patch)

    assert kubectl("get", "deployment", "api", "-o", "jsonpath={.spec.replicas}") == "4"


def test_status_is_patched_as_a_subresource(kubectl, widget, since):
    since(1, 24)
    kubectl("create", object=widget())

    kubectl("patch", "widget", "a", "--subresource=status", "--type=merge", "-p", '{"status":{"phase":"Ready"}}')

    assert kubectl("get", "widget", "a", "-o", "jsonpath={.status.phase}") == "Ready"


def test_wait_ends_when_a_condition_holds(kubectl, cluster):
    kubectl("create", object=POD)
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    cluster.lightkube().patch(Pod.Status, "a", ready, namespace="default", patch_type=PatchType.MERGE)

    assert "condition met" in kubectl("wait", "pod/a", "--for=condition=Ready", "--timeout=60s")


def test_wait_ends_when_a_field_has_its_value(kubectl, widget, since):
    since(1, 23)
    kubectl("create", object=widget(size=2))

    assert "condition met" in kubectl("wait", "widget/a", "--for=jsonpath={.spec.size}=2", "--timeout=60s")


def test_wait_ends_when_the_object_is_gone(kubectl, program, kubeconfig):
    kubectl("create", object=POD)
    command = [program, "--kubeconfig", str(kubeconfig), "wait", "pod/a", "--for=delete", "--timeout=60s"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as waiting:
        kubectl("delete", "pod", "a", "--wait=false")
        assert waiting.wait(60) == 0


def test_watch_shows_what_happens(kubectl, program, kubeconfig):
    kubectl("create", object=POD)
    command = [program, "--kubeconfig", str(kubeconfig), "get", "pods", "-w", "-o", "name"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        first = watching.stdout.readline()
        kubectl("label", "pod", "a", "more=1")
        second = watching.stdout.readline()
        watching.terminate()

    assert (first, second) == ("pod/a\n", "pod/a\n")


def test_labels_annotations_and_scale(kubectl, cluster):
    cluster.workload("default/Deployment/api", pods=0)

    kubectl("label", "deployment", "api", "tier=web")
    kubectl("annotate", "deployment", "api", "note=x")
    kubectl("scale", "deployment", "api", "--replicas=6")

    got = json.loads(kubectl("get", "deployment", "api", "-o", "json"))
    assert (got["metadata"]["labels"]["tier"], got["metadata"]["annotations"]["note"]) == ("web", "x")
    assert got["spec"]["replicas"] == 6


def test_validation_and_apply_and_explain(kubectl, widget, since):
    since(1, 27)
    kubectl("apply", object=widget(size=1))
    kubectl("apply", object=widget(size=2))

    assert kubectl("get", "widget", "a", "-o", "jsonpath={.spec.size}") == "2"
    assert "<integer>" in kubectl("explain", "widget.spec.size")


def test_version_of_the_server_is_told(kubectl):
    assert "Server Version" in kubectl("version")

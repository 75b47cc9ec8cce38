import shutil
import signal
import subprocess

import httpx
import pytest
import yaml
from tests.support.command_line import URL, one_line_mistake, run, running

CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
        ],
    },
}


def test_it_serves_until_it_is_told_to_end(tmp_path):
    definition, kubeconfig = tmp_path / "widgets.yaml", tmp_path / "kubeconfig"
    definition.write_text(yaml.safe_dump(CRD))

    with running("apiserver", "--crd", definition, "--kubeconfig", kubeconfig, until="Kubernetes API on") as (
        process,
        line,
    ):
        url = URL.search(line)[0]
        assert httpx.get(f"{url}/apis/example.com/v1/widgets").json()["items"] == []
        assert httpx.get(f"{url}/apis/kubernaut.ai/v1alpha1/remediationrequests").status_code == 200
        assert yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"] == url
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_kubectl_works_with_its_kubeconfig(tmp_path, unavailable):
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        unavailable("needs kubectl: apt-get install kubernetes-client")
    kubeconfig = tmp_path / "kubeconfig"
    with running("apiserver", "--kubeconfig", kubeconfig, until="Kubernetes API on"):
        command = [kubectl, "--kubeconfig", kubeconfig, "get", "namespaces", "-o", "name"]
        listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)

    assert "namespace/kubernaut-system" in listed.stdout.split()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{half", "cannot install {path}: "),
        ("kind: Pod\n", "is no Kubernetes object"),
        (yaml.safe_dump(CRD | {"spec": {}}), "can't install CustomResourceDefinition"),
    ],
    ids=["no yaml", "no object", "refused"],
)
def test_file_that_can_not_be_used_is_one_line(tmp_path, text, complaint):
    path = tmp_path / "bad.yaml"
    path.write_text(text)

    assert complaint.format(path=path) in one_line_mistake(run("apiserver", "--crd", path))


def test_other_peoples_kubeconfig_is_left_alone(tmp_path):
    path = tmp_path / "config"
    path.write_text("current-context: production\n")

    assert "name another file" in one_line_mistake(run("apiserver", "--kubeconfig", path))
    assert path.read_text() == "current-context: production\n"


def test_beyond_loopback_is_refused():
    assert "can be reached from other machines" in one_line_mistake(run("apiserver", "--listen", "0.0.0.0:0"))

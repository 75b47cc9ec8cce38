"""`signal-gateway explain-target` against a cluster."""

import json
import subprocess
import sys

import pytest


@pytest.fixture
def explain(tmp_path, cluster):
    """Run the command for the content of a file; returns the completed process."""

    def explain(content, *options):
        file = tmp_path / "alert.json"
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        options = options or ("--kubeconfig", str(cluster.kubeconfig))
        command = [sys.executable, "-m", "signal_gateway", "explain-target", str(file), *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    return explain


def test_candidates_owner_and_target_are_shown(explain, cluster):
    [pod] = cluster.workload("prod/Deployment/api").pods

    shown = explain({"alerts": [{"labels": {"alertname": "X", "namespace": "prod", "pod": pod, "role": "leader"}}]})

    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.splitlines() == [
        "X: exporter unknown, it speaks of its own pod",
        f"  1. prod/Pod/{pod} (label pod) exists",
        "  2. prod/Role/leader was not searched",
        f"  owner: prod/ReplicaSet/{pod.rpartition('-')[0]}",
        "  owner: prod/Deployment/api",
        "  target: prod/Deployment/api",
    ]


def test_alert_without_an_object_shows_what_was_searched(explain, config_file):
    shown = explain({"alertname": "X", "node": "gone", "job": "x"}, "--config", config_file())

    assert shown.returncode == 0, shown.stderr
    assert "  1. Node/gone (label node) does not exist" in shown.stdout
    assert "no target" in shown.stdout


def test_file_without_labels_is_an_error(explain):
    shown = explain("just a text")

    assert (shown.returncode, "has no labels" in shown.stderr) == (2, True)

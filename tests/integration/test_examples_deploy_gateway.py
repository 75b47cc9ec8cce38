"""The gateway of examples/deploy: its file is one that it can be served with, and its rights are what it needs."""

import copy

import httpx
import pytest
import yaml
from tests.support.command_line import PATH, URL, running
from tests.support.deploy_manifests import FOLDER, deployed, pods_of, read

from signal_gateway.apiserver import Rule, User
from signal_gateway.gateway.service.config import ServiceConfig
from signal_gateway.testing import EmbeddedCluster, alert, alertmanager_webhook
from signal_gateway.testing.cluster.kubeconfig import plain_http_kubeconfig

FILE = FOLDER / "gateway/gateway.yaml"
GIBIBYTE = 1024**3


def named(kind, name):
    [found] = [one for one in deployed() if one["kind"] == kind and one["metadata"]["name"] == name]
    return found


def rules_of_rbac():
    """Yield what the bindings give to whom, as the embedded API server's table."""
    for binding in deployed():
        if binding["kind"] not in ("RoleBinding", "ClusterRoleBinding"):
            continue
        users = tuple(f"system:serviceaccount:{one['namespace']}:{one['name']}" for one in binding["subjects"])
        for rule in named(binding["roleRef"]["kind"], binding["roleRef"]["name"])["rules"]:
            yield Rule(
                users=users,
                verbs=tuple(rule["verbs"]),
                resources=tuple(rule["resources"]),
                api_groups=tuple(rule["apiGroups"]),
                namespace=binding["metadata"].get("namespace", ""),
                names=tuple(rule.get("resourceNames", ())),
            )


@pytest.fixture
def cluster():
    tokens = {
        "the-gateway": User("system:serviceaccount:kubernaut-system:signal-gateway"),
        "alertmanager": User("system:serviceaccount:monitoring:alertmanager"),
        "somebody": User("system:serviceaccount:prod:somebody"),
    }
    with EmbeddedCluster(tokens=tokens, rules=rules_of_rbac()) as cluster:
        yield cluster


@pytest.fixture
def config_file(tmp_path, cluster, datastorage):
    """Its own file, but for where things are on this machine."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(plain_http_kubeconfig(cluster.url, token="the-gateway")))
    [settings] = copy.deepcopy(read(FILE))
    settings["server"] = {"listen": "127.0.0.1:0"}
    settings["management"] = {"listen": "127.0.0.1:0"}
    settings["kubernetes"] = {"kubeconfig": str(kubeconfig)}
    settings["audit"] = {"datastorage_url": datastorage.url, "spool_directory": str(tmp_path / "spool")}
    path = tmp_path / "gateway.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def test_file_fits_its_volumes_and_ports():
    config = ServiceConfig.load_from_file(FILE, environment={})

    [container] = pods_of(named("StatefulSet", "signal-gateway"))["containers"]
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    [spool] = [one for one in mounts if str(config.audit.spool_directory).startswith(f"{one}/")]
    assert any(str(config.audit.token_file).startswith(f"{one}/") for one in mounts)
    [claim] = named("StatefulSet", "signal-gateway")["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["name"] in [one["name"] for one in container["volumeMounts"] if one["mountPath"] == spool]
    assert claim["spec"]["resources"]["requests"]["storage"] == "1Gi"
    assert config.audit.max_spool_bytes <= 0.8 * GIBIBYTE
    listens = [config.server.listen, config.management.listen]
    assert listens == [f"0.0.0.0:{port['containerPort']}" for port in container["ports"]]
    assert config.auth.mode == "kubernetes"


def test_rights_are_enough_for_a_signal_from_a_pod_to_its_remediation_request(cluster, config_file):
    workload = cluster.workload("prod/Deployment/api", managed=True)
    webhook = alertmanager_webhook(alert("PodCrashLooping", namespace="prod", pod=workload.pods[0]))

    with running("serve", "--config", config_file, until="gateway on") as (_, line):
        url, management = URL.findall(line)

        def send(token):
            headers = {"Authorization": f"Bearer {token}"}
            return httpx.post(f"{url}{PATH}", json=webhook, headers=headers, trust_env=False).status_code

        statuses = {token: send(token) for token in ("nobody", "somebody", "alertmanager")}
        again = send("alertmanager")
        ready = httpx.get(f"{management}/readyz", trust_env=False)

    assert statuses == {"nobody": 401, "somebody": 403, "alertmanager": 201}
    assert (again, ready.status_code) == (202, 200)
    assert [entry for entry in cluster.log if entry.code == 403] == []

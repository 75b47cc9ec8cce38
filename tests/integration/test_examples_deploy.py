"""The manifests of examples/deploy: a cluster takes them, and they agree with each other."""

import re
import shutil
import subprocess

import pytest
import yaml
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
from lightkube.resources.core_v1 import Namespace
from tests.support.deploy_manifests import FOLDER, deployed, monitoring, pods_of, read, secrets, selects, workloads

from signal_gateway.kubernetes import crd_manifest
from signal_gateway.testing import EmbeddedCluster

GENERATED = re.compile(r"(gateway-config)-[a-z0-9]{10}$")
SERVED_BY_SERVICE = re.compile(r"http://(?P<service>[-a-z]+)\.(?P<namespace>[-a-z]+)\.svc:(?P<port>\d+)")


def definition(kind, plural, properties):
    """What the Prometheus operator's definition of a kind says of the fields that are used here."""
    schema = {
        "type": "object",
        "required": ["spec"],
        "properties": {"spec": {"type": "object", "properties": properties}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.monitoring.coreos.com"},
        "spec": {
            "group": "monitoring.coreos.com",
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }


def fields(**types):
    return {"type": "object", "properties": types}


def list_of(item):
    return {"type": "array", "items": item}


TEXT = {"type": "string"}
TEXTS = {"type": "object", "additionalProperties": TEXT}
DURATION = {
    "type": "string",
    "pattern": r"^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?)$",
}
RULE = fields(
    alert=TEXT, expr={"x-kubernetes-int-or-string": True}, labels=TEXTS, annotations=TEXTS, **{"for": DURATION}
)
OPERATOR = [
    definition(
        "ServiceMonitor",
        "servicemonitors",
        {
            "selector": fields(matchLabels=TEXTS),
            "endpoints": list_of(fields(port=TEXT, path=TEXT, interval=DURATION)),
        },
    ),
    definition("PrometheusRule", "prometheusrules", {"groups": list_of(fields(name=TEXT, rules=list_of(RULE)))}),
]


def named(objects, kind):
    return {one["metadata"]["name"]: one for one in objects if one["kind"] == kind}


def containers():
    return [
        (workload, container) for workload in workloads(deployed()) for container in pods_of(workload)["containers"]
    ]


def ports_of(workload):
    return {port["name"]: port["containerPort"] for one in pods_of(workload)["containers"] for port in one["ports"]}


def selected_by(labels):
    return [workload for workload in workloads(deployed()) if selects(labels, workload)]


@pytest.fixture
def cluster():
    """A cluster without what the embedded one has from its start and the manifests bring along."""
    with EmbeddedCluster() as cluster:
        client = cluster.lightkube()
        client.delete(CustomResourceDefinition, crd_manifest()["metadata"]["name"])
        client.delete(Namespace, cluster.namespace)
        yield cluster


@pytest.fixture(scope="module")
def kubectl_program(unavailable):
    path = shutil.which("kubectl")
    if path is None:
        unavailable("needs kubectl: apt-get install kubernetes-client")
    said = subprocess.run(
        [path, "version", "--client", "-o", "json"], capture_output=True, text=True, check=True
    ).stdout
    version = yaml.safe_load(said)["clientVersion"]
    if (int(version["major"]), int(re.match(r"\d+", version["minor"])[0])) < (1, 27):
        pytest.skip(f"kubectl {version['gitVersion']} validates by /openapi/v2 and has an old kustomize")
    return path


@pytest.fixture
def kubectl(kubectl_program, tmp_path):
    def run(*arguments):
        command = [kubectl_program, *map(str, arguments), f"--cache-dir={tmp_path / 'cache'}"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stderr
        return result.stdout

    return run


def test_cluster_takes_every_manifest_and_knows_every_field(cluster):
    cluster.install(*OPERATOR)

    cluster.install(*deployed(), *secrets(), *monitoring())


def test_cluster_takes_the_pods_that_the_workloads_would_make(cluster):
    cluster.install(*named(deployed(), "Namespace").values())

    for workload in workloads(deployed()):
        claims = [one["metadata"]["name"] for one in workload["spec"].get("volumeClaimTemplates", ())]
        bound = [{"name": name, "persistentVolumeClaim": {"claimName": f"{name}-0"}} for name in claims]
        spec = pods_of(workload) | {"volumes": [*pods_of(workload)["volumes"], *bound]}
        metadata = {key: workload["metadata"][key] for key in ("name", "namespace")}

        cluster.install({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def test_kustomize_makes_of_the_folder_what_the_tests_look_at(kubectl):
    made = list(yaml.safe_load_all(kubectl("kustomize", FOLDER)))

    def key(one):
        return one["kind"], GENERATED.sub(r"\1", one["metadata"]["name"]), one["metadata"].get("namespace")

    assert sorted(map(key, made)) == sorted(map(key, deployed()))
    [volume] = [
        volume for workload in workloads(made) for volume in pods_of(workload)["volumes"] if "configMap" in volume
    ]
    assert volume["configMap"]["name"] in named(made, "ConfigMap")
    images = {container["image"] for workload in workloads(made) for container in pods_of(workload)["containers"]}
    assert images == {"registry.example.com/signal-gateway:0.1.0"}


@pytest.mark.parametrize("folder", [FOLDER, FOLDER / "monitoring"], ids=["all", "monitoring"])
def test_kubectl_applies_the_folder_and_a_second_time_changes_nothing(cluster, kubectl, folder):
    cluster.install(*OPERATOR)
    if folder != FOLDER:
        cluster.install(*named(deployed(), "Namespace").values())

    first = kubectl("apply", "-k", folder, "--kubeconfig", cluster.kubeconfig).splitlines()
    before = kubectl("get", "-k", folder, "-o", "yaml", "--kubeconfig", cluster.kubeconfig)
    kubectl("apply", "-k", folder, "--kubeconfig", cluster.kubeconfig)

    assert first
    assert [line for line in first if not line.endswith(" created")] == []
    assert kubectl("get", "-k", folder, "-o", "yaml", "--kubeconfig", cluster.kubeconfig) == before


def test_definition_is_the_packages_own():
    copy = "python -c 'from signal_gateway.kubernetes import crd_path; print(crd_path().read_text(), end=\"\")'"

    assert read(FOLDER / "crd.yaml") == [crd_manifest()], f"make it anew: {copy} > examples/deploy/crd.yaml"


@pytest.mark.parametrize("workload", workloads(deployed()), ids=lambda workload: workload["metadata"]["name"])
def test_workload_selects_and_spreads_its_own_pods_alone(workload):
    labels = workload["spec"]["selector"]["matchLabels"]
    spread = [one["labelSelector"]["matchLabels"] for one in pods_of(workload)["topologySpreadConstraints"]]

    assert selected_by(labels) == [workload]
    assert spread
    assert all(one == labels for one in spread)


def test_service_leads_to_a_port_of_one_workload():
    services = named(deployed(), "Service")
    assert services
    for service in services.values():
        [workload] = selected_by(service["spec"]["selector"])
        for port in service["spec"]["ports"]:
            assert ports_of(workload)[port["targetPort"]] == port["port"], service["metadata"]["name"]
    governing = {workload["spec"]["serviceName"] for workload in named(deployed(), "StatefulSet").values()}
    assert {services[name]["spec"]["clusterIP"] for name in governing} == {"None"}


def test_each_workload_has_a_disruption_budget_and_a_network_policy_of_its_own():
    for kind, field in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        covered = [selected_by(one["spec"][field]["matchLabels"]) for one in named(deployed(), kind).values()]

        assert sorted(len(found) for found in covered) == [1] * len(workloads(deployed())), kind
        assert sorted(found["metadata"]["name"] for [found] in covered) == ["datastorage", "signal-gateway"], kind


def test_network_policy_opens_ports_that_its_pods_have():
    for policy in named(deployed(), "NetworkPolicy").values():
        [workload] = selected_by(policy["spec"]["podSelector"]["matchLabels"])
        opened = [port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]]

        assert sorted(opened) == sorted(ports_of(workload))


def test_service_monitor_finds_one_service_and_a_port_of_it():
    monitors = named(monitoring(), "ServiceMonitor")
    found = []
    for monitor in monitors.values():
        labels = monitor["spec"]["selector"]["matchLabels"]
        [service] = [
            one for one in named(deployed(), "Service").values() if labels.items() <= one["metadata"]["labels"].items()
        ]
        found.append(service["metadata"]["name"])
        assert {one["port"] for one in monitor["spec"]["endpoints"]} <= {
            port["name"] for port in service["spec"]["ports"]
        }
        assert monitor["metadata"]["namespace"] == service["metadata"]["namespace"]
    assert sorted(found) == ["datastorage", "gateway-management"]


def test_what_a_pod_mounts_and_reads_is_there():
    config_maps = {name: set(one["data"]) for name, one in named(deployed(), "ConfigMap").items()}
    keys = {name: set(one["stringData"]) for name, one in named(secrets(), "Secret").items()}
    for workload, container in containers():
        spec = pods_of(workload)
        claims = {one["metadata"]["name"] for one in workload["spec"].get("volumeClaimTemplates", ())}
        volumes = {one["name"]: one for one in spec["volumes"]}

        assert {mount["name"] for mount in container["volumeMounts"]} == claims | set(volumes)
        for volume in volumes.values():
            if "configMap" in volume:
                assert volume["configMap"]["name"] in config_maps
            else:
                assert volume["secret"]["secretName"] in keys
        for variable in container.get("env", ()):
            reference = variable["valueFrom"]["secretKeyRef"]
            assert reference["key"] in keys[reference["name"]]
        if "serviceAccountName" in spec:
            assert spec["serviceAccountName"] in named(deployed(), "ServiceAccount")
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container[probe]["httpGet"]["port"] in ports_of(workload)
            assert container[probe]["httpGet"]["path"] == ("/readyz" if probe == "readinessProbe" else "/healthz")


def test_every_secret_and_every_key_of_it_is_used():
    used = set()
    for workload, container in containers():
        used |= {volume["secret"]["secretName"] for volume in pods_of(workload)["volumes"] if "secret" in volume}
        used |= {variable["valueFrom"]["secretKeyRef"]["name"] for variable in container.get("env", ())}

    assert used == set(named(secrets(), "Secret"))


def test_bindings_bind_roles_that_there_are():
    objects = deployed()
    bindings = [one for one in objects if one["kind"].endswith("RoleBinding")]
    assert len(bindings) == 3
    for binding in bindings:
        role = named(objects, binding["roleRef"]["kind"])[binding["roleRef"]["name"]]
        assert (
            binding["roleRef"]["kind"] == "ClusterRole"
            or role["metadata"]["namespace"] == binding["metadata"]["namespace"]
        )


def test_everything_lives_in_one_namespace():
    [namespace] = named(deployed(), "Namespace")
    objects = [*deployed(), *secrets(), *monitoring()]

    assert {one["metadata"].get("namespace", namespace) for one in objects} == {namespace}
    assert [one["kind"] for one in objects if "namespace" not in one["metadata"]] == [
        "Namespace",
        "CustomResourceDefinition",
        "ClusterRole",
        "ClusterRoleBinding",
        "ClusterRole",
    ]


def test_pods_run_without_any_rights_on_their_node():
    for workload, container in containers():
        pod = pods_of(workload)["securityContext"]
        assert pod["runAsNonRoot"] is True
        assert pod["runAsUser"] == pod["runAsGroup"] == pod["fsGroup"] > 10_000
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("file", ["gateway/gateway.yaml", "alertmanager.yml"])
def test_urls_lead_to_services_that_there_are(file):
    urls = list(SERVED_BY_SERVICE.finditer((FOLDER / file).read_text()))
    assert urls
    for url in urls:
        service = named(deployed(), "Service")[url["service"]]
        assert service["metadata"]["namespace"] == url["namespace"]
        assert int(url["port"]) in [port["port"] for port in service["spec"]["ports"]]

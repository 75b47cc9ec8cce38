"""The alarms and the Alertmanager file of examples/deploy: each alarm fires when it should, on metrics there are."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry
from tests.support.deploy_manifests import FOLDER, deployed, monitoring

from signal_gateway.audit import AuditStoreConfig, BufferedAuditStore, DataStorageClient
from signal_gateway.datastorage.metrics import DataStorageMetrics

[RULES] = [one["spec"] for one in monitoring() if one["kind"] == "PrometheusRule"]
ALARMS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}
RUNBOOKS = Path(__file__).parents[2] / "docs/runbooks"
SERVICES = {one["metadata"]["name"] for one in deployed() if one["kind"] == "Service"}

ADDED_BY_PROMETHEUS = {"job", "pod"}
OF_OTHERS = {"up", "alertmanager_notifications_failed_total"}
METRIC = re.compile(r"\b((?:up|[a-z]+_[a-z_]+))(?=[{\[)]| >)")
SELECTOR = re.compile(r"(\w+)\{([^}]*)\}")

GATEWAY = 'job="gateway-management",pod="signal-gateway-0"'
REQUESTS = f'gateway_http_request_duration_seconds_count{{{GATEWAY},endpoint="/api/v1/signals/prometheus",status="%s"}}'
UP = 'up{job="gateway-management",pod="signal-gateway-%s"}'
GROWS, STAYS = "0+10x40", "5x40"

# what makes each alarm fire within 20 minutes, and what looks like it and doesn't
SERIES = {
    "GatewayDown": ({UP % 0: "0x40"}, {UP % 0: "0x40", UP % 1: "1x40"}),
    "GatewayRefusesSenders": ({REQUESTS % 403: GROWS}, {REQUESTS % 403: STAYS, REQUESTS % 400: GROWS}),
    "AlertmanagerCannotNotify": (
        {'alertmanager_notifications_failed_total{integration="webhook"}': GROWS},
        {'alertmanager_notifications_failed_total{integration="email"}': GROWS},
    ),
    "GatewayAnswersErrors": (
        {REQUESTS % 503: GROWS, REQUESTS % 201: "0+20x40"},
        {REQUESTS % 503: GROWS, REQUESTS % 201: "0+200x40"},
    ),
    "GatewayLeavesKubernetesAlone": (
        {f'gateway_circuit_breaker_state{{{GATEWAY},name="kubernetes"}}': "2 1 2 2 1 2 1 1 2 2 2 2 2 1 2 2 2 2 2 2 2"},
        {f'gateway_circuit_breaker_state{{{GATEWAY},name="kubernetes"}}': "2 2 1 0x40"},
    ),
    "AuditEventsWait": (
        {f"audit_oldest_pending_seconds{{{GATEWAY}}}": "0+60x40"},
        {f"audit_oldest_pending_seconds{{{GATEWAY}}}": "30x40"},
    ),
    "AuditSpoolIsFull": (
        {f"audit_events_refused_total{{{GATEWAY}}}": GROWS},
        {f"audit_events_refused_total{{{GATEWAY}}}": STAYS},
    ),
    "AuditEventsRejected": (
        {f"audit_events_rejected_total{{{GATEWAY}}}": "0x18 1x20"},
        {f"audit_events_rejected_total{{{GATEWAY}}}": STAYS},
    ),
    "DataStorageDown": ({}, {'up{job="datastorage",pod="datastorage-1"}': "1x40"}),
}

# the value of each alarm that fires, as its description shows it
VALUES = {
    "GatewayRefusesSenders": "166.7m",
    "AlertmanagerCannotNotify": "166.7m",
    "GatewayAnswersErrors": "166.7m",
    "AuditEventsWait": "20m 0s",
    "AuditSpoolIsFull": "50",
    "AuditEventsRejected": "1",
}


@pytest.fixture
def promtool(program, tmp_path):
    """Evaluate the rules on series, a sample a minute, and compare the alarms of a name that fire after 20 minutes."""
    path = program("promtool")
    rules = tmp_path / "rules.yml"
    rules.write_text(yaml.safe_dump(RULES))

    def fires(alarm, series, expected):
        tests = {
            "rule_files": [str(rules)],
            "evaluation_interval": "1m",
            "tests": [
                {
                    "interval": "1m",
                    "input_series": [{"series": name, "values": values} for name, values in series.items()],
                    "alert_rule_test": [{"alertname": alarm, "eval_time": "20m", "exp_alerts": expected}],
                }
            ],
        }
        file = tmp_path / "tests.yml"
        file.write_text(yaml.safe_dump(tests))
        result = subprocess.run([path, "test", "rules", file], capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, result.stdout + result.stderr

    return fires


@pytest.fixture
def served(gateway):
    """Label names by sample, of all that a gateway with its store, and a DataStorage, show."""
    gateway.send_alert("X", namespace="prod", deployment="api")
    gateway.settle()  # a request is counted when its answer is sent
    registry = CollectorRegistry()
    DataStorageMetrics(registry)
    client = DataStorageClient("http://127.0.0.1:9")
    config = AuditStoreConfig(durability="memory")
    with BufferedAuditStore(client, service="gateway", config=config, registry=registry):
        families = [*gateway.registry.collect(), *registry.collect()]
    client.close()
    return {sample.name: set(sample.labels) for family in families for sample in family.samples}


def fired(alarm):
    """Return an alarm as it arrives at people: its labels, and its annotations with each value filled in."""
    rule = ALARMS[alarm]
    grouped = re.search(r"by \(([a-z, ]+)\)", rule["expr"])
    names = grouped[1].split(", ") if grouped is not None else []
    shown = {"job": "gateway-management", "pod": "signal-gateway-0"}
    labels = {name: shown[name] for name in names} | rule["labels"]
    annotations = {}
    for name, text in rule["annotations"].items():
        filled = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda match: labels[match[1]], text)
        annotations[name] = re.sub(r"\{\{ \$value [^}]*\}\}", lambda _: VALUES[alarm], filled)
    return {"exp_labels": labels, "exp_annotations": annotations}


@pytest.mark.parametrize("alarm", ALARMS)
def test_alarm_fires_when_it_should(promtool, alarm):
    firing, _ = SERIES[alarm]

    promtool(alarm, firing, expected=[fired(alarm)])


@pytest.mark.parametrize("alarm", ALARMS)
def test_alarm_is_quiet_otherwise(promtool, alarm):
    _, quiet = SERIES[alarm]

    promtool(alarm, quiet, expected=[])


def test_alarms_look_at_metrics_and_labels_that_there_are(served):
    for alarm, rule in ALARMS.items():
        assert set(METRIC.findall(rule["expr"])) - OF_OTHERS <= set(served), alarm
        for metric, matchers in SELECTOR.findall(rule["expr"]):
            labels = set(re.findall(r"(\w+)=~?", matchers)) - ADDED_BY_PROMETHEUS
            assert metric in OF_OTHERS or labels <= served[metric], alarm


def test_each_alarm_says_how_bad_it_is_and_which_service_it_is_about():
    for alarm, rule in ALARMS.items():
        named = [
            *re.findall(r'job="([-a-z]+)"', rule["expr"]),
            *([rule["labels"]["job"]] if "job" in rule["labels"] else []),
        ]
        assert set(named) <= SERVICES, alarm
        assert named or "by (job" in rule["expr"], alarm
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]


def test_each_alarm_has_a_runbook_page_and_each_page_its_alarm():
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {"index"}

    assert {alarm: rule["annotations"]["runbook_url"] for alarm, rule in ALARMS.items()} == {
        alarm: f"https://runbooks.example.com/signal-gateway/{alarm}" for alarm in pages
    }
    for alarm in pages:
        text = (RUNBOOKS / f"{alarm}.md").read_text()
        assert text.startswith(f"# {alarm}\n"), alarm
        assert "\n## Diagnosis\n" in text, alarm
        assert "\n## Mitigation\n" in text, alarm


NODE_ALERTS = [
    {"alertname": "KubeNodeNotReady", "node": "worker-1", "condition": "Ready", "job": "kube-state-metrics"},
    {"alertname": "KubeletPodStartUpLatencyHigh", "node": "worker-1", "instance": "10.0.0.11:10250"},
    {
        "alertname": "NodeFilesystemSpaceFillingUp", "instance": "worker-1", "job": "node-exporter",
        "namespace": "monitoring", "pod": "node-exporter-x7k2p",
    },
]  # fmt: skip
OBJECT_ALERTS = [
    {"alertname": "KubePodCrashLooping", "namespace": "prod", "pod": "api-0"},
    {"alertname": "KubeDeploymentReplicasMismatch", "namespace": "prod", "deployment": "api"},
    {"alertname": "KubeJobFailed", "namespace": "prod", "job_name": "migrate-1"},
    {"alertname": "KubeHpaMaxedOut", "namespace": "prod", "horizontalpodautoscaler": "api"},
    {"alertname": "KubePersistentVolumeFillingUp", "namespace": "prod", "persistentvolumeclaim": "data-db-0"},
    {"alertname": "KubeQuotaFullyUsed", "namespace": "prod", "resourcequota": "quota"},
    {"alertname": "KubePodNotReady", "namespace": "monitoring", "exported_namespace": "prod", "exported_pod": "api-0"},
    {"alertname": "KubePodNotReady", "namespace": "prod", "pod": "api-0", "node": "worker-1", "deployment": "api"},
]
ALERTS_ABOUT_NO_OBJECT = [
    {"alertname": "Watchdog", "severity": "none"},
    {"alertname": "InfoInhibitor", "namespace": "prod", "severity": "none"},
    {"alertname": "TargetDown", "namespace": "prod", "job": "api", "service": "api"},
    {"alertname": "KubeAPIDown", "job": "apiserver"},
    {"alertname": "KubeCPUOvercommit"},
    {"alertname": "AlertmanagerClusterFailedToSendAlerts", "namespace": "monitoring", "integration": "webhook"},
    {"alertname": "AlertmanagerConfigInconsistent", "namespace": "monitoring", "service": "alertmanager-main"},
    {
        "alertname": "KubeAPIInstanceUnreachable",
        "namespace": "default",
        "job": "apiserver",
        "instance": "10.0.0.1:6443",
    },
]
OWN_ALERTS = [
    {"alertname": "AuditEventsWait", "job": "gateway-management", "pod": "signal-gateway-0"},
    {"alertname": "DataStorageDown", "job": "datastorage", "namespace": "kubernaut-system"},
]


@pytest.mark.parametrize(
    ("alerts", "receivers"),
    [
        (NODE_ALERTS, "people,signal-gateway"),
        (OBJECT_ALERTS, "people,signal-gateway"),
        (ALERTS_ABOUT_NO_OBJECT, "people,nobody"),
        (OWN_ALERTS, "people"),
    ],
    ids=["node", "object", "no object", "own"],
)
def test_alertmanager_sends_each_alert_about_an_object_to_the_gateway_once(program, alerts, receivers):
    command = [program("amtool"), "config", "routes", "test", f"--config.file={FOLDER / 'alertmanager.yml'}"]

    for labels in alerts:
        sent = [f"{name}={value}" for name, value in labels.items()]
        result = subprocess.run([*command, *sent], capture_output=True, text=True, timeout=60)
        assert result.stdout.split() == [receivers], (labels, result.stderr)

"""The alarms and the Alertmanager file of examples/deploy: each alarm fires when it should, on metrics there are."""

import re
import subprocess

import pytest
import yaml
from prometheus_client import CollectorRegistry
from tests.support.deploy_manifests import FOLDER, deployed, monitoring

from signal_gateway.audit import AuditStoreConfig, BufferedAuditStore, DataStorageClient
from signal_gateway.datastorage.metrics import DataStorageMetrics

[RULES] = [one["spec"] for one in monitoring() if one["kind"] == "PrometheusRule"]
ALARMS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}
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


@pytest.fixture
def promtool(program, tmp_path):
    """Evaluate the rules on series, a sample a minute, and count the alarms of a name that fire after 20 minutes."""
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
                    "promql_expr_test": [
                        {
                            "expr": f'count(ALERTS{{alertname="{alarm}",alertstate="firing"}})',
                            "eval_time": "20m",
                            "exp_samples": [{"labels": "{}", "value": 1}] if expected else [],
                        }
                    ],
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


@pytest.mark.parametrize("alarm", ALARMS)
def test_alarm_fires_when_it_should(promtool, alarm):
    firing, _ = SERIES[alarm]

    promtool(alarm, firing, expected=True)


@pytest.mark.parametrize("alarm", ALARMS)
def test_alarm_is_quiet_otherwise(promtool, alarm):
    _, quiet = SERIES[alarm]

    promtool(alarm, quiet, expected=False)


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


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ({"alertname": "KubePodCrashLooping", "namespace": "prod", "pod": "api-0"}, "signal-gateway,people"),
        ({"alertname": "Watchdog"}, "people"),
        ({"alertname": "AuditEventsWait", "job": "gateway-management", "namespace": "kubernaut-system"}, "people"),
        ({"alertname": "DataStorageDown", "job": "datastorage", "namespace": "kubernaut-system"}, "people"),
    ],
    ids=lambda value: value["alertname"] if isinstance(value, dict) else "",
)
def test_alertmanager_sends_alerts_about_workloads_to_the_gateway(program, labels, receivers):
    command = [program("amtool"), "config", "routes", "test", f"--config.file={FOLDER / 'alertmanager.yml'}"]

    result = subprocess.run(
        [*command, *(f"{name}={value}" for name, value in labels.items())], capture_output=True, text=True, timeout=60
    )

    assert result.stdout.split() == [receivers], result.stderr

from datetime import UTC, datetime

import pytest
from tests.e2e.alertmanager import fire, post, resolve

from signal_gateway.kubernetes.resources import RemediationRequest
from signal_gateway.testing.gateway.live import PROMETHEUS_PATH

API = {"alertname": "HighLatency", "severity": "critical", "namespace": "prod", "deployment": "payment-api"}
NODE = {"alertname": "NodePressure", "severity": "warning", "node": "worker-node-1"}
DATABASE = {"alertname": "DiskFull", "severity": "warning", "namespace": "prod", "statefulset": "orders-db"}


def created(gateway, count):
    """Wait until so many RemediationRequests have been created, and return them by signal name."""

    def found():
        requests = gateway.cluster.lightkube().list(RemediationRequest, namespace=gateway.cluster.namespace)
        return {request["spec"]["signalName"]: request for request in requests}

    gateway.wait_for(lambda: len(found()) == count, timeout=300)
    return found()


def test_alerts_that_fire_become_remediation_requests_with_an_audit_trail(gateway, alertmanager):
    gateway.cluster.workload("Node/worker-node-1")
    sender = alertmanager(gateway.url + PROMETHEUS_PATH)

    fire(sender, API, NODE)
    requests = created(gateway, 2)

    assert requests["HighLatency"]["spec"]["targetResource"]["name"] == "payment-api"
    assert requests["HighLatency"]["spec"]["severity"] == "critical"
    assert requests["NodePressure"]["spec"]["targetResource"]["kind"] == "Node"
    for request in requests.values():
        gateway.audit_trail.sequence(
            "gateway.signal.received", "gateway.crd.created", correlation_id=request.metadata.name
        )


def test_resolved_notification_creates_nothing(gateway, alertmanager):
    sender = alertmanager(gateway.url + PROMETHEUS_PATH)
    fire(sender, API)
    name = created(gateway, 1)["HighLatency"].metadata.name

    resolve(sender, API)
    gateway.wait_for(lambda: gateway.metrics.value("gateway_signals_resolved_total", source_type="prometheus") == 1)

    requests = list(gateway.cluster.lightkube().list(RemediationRequest, namespace=gateway.cluster.namespace))
    assert [request.metadata.name for request in requests] == [name]
    gateway.audit_trail.one(event_type="gateway.signal.resolved", correlation_id=name)


@pytest.mark.gateway(processing={"retry": {"max_attempts": 1}})
def test_no_alert_is_missing_after_the_gateway_has_answered_503(gateway, alertmanager):
    gateway.cluster.workload("Node/worker-node-1")
    sender = alertmanager(gateway.url + PROMETHEUS_PATH)
    gateway.cluster.faults.fail(verb="create", resource="remediationrequests", status=503, times=4)

    fire(sender, API, NODE, DATABASE)
    requests = created(gateway, 3)

    assert set(requests) == {"HighLatency", "NodePressure", "DiskFull"}
    refused = gateway.metrics.value(
        "gateway_http_request_duration_seconds_count", endpoint=PROMETHEUS_PATH, method="POST", status="503"
    )
    assert refused >= 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "group_interval",
    [
        pytest.param("5m", marks=pytest.mark.gateway(processing={"request_deadline": 10}), id="retries after 504"),
        pytest.param("1s", marks=pytest.mark.gateway(processing={"request_deadline": 60}), id="cancels after 10 s"),
    ],
)
def test_thousands_of_alerts_in_one_webhook_are_each_counted_once(gateway, alertmanager, group_interval):
    sender = alertmanager(gateway.url + PROMETHEUS_PATH, group_wait="5s", group_interval=group_interval)
    gateway.cluster.faults.delay(2, verb="create", resource="remediationrequests")
    common = {"alertname": "Slow", "severity": "warning", "namespace": "prod"}

    labels = [{**common, "deployment": f"d-{number % 300}", "replica": str(number)} for number in range(3000)]
    began = datetime.now(UTC).isoformat()  # alerts older than the group_wait are notified at once, and not together
    post(sender, [{"labels": one, "startsAt": began} for one in labels])

    def requests(status):
        return gateway.metrics.value(
            "gateway_http_request_duration_seconds_count", endpoint=PROMETHEUS_PATH, method="POST", status=status
        )

    gateway.wait_for(lambda: requests("207") == 1, timeout=300)
    gateway.settle()
    found = list(gateway.cluster.lightkube().list(RemediationRequest, namespace=gateway.cluster.namespace))
    assert [request["status"]["deduplication"]["occurrenceCount"] for request in found] == [10] * 300
    assert requests("504") >= 1
    if group_interval == "5m":
        assert sender.sample("alertmanager_notifications_failed_total") == 0

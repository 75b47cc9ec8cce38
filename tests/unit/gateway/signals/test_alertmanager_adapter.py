from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest

from signal_gateway.gateway.signals.adapter import InvalidPayload
from signal_gateway.gateway.signals.alertmanager import AlertmanagerAdapter
from signal_gateway.gateway.signals.signal import InvalidSignal, Signal
from signal_gateway.kubernetes import Kind, Kinds

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
KINDS = Kinds(
    [
        Kind("Pod", "", "v1", "pods", "pod", is_namespaced=True),
        Kind("Deployment", "apps", "v1", "deployments", "deployment", is_namespaced=True),
    ]
)


class Discovery:
    def kinds(self):
        return KINDS


def parse(*alerts, multi_cluster=False, **members):
    body = orjson.dumps({"version": "4", "alerts": list(alerts)} | members)
    return adapter(multi_cluster=multi_cluster).parse(body, received_at=NOW)


class Discovered:
    def kinds(self):
        return KINDS


def adapter(**settings):
    return AlertmanagerAdapter(discovery=Discovery(), **settings)


def nested(levels):
    value: object = "leaf"
    for _ in range(levels):
        value = {"below": value}
    return value


def test_alert_becomes_a_signal(alert):
    [signal] = parse(alert("HighLatency", namespace="prod", deployment="payment-api", severity="critical"))

    assert isinstance(signal, Signal)
    assert (signal.name, signal.severity, signal.status, signal.source) == (
        "HighLatency", "critical", "firing", "prometheus",
    )  # fmt: skip
    assert signal.fingerprint == "91fce8d5c4949766458bd4bd58859a4fb2e8470ef64ef438c22903744799a9b1"
    assert signal.fired_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert signal.received_at == NOW
    assert signal.payload["generatorURL"] == "http://prometheus.example/graph"


def test_alerts_own_labels_win_over_the_groups_common_ones(alert):
    [signal] = parse(
        alert("X", pod="p-1"),
        commonLabels={"namespace": "prod", "pod": "other"},
        commonAnnotations={"runbook": "r", "summary": "common"},
    )

    assert signal.labels == {"alertname": "X", "namespace": "prod", "pod": "p-1"}
    assert signal.annotations == {"runbook": "r", "summary": "it crashes"}


def test_severity_is_unknown_when_absent(alert):
    assert parse(alert("X", namespace="a", pod="p"))[0].severity == "unknown"


def test_unknown_members_are_ignored(alert):
    [signal] = parse(alert() | {"news": [1]}, truncatedAlerts=3, newer={"a": 1})

    assert isinstance(signal, Signal)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": "pending"}, "status"),
        ({"status": None}, "status"),
        ({"labels": {"namespace": "a", "pod": "p"}}, "name"),
        ({"labels": {"alertname": "x" * 254, "namespace": "a", "pod": "p"}}, "name"),
        ({"labels": {"alertname": "X", "severity": "s" * 51, "namespace": "a", "pod": "p"}}, "severity"),
        ({"labels": {"alertname": "X", "namespace": "a"}}, "no_target"),
        ({"labels": {"alertname": "X", "namespace": "a:b", "pod": "p"}}, "namespace"),
        ({"labels": {"alertname": 5}}, "shape"),
        ({"labels": ["alertname"]}, "shape"),
        ({"startsAt": "yesterday"}, "starts_at"),
        ({"startsAt": "2026-W01-1"}, "starts_at"),
        ({"startsAt": 1767225600}, "starts_at"),
        ({"startsAt": "9999-12-31T23:59:59-23:00"}, "starts_at"),
        ({"startsAt": "2026-01-01T12:02:01Z"}, "from_the_future"),
        ({"annotations": {"summary": "a\0b"}}, "unrepresentable"),
        ({"a\0b": 1}, "unrepresentable"),
        ({"extra": nested(8)}, "unrepresentable"),
    ],
)
def test_one_bad_alert_does_not_take_the_others_with_it(alert, change, reason):
    good, bad, last = parse(alert("First"), alert() | change, alert("Last"))

    assert isinstance(bad, InvalidSignal)
    assert bad.reason == reason
    assert (good.name, last.name) == ("First", "Last")


def test_alert_that_is_no_object_is_invalid(alert):
    bad, good = parse("alert", alert())

    assert isinstance(bad, InvalidSignal)
    assert isinstance(good, Signal)


def test_alert_at_the_limits_is_valid(alert):
    labels = {"alertname": "x" * 253, "severity": "s" * 50, "namespace": "a", "pod": "p" * 253}
    change = {"labels": labels, "startsAt": "2026-01-01T12:02:00.000000999Z", "extra": nested(7)}

    [signal] = parse(alert() | change)

    assert isinstance(signal, Signal)


def test_nul_in_a_common_label_makes_the_alert_unrepresentable(alert):
    [bad] = parse(alert(), commonLabels={"team": "a\0b"})

    assert bad.reason == "unrepresentable"


@pytest.mark.parametrize("labels", [{"job": "gone"}, {"namespace": "NOT ONE", "pod": "p"}])
def test_resolved_alert_never_fails_for_its_target(alert, labels):
    [signal] = parse(alert("X", status="resolved", **labels))

    assert isinstance(signal, Signal)
    assert (signal.status, signal.target, signal.fingerprint) == ("resolved", None, None)


def test_firing_signal_without_a_target_cannot_be_made(alert):
    [signal] = parse(alert("X", status="resolved", job="gone"))

    with pytest.raises(ValueError, match="no target"):
        replace(signal, status="firing")


def test_label_cluster_tells_clusters_apart_only_where_there_are_several(alert):
    sent = alert("X", cluster="prod-east", namespace="default", deployment="nginx")

    [ignored], [told] = parse(sent), parse(sent, multi_cluster=True)

    assert (ignored.cluster_id, told.cluster_id) == (None, "prod-east")
    assert told.fingerprint == "ccd48e6d1cc2f4a42ce4d4bed85837f1a33c4da8b0352e9afcdf4495d45028db"
    assert ignored.fingerprint != told.fingerprint


def test_cluster_longer_than_the_crd_allows_is_invalid(alert):
    [bad] = parse(alert("X", cluster="c" * 254, namespace="a", pod="p"), multi_cluster=True)

    assert (bad.reason, "254" in bad.message) == ("cluster", True)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'"\xff"', "not JSON"),
        (b"[" * 10_000, "not JSON"),
        (b"[]", "not an object"),
        (b'{"version": "3", "alerts": [{}]}', "\"version\" is '3'"),
        (b'{"version": 4, "alerts": [{}]}', '"version" is 4'),
        (b'{"alerts": [{}]}', '"version" is missing'),
        (b'{"version": "4"}', '"alerts" must be a list'),
        (b'{"version": "4", "alerts": []}', '"alerts" must be a list'),
        (b'{"version": "4", "alerts": {}}', '"alerts" must be a list'),
        (b'{"version": "4", "alerts": [{}], "commonLabels": {"a": 1}}', '"commonLabels" must be an object'),
    ],
)
def test_payload_that_alertmanager_does_not_send_is_refused(body, message):
    with pytest.raises(InvalidPayload) as refusal:
        adapter().parse(body, received_at=NOW)

    assert message in str(refusal.value)

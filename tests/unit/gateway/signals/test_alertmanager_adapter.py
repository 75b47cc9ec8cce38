from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest

from signal_gateway.gateway.signals.alertmanager import AlertmanagerAdapter
from signal_gateway.gateway.signals.signal import InvalidPayload, InvalidSignal, RejectedSignal, Signal
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

    is_malformed = reason in ("status", "shape", "starts_at")
    assert isinstance(bad, InvalidSignal if is_malformed else RejectedSignal)
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


@pytest.mark.parametrize(
    ("labels", "parts"),
    [
        ({"namespace": "prod", "deployment": "API"}, ["deployment='API'", "lower-case"]),
        ({"namespace": "prod", "exported_pod": "a_b", "job": "x"}, ["exported_pod='a_b'", "RFC 1123"]),
        ({"namespace": "prod", "pod": "p" * 254}, ["pod='ppp", "253"]),
        ({"namespace": "Prod", "deployment": "api"}, ["namespace='Prod'", "63", "lower-case"]),
        ({"namespace": "prod", "exported_namespace": "a.b", "pod": "p"}, ["exported_namespace='a.b'"]),
    ],
)
def test_message_names_the_label_its_value_and_the_rule(alert, labels, parts):
    [signal] = parse(alert("X", **labels))

    assert isinstance(signal, RejectedSignal)
    assert all(part in signal.message for part in parts), signal.message
    assert len(signal.message) <= 300


def test_label_that_is_a_number_is_named(alert):
    [signal] = parse(alert() | {"labels": {"alertname": "X", "port": 8080}})

    assert isinstance(signal, InvalidSignal)
    assert "'port' is 8080" in signal.message
    assert signal.labels == {"alertname": "X"}


def test_valid_label_wins_over_an_invalid_one(alert):
    [signal] = parse(alert("X", namespace="prod", deployment="API", pod="api-1"))

    assert signal.target.name == "api-1"


def test_rejected_alert_keeps_its_labels_without_nul(alert):
    [signal] = parse(alert("X", namespace="prod", note="a\0b"))

    assert signal.labels == {"alertname": "X", "namespace": "prod", "note": "a\ufffdb"}


@pytest.mark.parametrize("version", ["4", "1"])
def test_webhook_of_alertmanager_and_of_grafana_are_the_same(alert, version):
    grafana = {"orgId": 1, "title": "[FIRING:1]", "state": "alerting", "message": "m"}
    more = {"values": {"A": 1.5}, "valueString": "[ var='A' ]", "silenceURL": "http://g/s", "dashboardURL": ""}

    [signal] = parse(alert() | more, version=version, **grafana)

    assert isinstance(signal, Signal)


def test_group_and_left_out_alerts_are_known(alert):
    payload = parse(alert(), receiver="gw", groupKey='{}:{alertname="X"}', truncatedAlerts=7)

    assert payload.group == 'gw\n{}:{alertname="X"}'
    assert payload.truncated == 7


@pytest.mark.parametrize("truncated", [0, -1, None, "3", [1]])
def test_odd_number_of_left_out_alerts_counts_as_none(alert, truncated):
    assert parse(alert(), truncatedAlerts=truncated).truncated == 0


def test_notification_is_the_same_for_the_same_labels_start_and_status(alert):
    same = [alert("X", pod="a"), alert("X", pod="a") | {"annotations": {}, "fingerprint": "f", "endsAt": "later"}]
    others = [
        alert("X", pod="b"),
        alert("X", pod="a", starts_at="2026-01-01T00:00:01Z"),
        alert("X", pod="a", status="resolved"),
    ]

    one, again, *different = (signal.notification for signal in parse(*same, *others))

    assert one == again
    assert len({one, *different}) == 4


def test_alert_about_the_cluster_notifies_if_it_is_set(alert):
    body = orjson.dumps({"version": "4", "alerts": [alert("KubeAPIDown", severity="critical")]})

    [rejected] = adapter().parse(body, received_at=NOW)
    [signal] = adapter(cluster_signals="notify").parse(body, received_at=NOW)

    assert isinstance(rejected, RejectedSignal)
    assert (signal.target.kind, signal.target.name, signal.target.namespace) == ("Cluster", "KubeAPIDown", None)


@pytest.mark.parametrize("labels", [{"severity": "none"}, {"namespace": "prod", "deployment": "API"}])
def test_alert_without_a_problem_or_with_an_invalid_name_is_not_about_the_cluster(alert, labels):
    body = orjson.dumps({"version": "4", "alerts": [alert("Watchdog", **labels)]})

    [signal] = adapter(cluster_signals="notify").parse(body, received_at=NOW)

    assert isinstance(signal, RejectedSignal)

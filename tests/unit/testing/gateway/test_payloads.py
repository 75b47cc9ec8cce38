from datetime import UTC, datetime, timedelta

import pytest

from signal_gateway.testing import alert, alertmanager_webhook, kubernetes_event
from signal_gateway.testing.gateway.payloads import alert_fingerprint

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("labels", "fingerprint"),
    [
        ({}, "cbf29ce484222325"),
        (
            {"severity": "high", "alertname": "HighValue", "job": "api", "instance": "api:8000"},
            "948c667b1fc76492",
        ),
        ({"alertname": "Low tick success rate", "instance": "172.31.5.8:9000", "job": "ec2"}, "543b6a7a3042ae2c"),
    ],
)
def test_fingerprint_is_alertmanagers(labels, fingerprint):
    assert alert_fingerprint(labels) == fingerprint


def test_firing_alert_has_every_field():
    one = alert("DiskFull", annotations={"summary": "no room"}, starts_at=NOON, namespace="prod", pod="db-0")

    assert one == {
        "status": "firing",
        "labels": {"alertname": "DiskFull", "namespace": "prod", "pod": "db-0", "severity": "warning"},
        "annotations": {"summary": "no room"},
        "startsAt": "2026-01-31T12:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example:9090/graph?g0.expr=DiskFull&g0.tab=1",
        "fingerprint": alert_fingerprint(one["labels"]),
    }


def test_resolved_alert_ends_after_it_starts():
    given = alert("DiskFull", status="resolved", starts_at=NOON, ends_at=NOON + timedelta(seconds=90.5))
    by_default = alert("DiskFull", status="resolved")

    assert (given["startsAt"], given["endsAt"]) == ("2026-01-31T12:00:00Z", "2026-01-31T12:01:30.5Z")
    assert datetime.fromisoformat(by_default["startsAt"]) < datetime.fromisoformat(by_default["endsAt"])


def test_alert_keeps_its_fingerprint_when_it_ends():
    firing = alert("DiskFull", pod="db-0")
    resolved = alert("DiskFull", status="resolved", pod="db-0")

    assert firing["fingerprint"] == resolved["fingerprint"]


def test_alert_can_do_without_severity():
    assert "severity" not in alert("DiskFull", severity=None)["labels"]


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"status": "burning"}, ValueError, "burning"),
        ({"ends_at": NOON}, ValueError, "no end"),
        ({"starts_at": datetime(2026, 1, 31)}, ValueError, "aware"),
        ({"status": "resolved", "starts_at": NOON, "ends_at": NOON - timedelta(1)}, ValueError, "earlier starts_at"),
        ({"alertname": "Twice"}, ValueError, "alertname"),
        ({"pod": 5}, TypeError, "pod='5'"),
        ({"pod": ""}, ValueError, "leave it out"),
        ({"app.kubernetes.io/name": "x"}, ValueError, "no label name"),
        ({"annotations": {"count": 5}}, TypeError, "count"),
    ],
)
def test_alert_that_is_never_sent_is_refused(arguments, error, said):
    with pytest.raises(error, match=said):
        alert("DiskFull", **arguments)


def test_webhook_has_what_its_alerts_have_in_common():
    first = alert("DiskFull", annotations={"runbook": "r", "summary": "a"}, namespace="prod", pod="db-0")
    second = alert("DiskFull", annotations={"runbook": "r", "summary": "b"}, namespace="prod", pod="db-1")

    webhook = alertmanager_webhook(first, second, group_by=("namespace", "alertname", "job"), truncated=3)

    assert webhook["alerts"] == [first, second]
    assert webhook["commonLabels"] == {"alertname": "DiskFull", "namespace": "prod", "severity": "warning"}
    assert webhook["commonAnnotations"] == {"runbook": "r"}
    assert webhook["groupLabels"] == {"alertname": "DiskFull", "namespace": "prod"}
    assert webhook["groupKey"] == '{}:{alertname="DiskFull", namespace="prod"}'
    assert (webhook["version"], webhook["truncatedAlerts"], webhook["receiver"]) == ("4", 3, "signal-gateway")


def test_group_key_is_quoted_as_alertmanager_does():
    webhook = alertmanager_webhook(alert('a "b" \\ ü\n\x1b\u00a0\U0010fffd'))

    assert webhook["groupKey"] == r'{}:{alertname="a \"b\" \\ ü\n\x1b\u00a0\U0010fffd"}'


def test_webhook_fires_while_any_alert_does():
    firing, resolved = alert("DiskFull"), alert("DiskFull", status="resolved")

    assert alertmanager_webhook(resolved, firing)["status"] == "firing"
    assert alertmanager_webhook(resolved)["status"] == "resolved"


def test_label_on_which_alerts_differ_does_not_group_them():
    webhook = alertmanager_webhook(alert("DiskFull"), alert("NodeDown"))

    assert webhook["groupLabels"] == {}
    assert webhook["groupKey"] == "{}:{}"


@pytest.mark.parametrize(
    ("alerts", "options", "error", "said"),
    [
        ([], {}, ValueError, "at least one"),
        ([[alert("DiskFull")]], {}, TypeError, "one by one"),
        ([alert("DiskFull")], {"group_by": "alertname"}, TypeError, r'\("alertname",\)'),
        ([alert("DiskFull")], {"truncated": -1}, ValueError, "-1"),
    ],
)
def test_webhook_that_is_never_sent_is_refused(alerts, options, error, said):
    with pytest.raises(error, match=said):
        alertmanager_webhook(*alerts, **options)


def test_event_is_about_its_object():
    event = kubernetes_event("BackOff", kind="Deployment", name="api", namespace="prod", message="m", count=3, at=NOON)

    assert (event["reason"], event["message"], event["type"], event["count"]) == ("BackOff", "m", "Warning", 3)
    assert event["involvedObject"].items() >= {
        ("kind", "Deployment"),
        ("name", "api"),
        ("namespace", "prod"),
        ("apiVersion", "apps/v1"),
    }
    assert event["metadata"]["namespace"] == "prod"
    assert event["metadata"]["name"].startswith("api.")
    assert event["firstTimestamp"] == event["lastTimestamp"] == "2026-01-31T12:00:00Z"


def test_event_about_a_cluster_scoped_object_lives_in_default():
    event = kubernetes_event("NodeNotReady", kind="Node", name="worker-1", namespace=None)

    assert "namespace" not in event["involvedObject"]
    assert event["metadata"]["namespace"] == "default"


@pytest.mark.parametrize(
    ("change", "said"),
    [({"kind": ""}, "kind"), ({"type": "Bad"}, "Normal, Warning, Error"), ({"count": 0}, "1 or more")],
)
def test_event_that_never_happens_is_refused(change, said):
    with pytest.raises(ValueError, match=said):
        kubernetes_event("BackOff", **({"kind": "Pod", "name": "api", "namespace": "prod"} | change))

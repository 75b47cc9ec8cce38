"""The webhook bodies of the usual senders, with the members and labels that each of them adds."""

import pytest

from signal_gateway.kubernetes.resources import RemediationRequest

PATH = "/api/v1/signals/prometheus"


def webhook(alert, **members):
    """Return a body with one firing alert in Alertmanager's form, with further members."""
    body = {
        "version": "4",
        "status": "firing",
        "receiver": "gateway",
        "groupLabels": {"alertname": alert["labels"]["alertname"]},
        "commonLabels": alert["labels"],
        "commonAnnotations": alert["annotations"],
        "externalURL": "http://alertmanager.example.com:9093",
        "groupKey": '{}:{alertname="HighErrorRate"}',
        "truncatedAlerts": 0,
        "alerts": [alert],
    }
    return body | members


def firing(starts_at, *, url, labels, **members):
    """Return a firing alert about a Deployment as a sender writes it."""
    return {
        "status": "firing",
        "labels": {"alertname": "HighErrorRate", "namespace": "prod", "deployment": "api", **labels},
        "annotations": {"summary": "errors"},
        "startsAt": starts_at,
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": url,
        "fingerprint": "c6eadffa33fcdf37",
        **members,
    }


def grafana(values):
    """Return a body of Grafana's webhook notifier."""
    alert = firing(
        "2026-05-01T11:51:03.157076+02:00",
        url="https://grafana.example.com/alerting/grafana/1afz29v7z/view?orgId=1",
        labels={"grafana_folder": "prod", "team": "blue"},
        silenceURL="https://grafana.example.com/alerting/silence/new?alertmanager=grafana",
        dashboardURL="https://grafana.example.com/d/a",
        panelURL="",
        imageURL="",
        values=values,
        valueString="[ var='B' labels={} value=44.2 ]",
        orgId=1,
    )
    more = {"version": "1", "orgId": 1, "appVersion": "12.0.0", "state": "alerting", "title": "[FIRING:1]"}
    return webhook(alert, groupKey='{}/{team=~"blue"}:{}', groupLabels={}, message="**Firing**", **more)


BODIES = {
    "Grafana": grafana({"B": 44.23943737541908, "C": 1}),
    "Grafana without values": grafana(None),
    "vmalert": webhook(
        firing(
            "2026-05-01T09:51:00Z",
            url="http://vmalert:8880/vmalert/alert?group_id=6537282302132486013&alert_id=1413",
            labels={"alertgroup": "api.rules", "job": "api", "cluster": "prod-eu"},
        )
    ),
    "Mimir": webhook(
        firing(
            "2026-05-01T09:51:03.157076123Z",
            url="http://mimir.example.com/graph?g0.expr=up&g0.tab=1",
            labels={"cluster": "prod-eu", "job": "prod/api", "tenant": "team-a"},
        ),
        externalURL="http://mimir.example.com/alertmanager",
        groupKey='{}/{severity="critical"}:{cluster="prod-eu"}',
    ),
    "Thanos Ruler": webhook(
        firing(
            "2026-05-01T09:51:03.157Z",
            url="http://thanos-query:10902/graph?g0.expr=up&g0.tab=1",
            labels={"prometheus": "monitoring/k8s", "prometheus_replica": "prometheus-k8s-0", "ruler_cluster": "eu"},
        )
    ),
    "Alertmanager with the reason": webhook(
        firing("2026-05-01T09:51:03.157Z", url="http://prometheus/graph", labels={}),
        notification_reason="new alerts added",
    ),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_body_of_each_sender_creates_a_remediation_request_about_its_object(gateway, body):
    answer = gateway.client.post(PATH, json=body)

    assert answer.status_code == 201, answer.text
    name = answer.json()["remediationRequestName"]
    spec = gateway.cluster.lightkube().get(RemediationRequest, name, namespace=gateway.cluster.namespace)["spec"]
    target = spec["targetResource"]
    assert (target["namespace"], target["kind"], target["name"]) == ("prod", "Deployment", "api")
    assert spec["firingTime"].startswith("2026-05-01T09:51:0")


@pytest.mark.parametrize("alertname", ["DatasourceNoData", "DatasourceError"])
def test_alert_of_grafana_about_its_data_source_is_rejected_with_success(gateway, alertname):
    body = grafana(None)
    body["alerts"][0]["labels"] = body["commonLabels"] = {
        "alertname": alertname,
        "datasource_uid": "grafanacloud-prom",
        "grafana_folder": "prod",
        "ref_id": "A",
        "rulename": "HighErrorRate",
    }

    answer = gateway.client.post(PATH, json=body)

    assert (answer.status_code, answer.json()["rejection"]["reason"]) == (200, "no_target")

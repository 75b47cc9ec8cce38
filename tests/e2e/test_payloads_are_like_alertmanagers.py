"""What a real Alertmanager posts about alerts is what `alertmanager_webhook` makes of them, to the letter."""

import json
import queue
import socket
from datetime import UTC, datetime, timedelta

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from tests.e2e.alertmanager import alertmanager_part, notifying, post
from tests.e2e.part import ReservedPort

from signal_gateway.testing import alert, alertmanager_webhook

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
GROUP_BY = ("severity", "alertname", "team")
ODD_VALUES = {
    "quotes": 'say "no" \\ twice',
    "html": "<a> & <b>",
    "line ends": "one\ntwo\r\tthree\v\f\a\b",
    "control characters": "\x01\x1b\x7f\x80",
    "spaces": "no-break\u00a0line\u2028zero\u200dwide",
    "beyond latin": "Füße 日本 😀 \ue000 \U0010fffd",
}


@pytest.fixture
def posted(gateway_serve, program, tmp_path):
    """Send alerts to a real Alertmanager, and return what it then posts about so many of them, and its URL."""
    webhooks = queue.SimpleQueue()

    async def take(request):
        webhooks.put(await request.body())
        return Response()

    server = gateway_serve(Starlette(routes=[Route("/", take, methods=["POST"])]))
    configuration = notifying(server.url)
    configuration["route"]["group_by"] = list(GROUP_BY)
    configuration["receivers"][0]["webhook_configs"][0]["max_alerts"] = 3

    def send(*alerts, count=None):
        post(alertmanager, alerts)
        while True:
            webhook = json.loads(webhooks.get(timeout=60))
            if len(webhook["alerts"]) + webhook["truncatedAlerts"] == (count or len(alerts)):
                return webhook, f"http://{socket.gethostname()}:{port.number}"

    path = program("prometheus-alertmanager")
    with (
        ReservedPort() as port,
        alertmanager_part(path, tmp_path, port=port, configuration=configuration) as alertmanager,
    ):
        yield send


def assert_same(posted, *alerts, truncated=0):
    webhook, external_url = posted
    webhook.pop("notification_reason", None)  # newer versions say why they notify
    built = alertmanager_webhook(
        *alerts, receiver="gateway", group_by=GROUP_BY, external_url=external_url, truncated=truncated
    )
    assert webhook == built
    assert json.dumps(webhook) == json.dumps(built)  # the order of the keys, too


@pytest.mark.parametrize(
    "starts_at",
    [NOON, NOON + timedelta(seconds=0.5), NOON + timedelta(microseconds=120), NOON + timedelta(microseconds=123456)],
    ids=lambda moment: moment.strftime("%fus"),
)
def test_firing_alert(posted, starts_at):
    one = alert("Disk full", annotations={"summary": "no room"}, starts_at=starts_at, namespace="prod", pod="db-0")

    assert_same(posted(one), one)


@pytest.mark.parametrize("value", ODD_VALUES.values(), ids=ODD_VALUES)
def test_odd_characters(posted, value):
    one = alert(value, annotations={"summary": value}, starts_at=NOON, namespace=value)

    assert_same(posted(one), one)


def test_alert_that_ends_in_a_group_that_goes_on(posted):
    first, second = (
        alert("DiskFull", annotations={"runbook": "r", "pod": pod}, starts_at=NOON, namespace="prod", pod=pod)
        for pod in ("db-0", "db-1")
    )
    ended = alert(
        "DiskFull",
        status="resolved",
        annotations={"runbook": "r", "pod": "db-1"},
        starts_at=NOON,
        ends_at=NOON + timedelta(seconds=90.25),
        namespace="prod",
        pod="db-1",
    )

    assert_same(posted(first, second), first, second)
    assert_same(posted(ended, count=2), first, ended)


def test_alert_that_ends_alone(posted):
    labels = {"namespace": "prod", "team": "db"}
    firing = alert("DiskFull", severity=None, starts_at=NOON, **labels)
    ended = alert("DiskFull", severity=None, status="resolved", starts_at=NOON, **labels)

    assert_same(posted(firing), firing)
    assert_same(posted(ended), ended)


def test_more_alerts_than_the_receiver_takes(posted):
    alerts = [alert("DiskFull", starts_at=NOON, namespace="prod", pod=f"db-{number}") for number in range(5)]

    assert_same(posted(*alerts), *alerts[:3], truncated=2)

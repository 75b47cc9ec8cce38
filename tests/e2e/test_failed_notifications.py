"""Real alerts, half of them about no object: Alertmanager has nothing to complain about the gateway."""

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from tests.e2e.chain import wait_until
from tests.e2e.notifying import Notifications, NotifyingChain, firing_alerts_of

from signal_gateway.testing.gateway.live import PROMETHEUS_PATH

ALERTS = firing_alerts_of(Path(__file__).parents[1] / "conformance/gateway/data/kube_prometheus_alerts.json")
AN_HOUR = 12  # group intervals of five minutes


@pytest.fixture
def server(gateway_serve):
    """Serve a webhook that counts the notifications, and one that takes none."""
    notifications = Notifications()

    async def count(request):
        notifications.add(await request.json())
        return Response()

    async def refuse(_):
        return Response(status_code=400)

    routes = [Route("/count", count, methods=["POST"]), Route("/refuse", refuse, methods=["POST"])]
    return gateway_serve(Starlette(routes=routes)).url, notifications


@pytest.fixture
def start(program, tmp_path):
    """Make a chain whose alerts go to webhooks."""

    def start(*webhooks, alerts=ALERTS):
        return NotifyingChain(
            prometheus=program("prometheus"),
            alertmanager=program("prometheus-alertmanager"),
            directory=tmp_path,
            alerts=alerts,
            webhooks=webhooks,
        )

    return start


def test_no_notification_of_real_alerts_fails_for_an_hour_of_group_intervals(gateway, server, start):
    url, notifications = server

    with start(gateway.url + PROMETHEUS_PATH, f"{url}/count") as chain:
        notifications.wait_until_each_has_come(AN_HOUR + 1, groups=len(ALERTS))
        wait_until(lambda: chain.watched() > 0, "Prometheus sees the notifications")
        failed, judged = chain.failed_notifications(), chain.judged()

    assert (failed, judged) == ([0, 0], set())
    assert gateway.metrics.value("gateway_signals_rejected_total", reason="no_target") >= AN_HOUR


def test_rules_about_failed_notifications_fire_where_a_webhook_refuses(server, start):
    url, _ = server

    with start(f"{url}/refuse", alerts=ALERTS[:3]) as chain:
        wait_until(lambda: len(chain.judged()) == 2, "both rules fire")
        assert sum(chain.failed_notifications()) > 0

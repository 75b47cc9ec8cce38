"""The same fixtures in asyncio tests: the servers have their own event loops, so you can use any loop."""

import asyncio

import pytest

from signal_gateway.testing import LiveGateway, alert, alertmanager_webhook

pytestmark = pytest.mark.anyio  # or pytest.mark.asyncio of pytest-asyncio


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio only, not on trio."""
    return "asyncio"


@pytest.mark.gateway(processing={"retry": {"max_attempts": 1}})
async def test_api_outage_is_the_senders_to_retry(gateway: LiveGateway) -> None:
    gateway.cluster.faults.fail(verb="create", resource="remediationrequests", status=503, times=1)
    webhook = alertmanager_webhook(alert("X", namespace="prod", deployment="api"))

    response = await gateway.async_client.post("/api/v1/signals/prometheus", json=webhook)

    assert response.status_code == 503
    assert "Retry-After" in response.headers


async def test_alerts_at_the_same_moment_make_one_remediation(gateway: LiveGateway) -> None:
    webhooks = [alertmanager_webhook(alert(f"Alert{n}", namespace="prod", deployment="api")) for n in range(5)]

    responses = await asyncio.gather(
        *(gateway.async_client.post("/api/v1/signals/prometheus", json=webhook) for webhook in webhooks)
    )

    assert sorted(response.status_code for response in responses) == [201, 202, 202, 202, 202]
    assert len({response.json()["remediationRequestName"] for response in responses}) == 1

"""Your own service: one per test on a real socket, with the one audit store of the process."""

import pytest
from service import EVENT_TYPE, create_app

from signal_gateway.testing import LiveService, ServiceFactory


@pytest.fixture
def orders(gateway_serve: ServiceFactory) -> LiveService:
    return gateway_serve(create_app)


def test_order_is_counted_and_audited(orders: LiveService) -> None:
    response = orders.client.post("/orders/o-1", params={"item": "tea"})

    assert response.status_code == 201
    assert orders.metrics.value("orders_placed_total", item="tea") == 1
    assert orders.audit_trail.one(EVENT_TYPE, correlation_id="o-1").event_data["item"] == "tea"


def test_two_servers_share_no_metric(gateway_serve: ServiceFactory) -> None:
    first, second = gateway_serve(create_app), gateway_serve(create_app)

    first.client.post("/orders/o-2", params={"item": "tea"})

    assert first.metrics.value("orders_placed_total", item="tea") == 1
    assert second.metrics.value("orders_placed_total", item="tea") == 0


@pytest.mark.asyncio
async def test_order_from_an_asyncio_test(orders: LiveService) -> None:
    response = await orders.async_client.post("/orders/o-3", params={"item": "milk"})

    assert response.status_code == 201
    await orders.audit_trail.aone(EVENT_TYPE, correlation_id="o-3")

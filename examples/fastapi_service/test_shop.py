"""The shop is imported once, and its metrics live in the global registry: each test sees its own changes."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from fastapi import FastAPI
from shop import ORDER_PLACED, RECEIPT_SENT, app, get_audit_store

from signal_gateway.audit import AuditStore
from signal_gateway.testing import LiveService, ServiceFactory


@contextmanager
def shop_with_store(audit_store: AuditStore) -> Iterator[FastAPI]:
    """The parameter gives this service an audit store of its own view, and `shop.audit_trail` its events alone."""
    app.dependency_overrides[get_audit_store] = lambda: audit_store
    yield app
    app.dependency_overrides.clear()


@pytest.fixture
def shop(gateway_serve: ServiceFactory) -> LiveService:
    return gateway_serve(shop_with_store)


def test_order_is_placed_counted_and_audited(shop: LiveService) -> None:
    response = shop.client.post("/orders/shop-1", json={"item": "tea", "count": 2})

    assert response.status_code == 201
    assert shop.metrics.value("shop_orders_total", result="placed") == 1
    shop.audit_trail.one(ORDER_PLACED, correlation_id="shop-1")


def test_refused_order_is_counted_from_zero_in_every_test(shop: LiveService) -> None:
    response = shop.client.post("/orders/shop-2", json={"item": "unicorn", "count": 1})

    assert response.status_code == 409
    assert shop.metrics.value("shop_orders_total", result="refused") == 1
    assert shop.metrics.value("shop_orders_total", result="placed") == 0
    shop.audit_trail.none(ORDER_PLACED, correlation_id="shop-2")


def test_receipt_is_sent_after_the_response(shop: LiveService) -> None:
    shop.client.post("/orders/shop-3", json={"item": "milk", "count": 1})
    shop.settle()

    assert shop.metrics.value("shop_open_receipts") == 0
    shop.audit_trail.sequence(ORDER_PLACED, RECEIPT_SENT, correlation_id="shop-3")


@pytest.mark.asyncio
async def test_invalid_order_from_an_asyncio_test(shop: LiveService) -> None:
    response = await shop.async_client.post("/orders/shop-4", json={"item": "tea", "count": 0})

    assert response.status_code == 422

"""One warehouse per test, and one for the whole module where the tests only read."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from warehouse import ITEMS_MOVED, create_app

from signal_gateway.testing import LiveService, ServiceFactory


@pytest.fixture
def warehouse(gateway_serve: ServiceFactory) -> LiveService:
    return gateway_serve(create_app)


@pytest.fixture(scope="module")
def full_warehouse(gateway_serve_module: ServiceFactory) -> LiveService:
    service = gateway_serve_module(create_app)
    for number, item in enumerate(("tea", "milk", "sugar")):
        service.client.post(f"/moves/fill-{number}", json={"item": item, "count": 10})
    return service


def test_move_is_counted_and_audited(warehouse: LiveService) -> None:
    response = warehouse.client.post("/moves/move-1", json={"item": "tea", "count": 3})

    assert (response.status_code, response.json()) == (201, {"left": 3})
    assert warehouse.metrics.value("warehouse_moved_total", direction="in") == 3
    assert warehouse.audit_trail.one(ITEMS_MOVED, correlation_id="move-1").event_data["item"] == "tea"


def test_missing_items_are_refused_and_not_audited(warehouse: LiveService) -> None:
    response = warehouse.client.post("/moves/move-2", json={"item": "tea", "count": -1})

    assert response.status_code == 409
    warehouse.audit_trail.none(ITEMS_MOVED, correlation_id="move-2")


def test_parallel_moves_lose_no_item(warehouse: LiveService) -> None:
    def move(number: int) -> int:
        return warehouse.client.post(f"/moves/par-{number}", json={"item": "tea", "count": 1}).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(move, range(40)))

    assert statuses == [201] * 40
    assert warehouse.metrics.value("warehouse_moved_total", direction="in") == 40
    assert len(warehouse.audit_trail.events(correlation_id="par-39")) == 1


def test_stock_is_shared_by_the_module(full_warehouse: LiveService) -> None:
    assert full_warehouse.metrics.value("warehouse_kinds") == 3


def test_change_of_one_test_is_a_delta(full_warehouse: LiveService) -> None:
    with full_warehouse.metrics.delta() as delta:
        full_warehouse.client.post("/moves/sold", json={"item": "milk", "count": -4})

    assert delta == {'warehouse_moved_total{direction="out"}': 4}

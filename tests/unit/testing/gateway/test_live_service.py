"""LiveService: metrics of any registry, settled work, and audit events of a service, with and without pytest."""

import asyncio
import threading

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from signal_gateway.audit import AuditEvent
from signal_gateway.errors import HarnessError
from signal_gateway.gateway.config import GatewayConfig, merged
from signal_gateway.gateway.factory import create_gateway
from signal_gateway.testing import EmbeddedCluster, LiveGateway, RecordingAuditStore, serve


def order_placed(order):
    return AuditEvent(
        event_type="orders.order.placed",
        event_category="orders",
        event_action="placed",
        event_outcome="success",
        correlation_id=order,
        event_data={"event_type": "orders.order.placed"},
    )


def app_of(**handlers):
    return Starlette(routes=[Route(f"/{name}", handler, methods=["POST"]) for name, handler in handlers.items()])


def recording(audit_store):
    async def place(request):
        audit_store.record(order_placed(request.query_params["order"]))
        return PlainTextResponse("placed")

    return app_of(place=place)


@pytest.fixture
def shop():
    """A registry with metrics that counted before, and an application that uses them."""
    registry = CollectorRegistry()
    placed = Counter("orders_placed", "Orders.", ["item"], registry=registry)
    seconds = Histogram("orders_seconds", "Seconds.", registry=registry)
    waiting = Gauge("orders_waiting", "Orders that wait.", registry=registry)

    async def place(_request):
        placed.labels("tea").inc()
        seconds.observe(1)
        waiting.inc()
        return PlainTextResponse("placed")

    placed.labels("tea").inc(40)
    seconds.observe(3)
    waiting.set(2)
    return registry, app_of(place=place)


def test_metrics_of_a_given_registry_count_from_the_start_of_the_service(gateway_serve, shop):
    registry, app = shop
    service = gateway_serve(app, registry=registry)

    assert service.metrics.value("orders_placed_total", item="tea") == 0
    service.client.post("/place")

    assert service.metrics.value("orders_placed_total", item="tea") == 1
    assert service.metrics.value("orders_seconds_count") == 1
    assert service.metrics.value("orders_seconds_sum") == 1
    assert service.metrics.value("orders_seconds_bucket", le=2.5) == 1
    assert service.metrics.value("orders_waiting") == 3
    assert service.metrics.counted() == {
        'orders_placed_total{item="tea"}': 1,
        "orders_seconds_count": 1,
        "orders_waiting": 3,
    }


def test_second_service_of_a_registry_counts_anew(gateway_serve, shop):
    registry, app = shop
    gateway_serve(app, registry=registry).client.post("/place")

    service = gateway_serve(app, registry=registry)
    with service.metrics.delta() as delta:
        service.client.post("/place")

    assert service.metrics.value("orders_placed_total", item="tea") == 1
    assert delta['orders_placed_total{item="tea"}'] == 1


def test_metric_that_was_registered_anew_counts_from_zero(gateway_serve):
    registry = CollectorRegistry()
    old = Counter("orders_placed", "Orders.", registry=registry)
    old.inc(40)
    service = gateway_serve(app_of(), registry=registry)

    registry.unregister(old)
    Counter("orders_placed", "Orders.", registry=registry).inc(2)

    assert service.metrics.value("orders_placed_total") == 2


@pytest.mark.usefixtures("gateway_isolated_registry")
def test_application_without_a_registry_has_the_metrics_of_the_global_one(gateway_serve):
    placed = Counter("shop_orders_placed", "Orders.")
    placed.inc(40)
    service = gateway_serve(app_of())

    placed.inc()

    assert service.registry is REGISTRY
    assert service.metrics.value("shop_orders_placed_total") == 1


def test_settle_waits_for_background_tasks_of_a_response():
    began, released = threading.Event(), threading.Event()
    done = []

    def finish():
        began.set()
        assert released.wait(60)
        done.append(True)

    async def place(_request):
        return PlainTextResponse("placed", background=BackgroundTask(finish))

    with serve(app_of(place=place)) as service:
        service.client.post("/place")
        assert began.wait(60)
        with pytest.raises(HarnessError, match="waiting for the requests and tasks"):
            service.settle(0.05)
        released.set()
        service.settle()

        assert done == [True]


def test_settle_waits_for_tasks_that_a_request_started_and_for_their_tasks(
    gateway_serve, gateway_audit_store, gateway_audit_trail
):
    first_may_end, second_may_end = asyncio.Event(), asyncio.Event()

    async def second(order):
        await second_may_end.wait()
        gateway_audit_store.record(order_placed(order))

    async def first(order):
        await first_may_end.wait()
        asyncio.create_task(second(order), name="second")  # noqa: RUF006 - the server keeps it

    async def place(request):
        asyncio.create_task(first(request.query_params["order"]), name="first")  # noqa: RUF006 - the server keeps it
        return PlainTextResponse("placed")

    async def end_first(_request):
        first_may_end.set()
        return PlainTextResponse("ended")

    async def end_second(_request):
        second_may_end.set()
        return PlainTextResponse("ended")

    service = gateway_serve(app_of(place=place, end_first=end_first, end_second=end_second))
    service.client.post("/place", params={"order": "task-of-a-task"})
    with pytest.raises(HarnessError, match="task first"):
        service.settle(0.05)
    service.client.post("/end_first")
    with pytest.raises(HarnessError, match="task second"):
        service.settle(0.05)
    service.client.post("/end_second")

    assert service.settle().ok
    gateway_audit_trail.one(correlation_id="task-of-a-task")


def test_settle_does_not_wait_for_endless_tasks_of_the_start_up(gateway_serve):
    async def create_app():
        polling = asyncio.create_task(asyncio.Event().wait())

        async def place(_request):
            return PlainTextResponse("placed")

        try:
            yield app_of(place=place)
        finally:
            polling.cancel()

    service = gateway_serve(create_app)
    service.client.post("/place")

    assert service.settle().ok


def test_endless_task_of_a_request_is_an_error_that_names_it():
    tasks = []

    async def place(_request):
        tasks.append(asyncio.create_task(asyncio.Event().wait(), name="endless"))
        return PlainTextResponse("placed")

    async def end(_request):
        tasks[0].cancel()
        return PlainTextResponse("ended")

    with serve(app_of(place=place, end=end)) as service:
        service.client.post("/place")
        with pytest.raises(
            HarnessError, match=r"busy after 0\.05 s: task endless .*Start an endless task in the start-up"
        ):
            service.settle(0.05)
        service.client.post("/end")


def test_service_without_pytest_has_an_audit_trail_of_its_own():
    with serve(recording) as service:
        service.client.post("/place", params={"order": "o-1"})

        assert service.audit_trail.one("orders.order.placed").correlation_id == "o-1"
        assert service.settle().pending == 0


def test_service_without_pytest_records_to_the_store_that_you_pass():
    store = RecordingAuditStore()

    with serve(recording, audit_store=store) as service:
        service.client.post("/place", params={"order": "o-1"})
        assert service.settle() is None
        with pytest.raises(HarnessError, match="a RecordingAuditStore has no DataStorage to query"):
            _ = service.audit_trail

    assert [event.correlation_id for event in store.events] == ["o-1"]


def test_gateway_is_served_as_a_gateway():
    with EmbeddedCluster() as cluster:
        config = merged(GatewayConfig(), {"processing": {"scope": {"enabled": False}}})
        gateway = create_gateway(config, kubernetes=cluster.client(), audit_store=RecordingAuditStore())
        with serve(gateway, cluster=cluster) as live:
            assert isinstance(live, LiveGateway)


def test_argument_for_the_other_kind_of_server_is_an_error():
    with EmbeddedCluster() as cluster:
        with pytest.raises(HarnessError, match="takes no cluster for a service"):
            serve(app_of(), cluster=cluster)
        gateway = create_gateway(GatewayConfig(), kubernetes=cluster.client(), audit_store=RecordingAuditStore())
        with pytest.raises(HarnessError, match="takes no registry for a gateway: pass it to create_gateway"):
            serve(gateway, registry=CollectorRegistry())


def test_service_that_was_never_started_releases_its_socket():
    service = serve(app_of())
    service.stop()

    with serve(app_of()) as other:
        assert other.url != service.url


def test_clock_that_no_factory_takes_cannot_be_moved(gateway_serve):
    with pytest.raises(HarnessError, match="serve a factory with a parameter clock"):
        _ = gateway_serve(app_of()).clock

"""The audit trail of a live server has the events of this server, though all servers share one store."""

from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from signal_gateway import GatewayConfig, create_gateway
from signal_gateway.audit import AuditEvent, AuditStoreConfig, AuditTrail, BufferedAuditStore, DataStorageClient
from signal_gateway.errors import AuditError, HarnessError
from signal_gateway.testing import LiveServer, serve

ORDERS = """
from signal_gateway.audit import AuditEvent
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route


def create_app(registry, audit_store):
    async def place(request):
        audit_store.record(AuditEvent(
            event_type="orders.order.placed", event_category="orders", event_action="placed",
            event_outcome="success", correlation_id=request.path_params["order"],
            event_data={"event_type": "orders.order.placed"},
        ))
        return PlainTextResponse("placed")

    return Starlette(routes=[Route("/orders/{order}", place, methods=["POST"])])
"""


@pytest.fixture
def orders_suite(suite):
    """Run a suite with `create_app`, a service whose tests all place the same order."""

    def run(*arguments, **files):
        return suite(*arguments, orders=ORDERS, **files)

    return run


SAME_ORDER = """
import pytest
from orders import create_app


def place_and_check(service):
    service.client.post("/orders/o1")
    event = service.audit_trail.one("orders.order.placed", correlation_id="o1")
    assert [found.event_id for found in service.audit_trail.events()] == [event.event_id]


def test_first(gateway_serve):
    place_and_check(gateway_serve(create_app))


def test_second(gateway_serve):
    place_and_check(gateway_serve(create_app))


@pytest.mark.parametrize("number", range(4))
def test_parametrised(gateway_serve, number):
    place_and_check(gateway_serve(create_app))


def test_nothing_was_placed(gateway_serve):
    service = gateway_serve(create_app)
    service.audit_trail.none(correlation_id="o1")
    assert service.audit_trail.events() == []


def test_two_services_of_one_test(gateway_serve):
    one, other = gateway_serve(create_app), gateway_serve(create_app)
    place_and_check(one)
    other.audit_trail.none("orders.order.placed")
    place_and_check(other)
    assert one.audit_trail.one().event_id != other.audit_trail.one().event_id
"""


def test_same_order_in_many_tests_is_one_event_in_each_trail(orders_suite):
    result = orders_suite(test_it=SAME_ORDER)

    result.assert_outcomes(passed=8)
    result.stdout.fnmatch_lines(["*8 events recorded, 8 delivered, 0 rejected, 0 pending"])


def test_workers_of_xdist_do_not_see_each_others_order(orders_suite):
    result = orders_suite("-n", "2", test_it=SAME_ORDER)

    result.assert_outcomes(passed=8)
    result.stdout.fnmatch_lines(["*8 events recorded, 8 delivered, 0 rejected, 0 pending"])


def test_rerun_does_not_see_the_order_of_the_first_run(orders_suite):
    result = orders_suite(
        "-p",
        "pytest_rerunfailures",
        "--reruns=1",
        test_it="""
        from orders import create_app

        RUNS = []

        def test_order(gateway_serve):
            RUNS.append("run")
            service = gateway_serve(create_app)
            service.client.post("/orders/o1")
            service.audit_trail.one("orders.order.placed", correlation_id="o1")
            assert len(RUNS) == 2
        """,
    )

    result.assert_outcomes(passed=1)
    assert result.parseoutcomes()["rerun"] == 1


def test_gateways_of_one_test_do_not_see_each_other(gateway_factory, gateway_audit_trail):
    one, other = gateway_factory(), gateway_factory()
    created = one.send_alert("HighLatency", namespace="prod", deployment="api").json()["remediationRequestName"]
    repeated = other.send_alert("HighLatency", namespace="prod", deployment="api").json()["remediationRequestName"]

    assert created == repeated
    assert types(one.audit_trail) == ["gateway.signal.received", "gateway.crd.created"]
    assert types(other.audit_trail) == ["gateway.signal.deduplicated"]
    other.audit_trail.none("gateway.crd.created", correlation_id=created)
    assert types(gateway_audit_trail, created) == types(one.audit_trail, created) + types(other.audit_trail, created)


def test_gateway_hands_on_the_one_store_of_the_process(gateway, gateway_audit_store):
    assert gateway.gateway.audit_store is gateway_audit_store


def test_trail_of_a_stopped_gateway_has_its_events(gateway_factory):
    gateway = gateway_factory()
    gateway.send_alert("HighLatency", namespace="prod", deployment="api")

    gateway.stop()

    assert types(gateway.audit_trail) == ["gateway.signal.received", "gateway.crd.created"]


def test_mismatch_names_the_events_of_other_servers_without_showing_them(gateway_factory):
    one, other = gateway_factory(), gateway_factory()
    name = one.send_alert("HighLatency", namespace="prod", deployment="api").json()["remediationRequestName"]

    with pytest.raises(AssertionError, match="found 0") as failure:
        other.audit_trail.one("gateway.crd.created", correlation_id=name)

    assert "1 event that other servers recorded" in str(failure.value)
    assert "gateway_audit_trail" in str(failure.value)


def test_trail_of_a_stopped_service_has_what_it_records_in_the_background(gateway_serve, gateway_audit_store):
    stores = []

    def create_app(registry, audit_store):  # noqa: ARG001
        stores.append(audit_store)
        return Starlette()

    service = gateway_serve(create_app)
    service.server.stop()
    gateway_audit_store.record(closed_day())

    mine = closed_day()
    stores[0].record(mine)

    assert [event.event_id for event in service.audit_trail.events()] == [mine.event_id]


def test_service_that_closes_its_store_leaves_the_one_of_the_process_open(gateway_serve, gateway_audit_store):
    service = gateway_serve(lambda registry, audit_store: closing_app(audit_store))  # noqa: ARG005

    service.server.stop()

    assert gateway_audit_store.accepting
    assert types(service.audit_trail) == ["shop.day.closed"]


def test_gateway_inside_a_service_is_ready_with_the_store_of_the_service(gateway_serve, gateway_cluster):
    config = GatewayConfig(controller_namespace=gateway_cluster.namespace, processing={"scope": {"enabled": False}})

    def create_app(registry, audit_store):
        kubernetes = gateway_cluster.client()
        return create_gateway(config, kubernetes=kubernetes, audit_store=audit_store, registry=registry).app

    service = gateway_serve(create_app)

    assert service.client.get("/readyz").json()["checks"]["datastorage"] == "ok"


def test_application_without_a_store_has_no_trail(gateway_serve):
    service = gateway_serve(Starlette())

    with pytest.raises(HarnessError, match=r"received no audit store: query gateway_audit_trail"):
        _ = service.audit_trail


def closing_app(audit_store):
    """A service whose lifespan records an event and closes the store, as its own production does."""

    @asynccontextmanager
    async def lifespan(_):
        async with audit_store:
            yield
            audit_store.record(closed_day())

    return Starlette(lifespan=lifespan)


def closed_day():
    return AuditEvent(
        event_type="shop.day.closed",
        event_category="shop",
        event_action="closed",
        event_outcome="success",
        correlation_id="day-1",
        event_data={},
    )


def types(trail, correlation_id=None):
    filters = {} if correlation_id is None else {"correlation_id": correlation_id}
    return [event.event_type for event in trail.events(**filters)]


@pytest.fixture
def store_with_rejections():
    """A store whose DataStorage rejects the events with the severity "bad", and keeps the others."""
    kept = []

    async def page(_):
        return JSONResponse({"data": kept, "pagination": {"total": len(kept), "has_more": False}})

    async def batch(request):
        events = await request.json()
        bad = [index for index, event in enumerate(events) if event.get("severity") == "bad"]
        if bad:
            problem = {"errors": [{"index": index, "field": "severity", "message": "is bad"} for index in bad]}
            return JSONResponse(problem, status_code=422, media_type="application/problem+json")
        kept.extend(events)
        return JSONResponse({"event_ids": [event["event_id"] for event in events]}, status_code=201)

    routes = [
        Route("/api/v1/audit/events", page),
        Route("/api/v1/audit/events/batch", batch, methods=["POST"]),
    ]
    config = AuditStoreConfig(durability="memory")
    with (
        LiveServer(Starlette(routes=routes), name="DataStorage stand-in") as datastorage,
        BufferedAuditStore(DataStorageClient(datastorage.url), service="orders", config=config) as store,
    ):
        yield store


def test_rejected_event_of_one_service_is_no_error_in_the_trail_of_another(store_with_rejections):
    def create_app(audit_store):
        async def place(request):
            severity = request.query_params["severity"]
            audit_store.record(
                AuditEvent(
                    event_type="orders.placed",
                    event_category="orders",
                    event_action="placed",
                    event_outcome="success",
                    correlation_id="o1",
                    severity=severity,
                    event_data={"event_type": "orders.placed"},
                )
            )
            return JSONResponse({})

        return Starlette(routes=[Route("/orders", place, methods=["POST"])])

    with (
        serve(create_app, audit_store=store_with_rejections) as one,
        serve(create_app, audit_store=store_with_rejections) as other,
    ):
        one.client.post("/orders?severity=bad")
        other.client.post("/orders?severity=good")

        with pytest.raises(AuditError, match=r"DataStorage rejected 1 event of the query.*is bad"):
            one.audit_trail.events()
        assert other.audit_trail.one(correlation_id="o1").severity == "good"
        with pytest.raises(AuditError, match="rejected 1 event"):
            AuditTrail(store_with_rejections.client, barrier=store_with_rejections.flush).events()

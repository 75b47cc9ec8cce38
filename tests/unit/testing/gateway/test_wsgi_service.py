"""WSGI applications run on threads of their own, with the rules of every live server."""

import threading

import pytest
from flask import Flask, Response, request

from signal_gateway.audit import AuditEvent
from signal_gateway.testing import serve


def test_exception_of_a_handler_is_recorded_with_its_frames(gateway_serve):
    app = Flask("orders")
    app.config["TESTING"] = True  # Flask passes exceptions on

    @app.get("/")
    def broken():
        raise LookupError("no such table")

    service = gateway_serve(app)

    assert service.client.get("/").status_code == 500
    assert "LookupError: no such table" in service.exchanges[-1].error


def test_body_query_headers_and_stream_pass_the_adapter(gateway_serve):
    app = Flask("orders")

    @app.put("/orders/<order>")
    def put(order):
        parts = [order, request.args["unit"], request.headers["X-Sender"], request.get_data(as_text=True)]
        return Response((part for part in parts), status=202, headers={"X-Parts": "4"})

    response = gateway_serve(app).client.put(
        "/orders/tea", params={"unit": "kg"}, headers={"X-Sender": "till"}, content="x" * 100_000
    )

    assert (response.status_code, response.headers["X-Parts"]) == (202, "4")
    assert response.text == "teakgtill" + "x" * 100_000


def test_handlers_run_in_parallel(gateway_serve):
    app = Flask("orders")
    both = threading.Barrier(2)

    @app.get("/")
    def meet():
        both.wait(60)
        return "met"

    service = gateway_serve(app)
    responses = []
    threads = [threading.Thread(target=lambda: responses.append(service.client.get("/").text)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert responses == ["met", "met"]


def test_handler_may_call_another_service_synchronously(gateway_serve):
    stock = Flask("stock")
    stock.get("/")(lambda: "7 left")
    orders = Flask("orders")
    stock_service = gateway_serve(stock)
    orders.get("/")(lambda: stock_service.client.get("/").text)

    assert gateway_serve(orders).client.get("/").text == "7 left"


def test_threads_of_the_adapter_end_with_the_service():
    app = Flask("orders")
    app.get("/")(lambda: "hello")

    with serve(app) as service:
        service.client.get("/")
        threads = [thread for thread in threading.enumerate() if thread.name.startswith("WSGI")]
        assert threads
    for thread in threads:
        thread.join(60)

    assert not any(thread.is_alive() for thread in threads)


def test_handler_that_does_not_end_does_not_hold_the_stop():
    entered, released = threading.Event(), threading.Event()
    app = Flask("orders")

    @app.get("/")
    def hang():
        entered.set()
        released.wait(60)
        return "late"

    def call(url):
        import httpx

        with pytest.raises(httpx.HTTPError):
            httpx.get(url, trust_env=False, timeout=60)

    service = serve(app, stop_grace=0.05)
    service.start()
    caller = threading.Thread(target=call, args=[service.url])
    caller.start()
    assert entered.wait(60)
    service.stop()
    caller.join(60)
    released.set()

    assert not caller.is_alive()


def test_service_records_to_the_store_of_an_outage(gateway_outage, gateway_serve):
    def create_app(audit_store):
        app = Flask("orders")

        @app.post("/")
        def place():
            audit_store.record(
                AuditEvent(
                    event_type="orders.order.placed",
                    event_category="orders",
                    event_action="placed",
                    event_outcome="success",
                    correlation_id="during-the-outage",
                    event_data={"event_type": "orders.order.placed"},
                )
            )
            return "placed"

        return app

    service = gateway_serve(create_app, audit_store=gateway_outage.audit_store)
    gateway_outage.datastorage.stop()
    service.client.post("/")
    assert service.settle(0.05).pending == 1

    gateway_outage.datastorage.start()
    service.audit_trail.one(correlation_id="during-the-outage")

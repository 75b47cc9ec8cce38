"""A service that is not a gateway: FastAPI, its own Prometheus metrics, its own audit events.

What it shares comes in through `create_app`, what is its own it makes: that is all the pattern asks for.
"""

from fastapi import FastAPI, HTTPException
from prometheus_client import CollectorRegistry, Counter

from signal_gateway.audit import AuditEvent, AuditStore

EVENT_TYPE = "orders.order.placed"


def create_app(registry: CollectorRegistry, audit_store: AuditStore) -> FastAPI:
    """Make the service.

    Args:
        registry: Where its metrics go; one of its own for each server.
        audit_store: Where its audit events go; the process's one.
    """
    app = FastAPI()
    placed = Counter("orders_placed", "Orders that were taken.", ["item"], registry=registry)

    @app.post("/orders/{order_id}", status_code=201)
    def place(order_id: str, item: str) -> dict[str, str]:
        if not audit_store.accepting:
            raise HTTPException(503, "no order is taken that can't be accounted for")
        audit_store.record(
            AuditEvent(
                event_type=EVENT_TYPE,
                event_category="orders",
                event_action="placed",
                event_outcome="success",
                correlation_id=order_id,
                event_data={"event_type": EVENT_TYPE, "item": item},
            )
        )
        placed.labels(item).inc()
        return {"order": order_id}

    return app

"""A service that is not a gateway: FastAPI, its own Prometheus metrics, its own audit events.

The pattern has one rule: `create_app` receives shared objects as arguments, and creates all others itself.
"""

from fastapi import FastAPI, HTTPException
from prometheus_client import CollectorRegistry, Counter

from signal_gateway.audit import AuditEvent, AuditStore

EVENT_TYPE = "orders.order.placed"


def create_app(registry: CollectorRegistry, audit_store: AuditStore) -> FastAPI:
    """Create the service.

    Args:
        registry: The registry for its metrics, one per server.
        audit_store: The store for its audit events, one per process.
    """
    app = FastAPI()
    placed = Counter("orders_placed", "Orders that were accepted.", ["item"], registry=registry)

    @app.post("/orders/{order_id}", status_code=201)
    def place(order_id: str, item: str) -> dict[str, str]:
        if not audit_store.accepting:
            raise HTTPException(503, "the audit store does not accept events, so no order is accepted: retry later")
        audit_store.record(
            AuditEvent(
                event_type=EVENT_TYPE,
                event_category="orders",
                event_action="placed",
                event_outcome="success",
                correlation_id=order_id,
                event_data={"item": item},
            )
        )
        placed.labels(item).inc()
        return {"order": order_id}

    return app

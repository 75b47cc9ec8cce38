"""A shop in FastAPI as most are written: the application and its metrics are created when the module is imported."""

import asyncio
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from prometheus_client import Counter, Gauge
from pydantic import BaseModel, Field

from signal_gateway.audit import AuditEvent, AuditStore

ORDER_PLACED = "shop.order.placed"
RECEIPT_SENT = "shop.receipt.sent"

ORDERS = Counter("shop_orders", "Orders by result.", ["result"])
OPEN_RECEIPTS = Gauge("shop_open_receipts", "Receipts that are not sent yet.")

app = FastAPI(title="shop")
_tasks: set[asyncio.Task[None]] = set()


class Order(BaseModel):
    """An order of one item."""

    item: str
    count: int = Field(gt=0)


def get_audit_store() -> AuditStore:
    """Return the audit store; the process that serves the shop overrides this dependency."""
    raise NotImplementedError("set app.dependency_overrides[get_audit_store]")


@app.post("/orders/{order_id}", status_code=201)
async def place(order_id: str, order: Order, audit_store: Annotated[AuditStore, Depends(get_audit_store)]) -> Order:
    if order.item == "unicorn":
        ORDERS.labels("refused").inc()
        raise HTTPException(409, "unicorns are sold out")
    audit_store.record(_event(ORDER_PLACED, "placed", order_id))
    ORDERS.labels("placed").inc()
    task = asyncio.create_task(_send_receipt(order_id, audit_store))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return order


async def _send_receipt(order_id: str, audit_store: AuditStore) -> None:
    with OPEN_RECEIPTS.track_inprogress():
        await asyncio.sleep(0.01)  # a mail server
        audit_store.record(_event(RECEIPT_SENT, "sent", order_id))


def _event(event_type: str, action: str, order_id: str) -> AuditEvent:
    return AuditEvent(
        event_type=event_type,
        event_category="shop",
        event_action=action,
        event_outcome="success",
        correlation_id=order_id,
        event_data={"event_type": event_type},
    )

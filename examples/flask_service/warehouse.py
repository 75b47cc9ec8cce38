"""A warehouse in Flask, with the application factory of Flask's documentation and a blueprint."""

import threading
from collections import Counter as Stock

from flask import Blueprint, Flask, abort, current_app, request
from flask.typing import ResponseReturnValue
from prometheus_client import CollectorRegistry, Counter, Gauge

from signal_gateway.audit import AuditEvent, AuditStore

ITEMS_MOVED = "warehouse.items.moved"

blueprint = Blueprint("warehouse", __name__)


class Warehouse:
    """The stock of one application. Flask serves each request on a thread, so a lock protects it."""

    def __init__(self, *, audit_store: AuditStore, registry: CollectorRegistry) -> None:
        self._lock = threading.Lock()
        self._stock: Stock[str] = Stock()
        self._audit_store = audit_store
        self._moved = Counter("warehouse_moved", "Items that were moved.", ["direction"], registry=registry)
        self._kinds = Gauge("warehouse_kinds", "Kinds of items in stock.", registry=registry)

    def move(self, item: str, count: int, move_id: str) -> int | None:
        """Add items, or remove them with a negative count. Returns the new stock; None if there are not enough."""
        with self._lock:
            if self._stock[item] + count < 0:
                return None
            self._stock[item] += count
            self._kinds.set(len(+self._stock))
            left = self._stock[item]
        self._moved.labels("in" if count > 0 else "out").inc(abs(count))
        self._audit_store.record(
            AuditEvent(
                event_type=ITEMS_MOVED,
                event_category="warehouse",
                event_action="moved",
                event_outcome="success",
                correlation_id=move_id,
                event_data={"event_type": ITEMS_MOVED, "item": item, "count": count},
            )
        )
        return left


@blueprint.post("/moves/<move_id>")
def move(move_id: str) -> ResponseReturnValue:
    body = request.get_json()
    warehouse: Warehouse = current_app.extensions["warehouse"]
    left = warehouse.move(body["item"], body["count"], move_id)
    if left is None:
        abort(409, "not enough in stock")
    return {"left": left}, 201


def create_app(audit_store: AuditStore, registry: CollectorRegistry, *, testing: bool = True) -> Flask:
    """Create the application."""
    app = Flask(__name__)
    app.config["TESTING"] = testing
    app.extensions["warehouse"] = Warehouse(audit_store=audit_store, registry=registry)
    app.register_blueprint(blueprint)
    return app

"""A DataStorage on a real socket, and events for it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from signal_gateway.audit.event import new_event_id
from signal_gateway.datastorage import create_datastorage
from signal_gateway.testing import LiveServer

Serve = Callable[..., httpx.Client]


@contextmanager
def datastorage_client(database: Path | str, **settings: Any) -> Iterator[httpx.Client]:
    """Serve a DataStorage over a file; gives a client of it."""
    app = create_datastorage(f"sqlite:///{database}", **settings).app
    with LiveServer(app, name="DataStorage", lifespan="on", stop_grace=10) as server:
        yield server.client


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serve DataStorages with the test's own settings until it ends."""
    with ExitStack() as stack:

        def serve_one(database: Path | None = None, **settings: Any) -> httpx.Client:
            return stack.enter_context(datastorage_client(database or tmp_path / "audit.db", **settings))

        yield serve_one


@pytest.fixture
def client(serve: Serve) -> httpx.Client:
    """A client of an empty DataStorage."""
    return serve()


def event(**members: Any) -> dict[str, Any]:
    """A valid event in its wire form; members given as None are left out."""
    event_type = members.get("event_type", "gateway.signal.received")
    document = {
        "version": "1.0",
        "event_id": new_event_id(),
        "event_type": event_type,
        "event_timestamp": "2026-01-31T12:00:00Z",
        "event_category": "gateway",
        "event_action": "received",
        "event_outcome": "success",
        "correlation_id": "rr-1",
        "event_data": {"event_type": event_type} | members.pop("detail", {}),
    }
    return {name: value for name, value in (document | members).items() if value is not None}


@pytest.fixture
def make_event() -> Callable[..., dict[str, Any]]:
    """The `event` builder."""
    return event

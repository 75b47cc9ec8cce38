"""A DataStorage on a real socket, and events for it."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from signal_gateway.audit.event import new_event_id
from signal_gateway.datastorage import create_datastorage

Serve = Callable[..., httpx.Client]


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.is_up.set()


@contextmanager
def running(app: Any) -> Iterator[str]:
    """Serve an ASGI app from a loop of its own; gives its URL."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    host, port = sock.getsockname()
    server = _Server(uvicorn.Config(app, http="httptools", lifespan="on", log_config=None))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[sock])))
    thread.start()
    try:
        assert server.is_up.wait(10)
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
        sock.close()
        assert not thread.is_alive()


@contextmanager
def datastorage_client(database: Path | str, **settings: Any) -> Iterator[httpx.Client]:
    """Serve a DataStorage over a file; gives a client of it."""
    app = create_datastorage(f"sqlite:///{database}", **settings).app
    with running(app) as url, httpx.Client(base_url=url, timeout=30) as client:
        yield client


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

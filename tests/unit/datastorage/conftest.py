"""A DataStorage on a real socket, a database of either kind for each test, and events for them."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
import pytest_asyncio
from tests.support.datastorage_backends import opened
from tests.support.postgres_server import PostgresServer

from signal_gateway.audit.event import new_event_id
from signal_gateway.datastorage import create_datastorage
from signal_gateway.datastorage.backend import Backend
from signal_gateway.datastorage.postgres.schema import migrate_schema
from signal_gateway.datastorage.postgres.url import connection_parameters
from signal_gateway.testing import LiveServer

Serve = Callable[..., httpx.Client]


@pytest.fixture(scope="session")
def postgres_server(postgres_programs: None) -> Iterator[PostgresServer]:  # noqa: ARG001
    """A PostgreSQL of this worker's own."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url(request: pytest.FixtureRequest) -> str:
    """A server where databases can be created: SIGNAL_GATEWAY_TEST_POSTGRES_URL, or one of this worker's own."""
    url = os.environ.get("SIGNAL_GATEWAY_TEST_POSTGRES_URL")
    if url is None:
        server: PostgresServer = request.getfixturevalue("postgres_server")
        return server.url()
    return url


@contextmanager
def _postgres_database(server_url: str, *, template: str = "template0") -> Iterator[tuple[str, str]]:
    """Create a database and drop it in the end; gives its name and its URL."""
    name = f"audit_test_{uuid4().hex}"
    head, _, options = server_url.partition("?")
    url = f"{head.rpartition('/')[0]}/{name}{'?' if options else ''}{options}"
    with closing(psycopg.connect(server_url, autocommit=True)) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8'")
        try:
            yield name, url
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str) -> Iterator[str]:
    """The name of a database with our schema and nothing in it."""
    with _postgres_database(postgres_url) as (name, url):
        migrate_schema(connection_parameters(url), lock_timeout=10)
        yield name


@pytest.fixture
def empty_postgres(postgres_url: str) -> Iterator[str]:
    """The URL of a PostgreSQL database without anything in it."""
    with _postgres_database(postgres_url) as (_, url):
        yield url


@pytest.fixture
def postgres_database(postgres_url: str, postgres_template: str) -> Iterator[str]:
    """The URL of a PostgreSQL database with our schema and without events."""
    with _postgres_database(postgres_url, template=postgres_template) as (_, url):
        yield url


@pytest.fixture(scope="module")
def postgres_module_database(postgres_url: str, postgres_template: str) -> Iterator[str]:
    """As `postgres_database`, for the tests of a module."""
    with _postgres_database(postgres_url, template=postgres_template) as (_, url):
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without events, of each kind in turn: what depends on it is a contract of both."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/audit.db"
    url: str = request.getfixturevalue("postgres_database")
    return url


@pytest_asyncio.fixture
async def backend(database: str) -> AsyncIterator[Backend]:
    """An open backend without events, of each kind in turn."""
    async with opened(database) as backend:
        yield backend


@contextmanager
def datastorage_client(database: str, **settings: Any) -> Iterator[httpx.Client]:
    """Serve a DataStorage over a database; gives a client of it."""
    app = create_datastorage(database, **settings).app
    with LiveServer(app, name="DataStorage", lifespan="on", stop_grace=10) as server:
        yield server.client


@pytest.fixture
def serve(database: str) -> Iterator[Serve]:
    """Serve DataStorages over the test's database, with its own settings, until it ends."""
    with ExitStack() as stack:

        def serve_one(**settings: Any) -> httpx.Client:
            return stack.enter_context(datastorage_client(database, **settings))

        yield serve_one


@pytest.fixture
def write_tokens(tmp_path: Path) -> Callable[[str], Path]:
    """Write the test's token file, for our eyes only, and say where it is."""

    def write(lines: str) -> Path:
        path = tmp_path / "tokens"
        path.touch(mode=0o600)
        path.write_text(lines)
        return path

    return write


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
def make_wire_event() -> Callable[..., dict[str, Any]]:
    """The `event` builder."""
    return event

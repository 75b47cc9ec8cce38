import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from signal_gateway.audit import AuditStoreConfig, AuditTrail, BufferedAuditStore, DataStorageClient
from signal_gateway.testing import LiveServer


@pytest.fixture(autouse=True)
def temporary_files(tmp_path_factory, monkeypatch):
    """The folder for the temporary files of a suite, such as spools."""
    path = tmp_path_factory.mktemp("temporary-files")
    monkeypatch.setenv("TMPDIR", str(path))
    return path


@pytest.fixture
def spools(temporary_files):
    """Return the remaining spool directories."""

    def find():
        return list(temporary_files.glob("signal-gateway-spool-*"))

    return find


@pytest.fixture
def deliver():
    """Deliver the events of a spool directory, as its next store does; returns the counts of the recovery."""

    def run(spool, url):
        client = DataStorageClient(url)
        with BufferedAuditStore(client, service="next", config=AuditStoreConfig(spool_directory=spool)) as store:
            pass
        client.close()
        return store.stats.recovered

    return run


@pytest.fixture
def stored():
    """Return the correlation ids of all events in a DataStorage, in order, with repetitions."""

    def read(url):
        client = DataStorageClient(url)
        try:
            return [event.correlation_id for event in AuditTrail(client, barrier=None).events()]
        finally:
            client.close()

    return read


@pytest.fixture
def failing_datastorage():
    """Start a DataStorage that responds to each batch with the same problem; returns its URL."""
    servers = []

    def start(status):
        async def page(_: Request) -> JSONResponse:
            return JSONResponse({"data": [], "pagination": {"total": 0, "has_more": False}})

        async def problem(_: Request) -> JSONResponse:
            detail = "no events today"
            document = {"detail": detail, "instance": "/api/v1/audit/events/batch"}
            return JSONResponse(document, status_code=status, media_type="application/problem+json")

        routes = [
            Route("/api/v1/audit/events", page),
            Route("/api/v1/audit/events/batch", problem, methods=["POST"]),
        ]
        server = LiveServer(Starlette(routes=routes), name="DataStorage stand-in")
        server.start()
        servers.append(server)
        return server.url

    yield start
    for server in servers:
        server.stop()

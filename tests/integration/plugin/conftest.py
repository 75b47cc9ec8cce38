import pytest

from signal_gateway.audit import AuditStoreConfig, AuditTrail, BufferedAuditStore, DataStorageClient


@pytest.fixture(autouse=True)
def temporary_files(tmp_path_factory, monkeypatch):
    """Where the processes of a suite put their temporary files, and so their spools."""
    path = tmp_path_factory.mktemp("temporary-files")
    monkeypatch.setenv("TMPDIR", str(path))
    return path


@pytest.fixture
def spools(temporary_files):
    """The spool directories that are left."""

    def find():
        return list(temporary_files.glob("signal-gateway-spool-*"))

    return find


@pytest.fixture
def deliver():
    """Deliver what is in a spool directory, as its next owner does."""

    def run(spool, url):
        client = DataStorageClient(url)
        with BufferedAuditStore(client, service="next", config=AuditStoreConfig(spool_directory=spool)) as store:
            pass
        client.close()
        return store.stats.adopted

    return run


@pytest.fixture
def stored():
    """The correlation ids of all events in a DataStorage, in order and as often as they are there."""

    def ask(url):
        client = DataStorageClient(url)
        try:
            return [event.correlation_id for event in AuditTrail(client, barrier=None).events()]
        finally:
            client.close()

    return ask

import pytest
import yaml

from signal_gateway.audit import AuditTrail, DataStorageClient
from signal_gateway.testing import EmbeddedCluster, EmbeddedDataStorage


@pytest.fixture
def suite(pytester, monkeypatch):
    """A user's suite in a folder of its own, run in a subprocess with warnings as errors."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makeini(
        """
        [pytest]
        addopts = -W error -p no:cacheprovider -p no:hypothesispytest -p no:randomly -p no:rerunfailures
            -p no:schemathesis -p no:timeout
        asyncio_default_fixture_loop_scope = function
        """
    )

    def run(*arguments, **files):
        pytester.makepyfile(**files)
        return pytester.runpytest_subprocess(*arguments, timeout=120)

    return run


@pytest.fixture
def cluster():
    with EmbeddedCluster() as cluster:
        yield cluster


@pytest.fixture
def datastorage():
    with EmbeddedDataStorage() as datastorage:
        yield datastorage


@pytest.fixture
def spool(tmp_path):
    return tmp_path / "spool"


@pytest.fixture
def trail(datastorage):
    client = DataStorageClient(datastorage.url)
    yield AuditTrail(client, barrier=None)
    client.close()


@pytest.fixture
def config_file(tmp_path, cluster, datastorage, spool):
    def write(**changes):
        settings = {
            "server": {"listen": "127.0.0.1:0"},
            "processing": {"scope": {"enabled": False}},
            "audit": {"datastorage_url": datastorage.url, "spool_directory": str(spool)},
            "kubernetes": {"kubeconfig": str(cluster.kubeconfig)},
            "logging": {"level": "warning"},
        }
        path = tmp_path / "gateway.yaml"
        path.write_text(yaml.safe_dump(settings | changes))
        return str(path)

    return write

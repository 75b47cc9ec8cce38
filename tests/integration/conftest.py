import os
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import yaml

from signal_gateway.audit import AuditTrail, DataStorageClient
from signal_gateway.testing import EmbeddedCluster, EmbeddedDataStorage

FOLDER = Path(__file__).parent

# the tests of these folders and files start processes: a pytest run, the command, kubectl
SLOW_FOLDERS = ("kubernetes_clients", "plugin", "suites")
SLOW_FILES = (
    "test_campaigns",
    "test_cli",
    "test_datastorage_faults",
    "test_docs",
    "test_examples_controllers",
    "test_examples_deploy_",
    "test_memory_of_a_gateway",
    "test_readme",
)


# the suites of users load these plugins; they name the others in `plugins`
LOADED = {"anyio", "asyncio", "gateway", "xdist", "xdist.looponfail"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark the slow tests of this folder."""
    for item in items:
        if FOLDER in item.path.parents:
            folder = item.path.relative_to(FOLDER).parts[0]
            if folder in SLOW_FOLDERS or item.path.name.startswith(SLOW_FILES):
                item.add_marker("slow")


@pytest.fixture
def suite(pytester, monkeypatch):
    """Run the suite of a user in its own folder and process, with warnings as errors; returns the pytester result.

    Of the installed plugins it loads those of `LOADED`, and `plugins`, by the names of their entry points.
    """
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    installed = {point.name for point in entry_points(group="pytest11")}

    def run(*arguments, plugins=(), **files):
        unwanted = sorted(installed - LOADED - set(plugins))
        has_autoload = (
            "--disable-plugin-autoload" not in arguments and "PYTEST_DISABLE_PLUGIN_AUTOLOAD" not in os.environ
        )
        pytester.makeini(
            f"""
            [pytest]
            addopts = -W error -p no:cacheprovider {" ".join(f"-p no:{name}" for name in unwanted)}
            {"asyncio_default_fixture_loop_scope = function" if has_autoload else ""}
            """
        )
        pytester.makepyfile(**files)
        return pytester.runpytest_subprocess(*arguments, timeout=600)

    return run


@pytest.fixture
def cluster():
    """An embedded cluster without objects."""
    with EmbeddedCluster() as cluster:
        yield cluster


@pytest.fixture
def datastorage():
    """An embedded DataStorage without events."""
    with EmbeddedDataStorage() as datastorage:
        yield datastorage


@pytest.fixture
def spool(tmp_path):
    """The path of a spool directory, which the audit store of a test creates."""
    return tmp_path / "spool"


@pytest.fixture
def trail(datastorage):
    """Queries over the events of `datastorage`, without a flush barrier."""
    client = DataStorageClient(datastorage.url)
    yield AuditTrail(client, barrier=None)
    client.close()


@pytest.fixture
def config_file(tmp_path, cluster, datastorage, spool):
    """Write the config file of `signal-gateway serve` for `cluster` and `datastorage`; returns its path."""

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

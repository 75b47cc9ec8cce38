import os
import shutil

import freezegun
import pytest
from tests.support.postgres_server import PostgresMissing, postgres_program

pytest_plugins = ["pytester"]

# freezegun reads each attribute of each module. `kubernetes.client` imports its models on such a read, while the time
# stands still: pydantic takes no fake datetime, and the error leaves the time of the process frozen
freezegun.configure(extend_ignore_list=["kubernetes"])

PACKAGES = {
    "pgbouncer": "pgbouncer",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "chromium": "chromium",
    "chromedriver": "chromium-driver",
}


def pytest_xdist_auto_num_workers():
    """One more than there are processors: many tests wait for other processes."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark the tests that need PostgreSQL or a browser, by their fixtures and parameters."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
        if any("postgres" in name for name in fixtures) or any(value == "postgres" for value in parameters):
            item.add_marker("postgres")
        if any("browser" in name for name in fixtures):
            item.add_marker("browser")


@pytest.fixture(scope="session")
def unavailable():
    """Skip a test without its optional real part, or fail it if SIGNAL_GATEWAY_REQUIRE_ALL is set."""

    def give_up(reason):
        if os.environ.get("SIGNAL_GATEWAY_REQUIRE_ALL"):
            pytest.fail(reason)
        pytest.skip(reason)

    return give_up


@pytest.fixture(scope="session")
def program(unavailable):
    """Return the path of an optional real part, such as `program("promtool")`; without it the test is skipped."""

    def find(name):
        path = shutil.which(name)
        if path is None:
            unavailable(f"needs {name}: apt-get install {PACKAGES[name]}")
        return path

    return find


@pytest.fixture(scope="session")
def postgres_programs(unavailable):
    """The programs of a PostgresServer are installed; without them the test is skipped."""
    try:
        postgres_program("initdb")
    except PostgresMissing as exc:
        unavailable(str(exc))

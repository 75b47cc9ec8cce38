import os
import shutil

import pytest
from tests.support.postgres_server import PostgresMissing, postgres_program

pytest_plugins = ["pytester"]

PACKAGES = {
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


@pytest.fixture(scope="session")
def unavailable():
    """Skip for want of an optional real part, or fail where every part is required; the reason says how to get it."""

    def give_up(reason):
        if os.environ.get("SIGNAL_GATEWAY_REQUIRE_ALL"):
            pytest.fail(reason)
        pytest.skip(reason)

    return give_up


@pytest.fixture(scope="session")
def program(unavailable):
    """Find an optional real part."""

    def find(name):
        path = shutil.which(name)
        if path is None:
            unavailable(f"needs {name}: apt-get install {PACKAGES[name]}")
        return path

    return find


@pytest.fixture(scope="session")
def postgres_programs(unavailable):
    """What a PostgresServer needs is there."""
    try:
        postgres_program("initdb")
    except PostgresMissing as exc:
        unavailable(str(exc))

import os
import shutil

import pytest

pytest_plugins = ["pytester"]

PACKAGES = {
    "prometheus-alertmanager": "prometheus-alertmanager",
    "promtool": "prometheus",
}


@pytest.fixture(scope="session")
def program():
    """Find an optional real part: skip with how to get it, or fail where every part is required."""

    def find(name):
        path = shutil.which(name)
        if path is None:
            reason = f"needs {name}: apt-get install {PACKAGES[name]}"
            if os.environ.get("SIGNAL_GATEWAY_REQUIRE_ALL"):
                pytest.fail(reason)
            pytest.skip(reason)
        return path

    return find

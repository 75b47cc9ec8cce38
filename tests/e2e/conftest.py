import contextlib
from pathlib import Path

import pytest
from tests.e2e.alertmanager import alertmanager_part, notifying
from tests.e2e.part import ReservedPort

FOLDER = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark the tests of this folder."""
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker("e2e")


@pytest.fixture
def alertmanager(program, tmp_path):
    """Start a real Alertmanager that notifies a webhook."""
    with contextlib.ExitStack() as started:

        def start(webhook_url, **times):
            path, port = program("prometheus-alertmanager"), started.enter_context(ReservedPort())
            part = alertmanager_part(path, tmp_path, port=port, configuration=notifying(webhook_url, **times))
            return started.enter_context(part)

        yield start
